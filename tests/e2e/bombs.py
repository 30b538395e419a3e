"""Requests made to cost a receiver more than they cost their sender."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from collector.convert.tags import field_of
from collector.rows import Signal

MIB = 2**20
PROTOBUF, JSON = "application/x-protobuf", "application/json"
TIME = b"\x09" + struct.pack("<Q", 1)
POINT_TIME = b"\x19" + struct.pack("<Q", 1)


class Bomb(NamedTuple):
    """One request: its signal, its content type, and what makes its unpacked body."""

    signal: Signal
    media: str
    make: Callable[[], bytes]


def items(*wires: bytes) -> bytes:
    """Return a request of traces or logs with these items."""
    return field_of(0x0A, field_of(0x12, b"".join(field_of(0x12, wire) for wire in wires)))


def points(member: int, *wires: bytes) -> bytes:
    """Return a request with these points of one metric."""
    data = field_of(member, b"".join(field_of(0x0A, wire) for wire in wires))
    return items(field_of(0x0A, b"m") + data)


def body_of(text: bytes) -> bytes:
    """Return a log record with this text for a body."""
    return TIME + field_of(0x2A, field_of(0x0A, text))


def series(number: int) -> bytes:
    """Return a point of a series of its own."""
    value = field_of(0x12, field_of(0x0A, b"%d" % number))
    return POINT_TIME + field_of(0x3A, field_of(0x0A, b"k") + value) + b"\x21" + bytes(8)


BOMBS: dict[str, Bomb] = {
    "zeros": Bomb(Signal.TRACES, PROTOBUF, lambda: bytes(64 * MIB)),
    "empty spans": Bomb(Signal.TRACES, PROTOBUF, lambda: items(*[b""] * 199_999)),
    "empty records": Bomb(Signal.LOGS, PROTOBUF, lambda: items(*[b""] * 199_999)),
    "empty metrics": Bomb(
        Signal.METRICS,
        PROTOBUF,
        lambda: items(*[field_of(0x2A, b"\x0a\x00")] * 199_999),
    ),
    "empty events": Bomb(
        Signal.TRACES,
        PROTOBUF,
        lambda: items(*[field_of(0x0A, b"i" * 16) + b"\x5a\x00" * 9_000] * 400),
    ),
    "empty values": Bomb(
        Signal.LOGS,
        PROTOBUF,
        lambda: items(*[TIME + field_of(0x2A, field_of(0x2A, b"\x0a\x00" * 110_000))] * 20),
    ),
    "packed varints": Bomb(
        Signal.METRICS,
        PROTOBUF,
        lambda: points(
            0x52, *[POINT_TIME + field_of(0x42, field_of(0x12, b"\x01" * 119_000))] * 400
        ),
    ),
    "control characters": Bomb(
        Signal.LOGS, PROTOBUF, lambda: items(*[body_of(b"\x01" * (4 * MIB - 100))] * 12)
    ),
    "emoji": Bomb(
        Signal.LOGS, PROTOBUF, lambda: items(*[body_of("😀".encode() * (MIB - 30))] * 15)
    ),
    "series": Bomb(
        Signal.METRICS,
        PROTOBUF,
        lambda: points(0x2A, *[series(number) for number in range(50_000)]),
    ),
    "JSON objects": Bomb(
        Signal.TRACES, JSON, lambda: b'{"x":[' + b",".join([b"{}"] * 2_700_000) + b"]}"
    ),
    "JSON attributes": Bomb(Signal.TRACES, JSON, lambda: _json_attributes(180_000)),
}


def _json_attributes(count: int) -> bytes:
    span = {"attributes": [{"key": "k", "value": {"intValue": 1}}] * count}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


@cache
def packed(name: str) -> bytes:
    """Return the body of a bomb as it goes over the wire: gzip makes most of them tiny."""
    return gzip.compress(BOMBS[name].make(), 6)
