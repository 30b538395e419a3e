"""Turns while converting, and what the ledger and the flusher are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from collector.rows import TIME_INDEX, Signal
from tests.factories import any_value, items_in, request_of
from tests.unit.convert.converting import (
    NOW,
    convert,
    converter,
    logs_of,
    metrics_of,
    on_the_wire,
    pg_us,
    span_of,
    traces_of,
)

EVERY_SIGNAL = pytest.mark.parametrize("signal", Signal)


@EVERY_SIGNAL
def test_steps_yield_between_slices(signal: Signal) -> None:
    """Ten items in slices of at most three: at least three turns for others, the same result."""
    payload = request_of(signal, items=10).SerializeToString()
    one = converter(slice_items=3)

    steps = one.steps(signal, payload, digest=b"d" * 16, now_ns=NOW)
    turns = 0
    try:
        while True:
            next(steps)
            turns += 1
    except StopIteration as done:
        converted = done.value

    assert turns >= 3
    at_once = convert(signal, payload)
    assert replace(converted, size_bytes=0) == replace(at_once, size_bytes=0)


def test_slice_ends_at_its_bytes_too() -> None:
    """A few large items are a turn of their own."""
    records = [LogRecord(time_unix_nano=NOW, body=any_value("x" * 700_000)) for _ in range(4)]
    steps = converter().steps(
        Signal.LOGS, logs_of(*records).SerializeToString(), digest=b"d" * 16, now_ns=NOW
    )

    assert len(list(steps)) >= 2


@EVERY_SIGNAL
def test_books_balance_and_times_span_the_rows(signal: Signal) -> None:
    """``items == rows + quarantined + rejected``; ``time_min`` and ``time_max`` are of rows."""
    request = request_of(signal, items=50)

    converted = convert(signal, request)

    assert converted.items == items_in(request) == len(converted.rows)
    times = [row[TIME_INDEX[signal]] for row in converted.rows]
    assert (converted.time_min, converted.time_max) == (min(times), max(times))
    assert converted.digest == b"d" * 16
    assert converted.received_at == pg_us(NOW)
    assert converted.payload == request.SerializeToString()


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ([0], date(1970, 1, 1)),
        ([NOW, 0, NOW - 86_400 * 10**9], date(2026, 1, 1)),
        ([86_400 * 10**9 - 1], date(1970, 1, 1)),
        ([86_400 * 10**9], date(1970, 1, 2)),
        ([2**64 - 1], date(2554, 7, 21)),
    ],
)
def test_day_is_that_of_the_latest_event_time(times: list[int], day: date) -> None:
    """A function of the bytes alone, so that retries meet; absurd times have a day too."""
    spans = [span_of(start_time_unix_nano=time, end_time_unix_nano=0) for time in times]
    records = [LogRecord(time_unix_nano=time, body=any_value("b")) for time in times]
    points = [NumberDataPoint(time_unix_nano=time) for time in times]
    metric = Metric(name="m", gauge=Gauge(data_points=points))

    assert convert(Signal.TRACES, traces_of(*spans)).day == day
    assert convert(Signal.LOGS, logs_of(*records)).day == day
    assert convert(Signal.METRICS, metrics_of(metric)).day == day


def test_day_of_a_log_falls_back_to_the_observed_time() -> None:
    """As the row's time does."""
    assert convert(Signal.LOGS, logs_of(LogRecord(observed_time_unix_nano=NOW))).day == date(
        2026, 1, 1
    )


@pytest.mark.parametrize(
    ("record", "in_ledger"),
    [
        (LogRecord(body=any_value("tick")), False),
        (LogRecord(body=any_value("tick"), time_unix_nano=1), True),
        (LogRecord(body=any_value("tick"), observed_time_unix_nano=1), True),
        (LogRecord(body=any_value("tick"), trace_id=b"t" * 16), True),
        (LogRecord(body=any_value("tick"), span_id=b"odd"), True),
    ],
)
def test_request_without_entropy_skips_the_ledger(
    record: LogRecord,
    in_ledger: bool,
) -> None:
    """Equal bytes of two senders without a clock are no retry."""
    assert convert(Signal.LOGS, logs_of(record)).in_ledger is in_ledger


def test_entropy_of_spans_and_points() -> None:
    """A span's ids are entropy; a point needs a time, be it its start."""
    bare_span = span_of(start_time_unix_nano=0, end_time_unix_nano=0)
    bare, started = NumberDataPoint(as_int=1), NumberDataPoint(start_time_unix_nano=1)

    assert convert(Signal.TRACES, traces_of(bare_span)).in_ledger
    for point, in_ledger in ((bare, False), (started, True)):
        metric = Metric(name="m", gauge=Gauge(data_points=[point]))
        assert convert(Signal.METRICS, metrics_of(metric)).in_ledger is in_ledger


def test_retry_of_bad_items_is_recognised() -> None:
    """Quarantined items must not be kept once per retry."""
    undecodable = convert(Signal.TRACES, on_the_wire(b"\x0a\x05"))
    bad_id = convert(Signal.TRACES, traces_of(span_of(trace_id=b"x")))
    rejected = convert(Signal.LOGS, logs_of(LogRecord(), LogRecord()))

    assert undecodable.in_ledger
    assert bad_id.in_ledger
    assert rejected.in_ledger
