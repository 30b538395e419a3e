"""query.windows: sums and quantiles of moving windows are those of a naive count."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadParameterError
from collector.query.time_range import TimeRange
from collector.query.windows import STEPS_MAX, WINDOWS_MAX, Cell, Windows, quantiles, sums

SHARES = (0.0, 0.07, 0.5, 0.95, 0.999, 1.0, 1e-7)


@st.composite
def counted(draw: st.DrawFn) -> tuple[Windows, list[Cell]]:
    """Some windows, and what began in some of their cells."""
    windows = Windows(0, 10, draw(st.integers(1, 12)), draw(st.integers(1, 6)))
    cells: list[Cell] = []
    for step in range(windows.count + windows.steps - 1):
        known = draw(st.dictionaries(st.integers(-1, 6), st.integers(1, 40), max_size=3))
        calls = sum(known.values()) + draw(st.integers(0, 2))
        if calls:
            cells.append(Cell(step, calls, calls // 2, [*known], [*known.values()]))
    return windows, draw(st.permutations(cells))


@given(counted(), st.sampled_from(SHARES))
def test_windows_move_as_a_naive_count_does(made: tuple[Windows, list[Cell]], share: float) -> None:
    """Each point has what lies in the steps before it, however cells come."""
    windows, cells = made
    held = [
        [cell for cell in cells if n <= cell.step < n + windows.steps] for n in range(windows.count)
    ]
    assert sums(windows, ((cell.step, cell.calls) for cell in cells)) == [
        sum(cell.calls for cell in of_it) for of_it in held
    ]
    expected: list[int | None] = []
    for of_it in held:
        every = sorted(
            bucket
            for cell in of_it
            for bucket, spans in zip(cell.buckets, cell.spans, strict=True)
            for _ in range(spans)
        )
        rank = max(1, ceil(Fraction(str(share)) * len(every)))
        expected.append(every[rank - 1] if every else None)
    assert quantiles(windows, cells, share) == expected


def test_the_last_window_ends_with_the_range() -> None:
    """Points lie in the range, both ends counted; the first window begins before it."""
    windows = Windows.of(TimeRange(1_000, 1_035), step_us=10, length_us=25)

    assert list(windows.points()) == [1_005, 1_015, 1_025, 1_035]
    assert windows.length_us == 30
    assert windows.reach == TimeRange(975, 1_035)
    assert windows.reach.length_us // windows.step_us == windows.count + windows.steps - 1


def test_no_window_is_shorter_than_a_step() -> None:
    """Nothing falls between two of them."""
    assert Windows.of(TimeRange(0, 100), step_us=50, length_us=1).length_us == 50
    assert list(Windows.of(TimeRange(0, 10), step_us=50, length_us=1).points()) == [10]


@pytest.mark.parametrize(
    ("step_us", "length_us"), [(0, 1), (-1, 1), (1, 1), (10**6, STEPS_MAX * 10**6 + 1)]
)
def test_windows_are_bounded(step_us: int, length_us: int) -> None:
    """In number and in length."""
    with pytest.raises(BadParameterError, match="step"):
        Windows.of(TimeRange(0, WINDOWS_MAX), step_us, length_us)
