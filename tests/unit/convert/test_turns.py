"""No request keeps the event loop for itself: every turn of a conversion is bounded work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collector.convert.tags import field_of
from collector.rows import Signal
from tests.unit.convert.converting import NOW, converter, on_the_wire, valid_span
from tests.unit.convert.work import lines_of_turns

LINES_MAX = 500_000
"""About a twentieth of a second of one core."""

EMPTY_ATTRIBUTE = b"\x4a\x00"
BROKEN_ARRAY = field_of(0x2A, b"\x0a\x00" * 450 + b"\x0a\x05")
NO_METRIC = field_of(0x12, b"\x0a\x00" + field_of(0x2A, b"\x0a\x00"))

SOME_RESOURCE = field_of(0x0A, b"\x0a\x00" * 490)
SCOPE = field_of(0x12, field_of(0x12, valid_span()))


def steps(signal: Signal, payload: bytes) -> Iterator[int]:
    """Return the turns of a conversion that calls an item of a kilobyte large."""
    return converter(parts_max=1_000).steps(signal, payload, digest=b"d" * 16, now_ns=NOW)


REQUESTS = {
    "refused": (Signal.TRACES, on_the_wire(*[valid_span(EMPTY_ATTRIBUTE * 1_001)] * 300)),
    "large": (Signal.TRACES, on_the_wire(*[valid_span(EMPTY_ATTRIBUTE * 900)] * 100)),
    "undecodable": (
        Signal.TRACES,
        on_the_wire(*[valid_span(field_of(0x4A, field_of(0x12, BROKEN_ARRAY)))] * 400),
    ),
    "heads": (
        Signal.TRACES,
        b"".join(
            field_of(0x0A, SOME_RESOURCE + b"\x18" + bytes([number]) + SCOPE)
            for number in range(100)
        ),
    ),
    "framing": (Signal.LOGS, field_of(0x0A, field_of(0x12, b"\x08\x01" * 40_000))),
    "failed groups": (
        Signal.METRICS,
        field_of(0x0A, field_of(0x0A, b"\x0a\x05") + field_of(0x12, NO_METRIC * 10_000)),
    ),
}


@pytest.mark.parametrize(("signal", "payload"), REQUESTS.values(), ids=REQUESTS)
def test_every_turn_is_bounded(signal: Signal, payload: bytes) -> None:
    """Whatever the items are and wherever they end up."""
    turns = lines_of_turns(steps(signal, payload))

    assert max(turns) < LINES_MAX
