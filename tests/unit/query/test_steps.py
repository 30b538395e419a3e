"""query.steps: how many steps a range touches."""

from __future__ import annotations

import pytest

from collector.errors import BadParameterError
from collector.query.steps import STEPS_MAX, steps_of
from collector.query.time_range import TimeRange
from collector.rows import PG_EPOCH_UNIX_US


@pytest.mark.parametrize(
    ("start", "end", "touched"),
    [(75, 225, 3), (100, 200, 1), (100, 201, 2), (99, 200, 2), (199, 201, 2), (120, 130, 1),
     (100, 100, 0), (200, 100, 0), (-150, -50, 2)],
)  # fmt: skip
def test_a_step_is_counted_when_any_of_it_is_in_the_range(
    start: int, end: int, touched: int
) -> None:
    """Steps are multiples of their length since 1970, whatever the range begins with."""
    when = TimeRange(start - PG_EPOCH_UNIX_US, end - PG_EPOCH_UNIX_US)

    assert steps_of(when, 100) == touched


def test_a_range_holds_so_many_steps() -> None:
    """It is its length that is bounded: where it begins does not make it too long."""
    start = 7 - PG_EPOCH_UNIX_US

    assert steps_of(TimeRange(start, start + STEPS_MAX * 10), 10) == STEPS_MAX + 1
    with pytest.raises(BadParameterError, match="at most 1000"):
        steps_of(TimeRange(start, start + STEPS_MAX * 10 + 1), 10)
    with pytest.raises(BadParameterError, match="longer than nothing"):
        steps_of(TimeRange(start, start + 1), 0)
