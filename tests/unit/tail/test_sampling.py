"""tail.sampling: what is shown when there is more than a tail may cost."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.rows import ConvertedRequest, LogRow, Signal, SpanRow
from collector.tail.sampling import BURST_S, Sampler
from tests.clocks import HandClock
from tests.converted import request, span_row
from tests.unit.tail.flushed import TIME, numbered, points, spans

PER_S = 1_000
ROOM = int(PER_S * BURST_S)
BODY, TRACE, STATUS = (
    LogRow._fields.index("body_text"),
    SpanRow._fields.index("trace_id"),
    SpanRow._fields.index("status_code"),
)
SEVERITY = LogRow._fields.index("severity_number")


def sampler(per_s: int = PER_S, at_once: int = 10_000) -> tuple[Sampler, HandClock]:
    """Return a sampler whose time stands still."""
    clock = HandClock()
    return Sampler(per_s, at_once, clock), clock


def items_of(*requests: ConvertedRequest) -> int:
    """Return how many items there are."""
    return sum(len(each.rows) for each in requests)


def pick(of: Sampler, signal: Signal, *requests: ConvertedRequest) -> list[tuple[object, ...]]:
    """Return the rows that are picked."""
    return [row for _, row in of.pick(signal, requests, items_of(*requests))]


@pytest.mark.parametrize(
    ("signal", "flush"),
    [
        (Signal.LOGS, [numbered(0, 3), numbered(3, 2)]),
        (Signal.METRICS, [points(5)]),
        (Signal.TRACES, [spans("a", "b", "c", "d", "e")]),
    ],
)
def test_what_has_room_is_shown_whole_and_in_order(
    signal: Signal, flush: list[ConvertedRequest]
) -> None:
    """Each row comes with the request that holds its dimensions."""
    chosen = sampler()[0].pick(signal, flush, items_of(*flush))

    assert chosen == [(each, row) for each in flush for row in each.rows]


def test_no_more_than_the_rate_in_any_second() -> None:
    """After the burst only what was earned since."""
    of, clock = sampler()

    shown = [len(pick(of, Signal.LOGS, numbered(0, 2_000)))]
    for _ in range(10):
        clock.move(timedelta(seconds=0.1))
        shown.append(len(pick(of, Signal.LOGS, numbered(0, 2_000))))

    assert shown[0] == ROOM
    assert sum(shown[1:]) == pytest.approx(PER_S, abs=len(shown))
    assert max(shown[1:]) <= PER_S * 0.1 + 1


def test_what_was_not_used_is_kept_for_the_burst_only() -> None:
    """An hour of silence does not let an hour's worth through."""
    of, clock = sampler()
    clock.move(timedelta(hours=1))

    assert len(pick(of, Signal.LOGS, numbered(0, 5_000))) == ROOM
    assert pick(of, Signal.LOGS, numbered(0, 5)) == []


def test_a_flush_shows_no_more_than_a_message_may_hold() -> None:
    """However long nothing was shown."""
    of, _ = sampler(at_once=7)

    assert len(pick(of, Signal.LOGS, numbered(0, 100))) == 7


def test_the_lowest_rate_still_shows_something() -> None:
    """One item a second is one item a second."""
    of, clock = sampler(per_s=1)
    shown = 0
    for _ in range(20):
        clock.move(timedelta(seconds=0.5))
        shown += len(pick(of, Signal.LOGS, numbered(0, 3)))

    assert 9 <= shown <= 11


def test_of_log_records_every_nth_is_shown() -> None:
    """And not the first ones of each flush."""
    of, _ = sampler(at_once=10)

    bodies = [int(str(row[BODY])) for row in pick(of, Signal.LOGS, numbered(0, 95))]

    assert bodies == list(range(0, 95, 10))


def records_with_errors(count: int, errors: set[int]) -> ConvertedRequest:
    """Return records of which those at the places in ``errors`` are errors."""
    made = numbered(0, count)
    made.rows = [
        (*row[:SEVERITY], 17 if n in errors else 16, *row[SEVERITY + 1 :])
        for n, row in enumerate(made.rows)
    ]
    return made


