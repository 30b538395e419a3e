"""The name of an item that was set aside, fit for a line of the log.

A name (of a span, metric or log event) is chosen by whoever wrote the program that sends; bodies and
attribute values come from its users and may be secret, so they never leave ``dead_letters``. Where
there is no name, the first bytes are given in hex: with most items they are a tag and an id or a
time, and they tell another signal, text or TLS from protobuf.
"""

from __future__ import annotations

from collector.convert.tags import find_field
from collector.errors import MalformedError
from collector.rows import Signal

CHARS_MAX = 120
HEX_BYTES = 12
FIELDS_MAX = 200
"""Fields that are looked at in one message: this is about a line, not about finding it."""

_PATHS: dict[Signal, tuple[int, ...]] = {
    Signal.TRACES: (0x0A, 0x12, 0x12, 0x2A),  # resource_spans, scope_spans, spans, name
    Signal.METRICS: (0x0A, 0x12, 0x12, 0x0A),  # resource_metrics, scope_metrics, metrics, name
    Signal.LOGS: (0x0A, 0x12, 0x12, 0x62),  # resource_logs, scope_logs, log_records, event_name
}
"""Tags on the way to the name of the first item."""


def example_of(signal: Signal, payload: bytes) -> str:
    """Return the name of the first item of a request, or its first bytes; never raises.

    Shape: printable ASCII, at most ``CHARS_MAX`` characters; empty for no bytes.
    """
    start, end = 0, len(payload)
    for tag in _PATHS[signal]:
        found = _find(payload, start, end, tag)
        if found is None or found[0] == found[1]:
            raw = payload[start : min(end, start + HEX_BYTES)]
            return f"0x{raw.hex()}" if raw else ""
        start, end = found
    return _escaped(payload[start : min(end, start + CHARS_MAX)])


def printable(name: str) -> str:
    """Return a name that is a text already, in the shape of ``example_of``; never raises."""
    return _escaped(name[:CHARS_MAX].encode(errors="replace"))


def _escaped(raw: bytes) -> str:
    name = repr(raw)[2:-1]
    return name if len(name) <= CHARS_MAX - 3 else name[: CHARS_MAX - 3] + "..."


def _find(payload: bytes, start: int, end: int, tag: int) -> tuple[int, int] | None:
    """Return where the first field with ``tag`` has its content; None when it is not found."""
    for _ in range(FIELDS_MAX):
        if start >= end:
            return None
        try:
            found, content, after = find_field(payload, start, end)
        except (MalformedError, IndexError):
            return None
        if found == tag:
            return content, after
        start = after
    return None
