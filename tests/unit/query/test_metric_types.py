"""query.metric_types: functions by name, and steps that are the same for every range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadParameterError
from collector.query.metric_types import STEPS_MAX, Function, Quantile, Steps, parse_function
from collector.query.time_range import TimeRange
from collector.rows import PG_EPOCH_UNIX_US

TIMES = st.integers(-(10**15), 10**15)


@given(TIMES, st.integers(1, 10**9), st.integers(1, 10**8))
def test_steps_cover_the_range_and_no_step_is_idle(start: int, length: int, step: int) -> None:
    """They begin at multiples of their length since 1970, so that answers of two ranges agree."""
    when = TimeRange(start, start + min(length, step * (STEPS_MAX - 1)))

    steps = Steps.of(when, step)

    assert (steps.start + PG_EPOCH_UNIX_US) % step == 0
    assert steps.start <= when.start < steps.start + step
    assert steps.end - step < when.end <= steps.end
    assert steps.unix_nano(0) == (steps.start + PG_EPOCH_UNIX_US) * 1_000


def test_a_range_that_ends_before_it_begins_has_no_steps() -> None:
    """Nor has an empty one."""
    assert Steps.of(TimeRange(5, 5), 10).count == 0
    assert Steps.of(TimeRange(50, 5), 10).count == 0


@pytest.mark.parametrize("step", [0, -1, 10**18])
def test_a_length_that_no_step_has_is_refused(step: int) -> None:
    """Naming the parameter."""
    with pytest.raises(BadParameterError, match="step"):
        Steps.of(TimeRange(0, 10), step)


def test_too_many_steps_are_refused_with_a_step_that_will_do() -> None:
    """Which is then taken."""
    when = TimeRange(1, 86_400 * 10**6)
    with pytest.raises(BadParameterError, match="at least 8s"):
        Steps.of(when, 10**6)

    assert Steps.of(when, 8 * 10**6).count <= STEPS_MAX


def test_functions_have_names() -> None:
    """Those of series, and any quantile in percent."""
    assert [parse_function(name) for name in Function] == list(Function)
    assert parse_function("p99.9") == Quantile(0.999)
    assert str(Quantile(0.999)) == "p99.9"
    assert parse_function("p0") == Quantile(0)


@pytest.mark.parametrize("text", ["", "p", "p101", "p-1", "pnan", "p1e1", "median", "p1.2.3", "p²"])
def test_anything_else_is_refused(text: str) -> None:
    """With what may be asked for."""
    with pytest.raises(BadParameterError, match="rate"):
        parse_function(text)