def test_errors_among_log_records_come_first() -> None:
    """Two that hide in a thousand are both shown, in their place."""
    of, _ = sampler(at_once=10)

    shown = pick(of, Signal.LOGS, records_with_errors(1_000, {501, 777}))

    bodies = [int(str(row[BODY])) for row in shown]
    assert {501, 777} < set(bodies)
    assert len(bodies) == 10
    assert bodies == sorted(bodies)


def test_a_storm_of_errors_leaves_half_of_the_room_to_others() -> None:
    """Or a tail would show nothing else."""
    of, _ = sampler(at_once=20)

    shown = pick(of, Signal.LOGS, records_with_errors(1_000, set(range(1, 1_000, 2))))

    assert len(shown) == 20
    assert sum(row[SEVERITY] == 17 for row in shown) == 10
    assert {int(str(row[BODY])) // 100 for row in shown} == set(range(10))


def random_spans(traces: int, per_trace: int, *, bad: int = -1, seed: int = 7) -> ConvertedRequest:
    """Return spans of traces with random ids, mixed; those of trace ``bad`` failed."""
    rng = Random(seed)
    rows: list[tuple[Any, ...]] = []
    for number in range(traces):
        trace_id = rng.randbytes(16)
        for n in range(per_trace):
            row = list(span_row(n, time=TIME, status=2 if number == bad else 0))
            row[TRACE] = trace_id
            rows.append(tuple(row))
    rng.shuffle(rows)
    return request(signal=Signal.TRACES, rows=rows)


def test_of_spans_whole_traces_are_shown() -> None:
    """However many there are of those that are chosen, and whichever flush they come in."""
    for seed in range(20):
        flush = random_spans(200, 5, seed=seed)

        shown = pick(sampler(at_once=100)[0], Signal.TRACES, flush)

        counts = Counter(row[TRACE] for row in shown)
        assert 30 <= len(shown) <= 100
        assert set(counts.values()) == {5}


def test_a_trace_that_has_no_room_even_alone_is_begun() -> None:
    """A tail of one giant trace shows something, too."""
    flush = random_spans(1, 300)
    flush.rows = [(*row[:TRACE], bytes(16), *row[TRACE + 1 :]) for row in flush.rows]

    assert len(pick(sampler(at_once=10)[0], Signal.TRACES, flush)) == 10


def test_failed_spans_come_first() -> None:
    """Those of the one trace that failed are all there."""
    flush = random_spans(200, 5, bad=120)

    shown = pick(sampler(at_once=20)[0], Signal.TRACES, flush)

    assert sum(row[STATUS] == 2 for row in shown) == 5
    assert len(shown) <= 20


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    per_s=st.integers(1, 200),
    at_once=st.integers(1, 50),
    signal=st.sampled_from(Signal),
    bad=st.integers(0, 1),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=4),
)
def test_never_more_than_there_is_room_for(
    sizes: list[int], per_s: int, at_once: int, signal: Signal, bad: int, pauses: list[float]
) -> None:
    """And never a row twice, nor out of its order."""
    of, clock = sampler(per_s, at_once)

    def make(size: int) -> ConvertedRequest:
        if signal is Signal.LOGS:
            return records_with_errors(size, set(range(bad * size)))
        if signal is Signal.METRICS:
            return points(size)
        return random_spans(size, 2, bad=0 if bad else -1)

    shown = 0
    for pause in pauses:
        clock.move(timedelta(seconds=pause))
        flush = [make(size) for size in sizes]
        places = {id(row): n for n, row in enumerate(r for each in flush for r in each.rows)}

        chosen = of.pick(signal, flush, items_of(*flush))

        order = [places[id(row)] for _, row in chosen]
        assert order == sorted(set(order))
        assert all(any(row is each for each in owner.rows) for owner, row in chosen)
        assert len(chosen) <= at_once
        shown += len(chosen)

    assert shown <= max(1.0, per_s * BURST_S) + per_s * sum(pauses)
