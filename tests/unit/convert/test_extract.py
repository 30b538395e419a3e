"""Items cut out of their request, for dead letters and for replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert.extract import Extractor
from collector.convert.framing import Walk
from collector.convert.tags import field_of
from collector.rows import Signal
from tests.factories import items_in, request_of
from tests.unit.convert.converting import (
    TRACE_ID,
    convert,
    item_payload,
    valid_span,
)

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)


@EVERY_SIGNAL
def test_every_item_can_be_cut_out(signal: Signal) -> None:
    """Alone, it becomes the row that it has among the others."""
    payload = request_of(signal, items=60).SerializeToString()
    converted = convert(signal, payload)

    alone = [convert(signal, item_payload(signal, payload, index)) for index in range(60)]

    assert [one.rows for one in alone] == [[row] for row in converted.rows]
    for one in alone:
        for mine, all_of_them in zip(one.dimensions, converted.dimensions, strict=True):
            assert mine.items() <= all_of_them.items()


def test_cut_out_item_keeps_unknown_fields_and_bytes() -> None:
    """Everything around it is the sender's, in the order that it came."""
    resource, unknown = field_of(0x0A, b"\x10\x05"), field_of(0x3FA, b"future")
    span = valid_span(unknown)
    payload = field_of(
        0x0A,
        unknown
        + field_of(0x12, field_of(0x12, valid_span()) + field_of(0x12, span) + unknown)
        + resource,
    )

    cut = item_payload(Signal.TRACES, payload, 1)

    scope = field_of(0x12, unknown + field_of(0x12, span))
    assert cut == field_of(0x0A, unknown + resource + scope)


def test_letters_of_very_many_bad_items_share_their_surroundings() -> None:
    """A large resource is not written once per item; every item is still there once."""
    resource = field_of(
        0x0A, field_of(0x0A, field_of(0x0A, b"k") + field_of(0x12, field_of(0x0A, b"r" * 100_000)))
    )
    spans = [valid_span()] + [
        field_of(0x0A, TRACE_ID) + field_of(0x2A, b"%02d" % n) for n in range(90)
    ]
    scopes = [field_of(0x12, b"".join([field_of(0x12, span) for span in spans]))] * 2

    converted = convert(Signal.TRACES, field_of(0x0A, resource + b"".join(scopes)))

    assert (len(converted.rows), converted.quarantined) == (2, 180)
    letters = [
        ExportTraceServiceRequest.FromString(letter.payload) for letter in converted.dead_letters
    ]
    assert sum(map(items_in, letters)) == 180
    assert 1 < len(letters) < 180
    assert (
        sum(len(letter.payload) for letter in converted.dead_letters)
        < 4 * len(converted.payload) + 2**20
    )
    assert len(letters[-1].resource_spans) == 1
    assert len(letters[-1].resource_spans[0].scope_spans) == 2


def test_cutting_one_item_does_not_look_at_all_others() -> None:
    """Ten thousand points, each in a piece of its metric: a cut looks at its own piece."""
    point = field_of(0x0A, b"\x19" + bytes(8))
    metric = field_of(0x0A, b"m") + field_of(0x2A, point) * 10_000
    payload = field_of(0x0A, field_of(0x12, field_of(0x12, metric)))
    walk = Walk(Signal.METRICS, payload, items_max=10_000, large_bytes=10_000)
    for _ in walk.steps():
        pass
    [leaf] = walk.leaves
    leaf.runs = runs = CountingRuns(leaf.runs)
    extractor = Extractor(payload, walk.leaves)

    cuts = {extractor.cut([index]) for index in range(0, 10_000, 100)}

    assert cuts == {item_payload(Signal.METRICS, payload, 0)}
    assert runs.looks <= 10_000 + 2 * 100


class CountingRuns(list[list[int]]):
    """Runs that count how many of them are looked at."""

    looks = 0

    def __iter__(self) -> Iterator[list[int]]:
        for place in range(len(self)):
            yield self[place]

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return cast("list[int]", super().__getitem__(place))
