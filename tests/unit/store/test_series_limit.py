"""The bucket of new series, and which requests of a group have to wait for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from collector.rows import Signal
from collector.store.series_limit import SeriesLimit, numbers_beyond
from tests.clocks import HandClock
from tests.converted import dimensions, metric_row, request, resource_row, scope_row, series_row

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest, SeriesRow


def series_of(name: str) -> SeriesRow:
    """Return the series of the metric ``name``."""
    return series_row(metric_row(name), resource_row(), scope_row())


def bringing(*names: str) -> ConvertedRequest:
    """Return a request that refers to a series of each name."""
    dims = dimensions(series=[series_of(name) for name in names])
    return request(" ".join(names), signal=Signal.METRICS, dims=dims)


def ids_of(names: str) -> set[int]:
    """Return the ids of the series of each letter."""
    return {series_of(name).series_id for name in names}


def test_bucket_is_full_at_the_start_and_after_a_minute() -> None:
    """It fills steadily, and never beyond one minute's series."""
    clock = HandClock()
    limit = SeriesLimit(600, clock)
    assert limit.left() == 600

    limit.spend(600)
    assert limit.left() == 0
    clock.move(timedelta(seconds=1))
    assert limit.left() == pytest.approx(10)
    clock.move(timedelta(seconds=59))
    assert limit.left() == pytest.approx(600)
    clock.move(timedelta(hours=1))
    assert limit.left() == 600


def test_debt_is_waited_for() -> None:
    """What one request took too much comes out of the next minutes: the mean stays."""
    clock = HandClock()
    limit = SeriesLimit(60, clock)

    limit.spend(180)

    assert limit.left() == -120
    clock.move(timedelta(minutes=2))
    assert limit.left() == pytest.approx(0)


def test_looking_often_gains_nothing() -> None:
    """A look in between neither makes nor loses series."""
    clock = HandClock()
    limit = SeriesLimit(60, clock)
    limit.spend(60)

    for _ in range(1_000):
        clock.move(timedelta(milliseconds=10))
        limit.left()

    assert limit.left() == pytest.approx(10)


@pytest.mark.parametrize(
    ("left", "new", "beyond"),
    [
        (3.0, "abc", set[int]()),
        (2.0, "abc", {2}),
        (1.0, "abc", {1, 2}),
        (0.5, "abc", {1, 2}),  # while anything is left one passes
        (0.0, "abc", {0, 1, 2}),
        (-5.0, "c", {2}),
        (-5.0, "", set[int]()),
    ],
)
def test_requests_pass_in_order_while_anything_is_left(
    left: float, new: str, beyond: set[int]
) -> None:
    """Who needs no new series passes always."""
    group = [bringing("a"), bringing("b"), bringing("c")]

    assert numbers_beyond(group, ids_of(new), left) == beyond


def test_request_larger_than_what_is_left_passes_whole() -> None:
    """It would never pass otherwise; those behind it wait."""
    group = [bringing("a", "b", "c"), bringing("d")]

    assert numbers_beyond(group, ids_of("abcd"), 1.0) == {1}


def test_series_that_an_earlier_request_brings_is_new_once() -> None:
    """It counts for the first, and nobody waits for it behind that one."""
    group = [bringing("a"), bringing("a"), bringing("a", "b"), bringing("a")]

    assert numbers_beyond(group, ids_of("ab"), 1.0) == {2}
