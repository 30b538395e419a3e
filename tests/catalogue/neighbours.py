"""9 999 good items of each signal, the company in which bad input must do no harm.

They are small, each differs from every other, and they happened two hours ago, when nothing of any
case does: so they are told from a case's own rows by their time alone.
"""

from __future__ import annotations

import json
from functools import cache
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.restore.otlp_json import document_of
from collector.rows import PG_EPOCH_UNIX_US, Signal
from tests.catalogue.building import (
    HOUR_NS,
    NOW,
    gauge,
    logs,
    metrics,
    of,
    point,
    record,
    span,
    traces,
)
from tests.factories import ExportRequest

COUNT = 9_999
FIRST = NOW - 2 * HOUR_NS
LAST = FIRST + COUNT - 1
"""One nanosecond apart."""

TIME_MIN = FIRST // 1_000 - PG_EPOCH_UNIX_US
TIME_MAX = LAST // 1_000 - PG_EPOCH_UNIX_US + 1
"""All of them stand below times in ``[TIME_MIN, TIME_MAX)``; units as in ``rows``."""

_AROUND = of({"service.name": "good"})


class Halves(NamedTuple):
    """The items in front of a case and those behind it, in protobuf and as entries of JSON."""

    wire: tuple[bytes, bytes] = (b"", b"")
    entries: tuple[str, str] = ("", "")


@cache
def neighbours(signal: Signal) -> Halves:
    """Return the good items of a signal."""
    middle = COUNT // 2
    halves = [good_request(signal, 0, middle), good_request(signal, middle, COUNT)]
    first, second = (half.SerializeToString() for half in halves)
    ahead, behind = (_entries_of(half) for half in halves)
    return Halves((first, second), (ahead, behind))


def _entries_of(request: ExportRequest) -> str:
    [entries] = document_of(request).values()
    return json.dumps(entries, separators=(",", ":"))[1:-1]


def good_request(signal: Signal, start: int, stop: int) -> ExportRequest:
    """Return the good items from number ``start`` to before ``stop``."""
    numbers = range(start, stop)
    if signal is Signal.TRACES:
        return traces(*map(_span, numbers), around=_AROUND)
    if signal is Signal.LOGS:
        records = (record(time_unix_nano=FIRST + number, body=None) for number in numbers)
        return logs(*records, around=_AROUND)
    points = (point(time_unix_nano=FIRST + number, as_int=number) for number in numbers)
    return metrics(gauge(*points), around=_AROUND)


def _span(number: int) -> Span:
    time = FIRST + number
    return span(
        trace_id=b"a good trace ...",
        span_id=(number + 1).to_bytes(8, "big"),
        start_time_unix_nano=time,
        end_time_unix_nano=time + number,
    )
