"""Which items of the benchmark's load a live tail shows when there are too many."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from collector.convert.request import Converter
from collector.operate.bench.load import LoadPlan
from collector.rows import ConvertedRequest, LogRow, Signal, SpanRow
from collector.settings import ConvertSettings
from collector.tail.message import Pick
from collector.tail.sampling import Sampler
from tests.clocks import HandClock

DAY_S = 86_400.0
ITEMS = 3_000


def converted(signal: Signal, items: int = ITEMS) -> list[ConvertedRequest]:
    """Return ``items`` of the benchmark's items in requests of 37, one in twenty an error."""
    now_ns = time.time_ns()
    converter = Converter(ConvertSettings(), retention_s=DAY_S)
    requests = LoadPlan(signal, items, 37, 1, now_ns).requests()
    return [converter.convert(signal, r, digest=bytes(16), now_ns=now_ns) for r in requests]


def spans(picks: list[Pick]) -> list[SpanRow]:
    """Return the rows of picks."""
    return [SpanRow._make(row) for _, row in picks]


@pytest.mark.parametrize("signal", list(Signal))
def test_no_more_than_there_is_room_for_in_their_order(signal: Signal) -> None:
    """A flush gets the room of one flush at most, each row once, beside the request it came in."""
    requests = converted(signal)
    places = {id(row): n for n, row in enumerate(row for r in requests for row in r.rows)}
    sampler = Sampler(1_000, 100, HandClock())

    picks = sampler.pick(signal, requests, ITEMS)

    order = [places[id(row)] for _, row in picks]
    assert 50 < len(picks) <= 100
    assert order == sorted(set(order))
    assert all(any(row is other for other in request.rows) for request, row in picks)


def test_what_fits_is_shown_whole() -> None:
    """Nobody misses anything while there is room."""
    requests = converted(Signal.LOGS, 90)

    picks = Sampler(1_000, 100, HandClock()).pick(Signal.LOGS, requests, 90)

    assert [row for _, row in picks] == [row for request in requests for row in request.rows]


def test_half_of_the_room_is_for_errors() -> None:
    """One span in twenty has failed, and half of what is shown has."""
    picks = Sampler(1_000, 60, HandClock()).pick(Signal.TRACES, converted(Signal.TRACES), ITEMS)

    failed = [span for span in spans(picks) if span.status_code == 2]
    assert 30 <= len(failed) <= 35


def test_errors_among_logs_come_first_too() -> None:
    """By their severity number, ERROR and above."""
    requests = converted(Signal.LOGS)
    errors = sum(LogRow._make(row).severity_number >= 17 for r in requests for row in r.rows)

    picks = Sampler(1_000, 60, HandClock()).pick(Signal.LOGS, requests, ITEMS)

    shown = [row for _, row in picks if LogRow._make(row).severity_number >= 17]
    assert len(shown) >= min(errors, 30)


def test_traces_are_kept_whole() -> None:
    """Of a trace whose unfailed spans are shown at all, the whole is shown: by its id, not by turns."""
    requests = converted(Signal.TRACES)
    everything = spans([(r, row) for r in requests for row in r.rows])

    shown = spans(Sampler(1_000, 500, HandClock()).pick(Signal.TRACES, requests, ITEMS))

    unfailed = [span.trace_id for span in shown if span.status_code != 2]
    kept = set(unfailed) - {unfailed[-1]}  # the room may end in the middle of the last
    ids = {span.span_id for span in shown}
    assert len(kept) > 10
    assert all(span.span_id in ids for span in everything if span.trace_id in kept)


def test_room_comes_back_with_time() -> None:
    """So many a second, and half a second's worth at once after a pause."""
    clock = HandClock()
    requests = converted(Signal.METRICS)
    sampler = Sampler(100, 1_000, clock)

    assert len(sampler.pick(Signal.METRICS, requests, ITEMS)) == 50
    assert sampler.pick(Signal.METRICS, requests, ITEMS) == []
    clock.move(timedelta(seconds=0.1))
    assert len(sampler.pick(Signal.METRICS, requests, ITEMS)) == 10
    clock.move(timedelta(seconds=60))
    assert len(sampler.pick(Signal.METRICS, requests, ITEMS)) == 50
