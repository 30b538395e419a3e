"""cli.chart: what is drawn stands where it belongs, whatever the values are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.chart import Range, number_text, rows, sparkline

NUMBERS = st.floats()


def drawn(values: dict[int, float], steps: int, **options: bool) -> list[str]:
    """Return a chart of four cells by two."""
    return rows(values, steps, width=4, height=2, shown=Range(0.0, 1.0), **options)


def test_low_values_lie_below_and_later_ones_to_the_right() -> None:
    """The corners of a chart."""
    assert drawn({0: 0.0}, 8) == ["    ", "⡀   "]
    assert drawn({7: 1.0}, 8) == ["   ⠈", "    "]


def test_neighbours_are_joined_and_a_gap_is_not() -> None:
    """Nothing is known of an empty step."""
    joined = drawn({0: 0.0, 1: 1.0}, 2)
    apart = drawn({0: 0.0, 2: 1.0}, 4)

    assert all(row[:2].strip() for row in joined)
    assert apart == ["  ⠁ ", "⡀   "]


def test_a_star_stands_for_dots_where_there_are_none() -> None:
    """On a terminal that is not in UTF-8."""
    assert drawn({0: 0.0, 7: 1.0}, 8, is_ascii=True) == ["   *", "*   "]


def test_a_sparkline_goes_up_with_its_values() -> None:
    """An empty cell is a space; several steps in one cell are averaged."""
    values = {0: 0.0, 1: 0.5, 3: 1.0, 6: 0.0, 7: 1.0}
    assert sparkline(values, 8, width=8, shown=Range(0.0, 1.0)) == "▁▅ █  ▁█"
    assert sparkline(values, 8, width=4, shown=Range(0.0, 1.0), is_ascii=True) == "-# ="


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 10.0], Range(0.0, 10.0)),
        ([9.0, 10.0], Range(9.0, 10.0)),
        ([5.0, 5.0], Range(4.5, 5.5)),
        ([-1.0, 10.0], Range(-1.0, 10.0)),
        ([], Range(0.0, 1.0)),
        ([math.nan, math.inf, 2.0], Range(1.5, 2.5)),
    ],
)
def test_a_range_begins_at_zero_where_that_is_not_far(values: list[float], expected: Range) -> None:
    """And has a height."""
    assert Range.of(values) == expected


@given(
    st.dictionaries(st.integers(0, 499), NUMBERS, max_size=30),
    st.integers(1, 30),
    st.integers(1, 6),
)
def test_any_values_make_a_chart_of_its_size(
    values: dict[int, float], width: int, height: int
) -> None:
    """Of as many rows and cells as asked for; NaN and infinity are left out."""
    shown = Range.of(list(values.values()))

    found = rows(values, 500, width=width, height=height, shown=shown)

    assert len(found) == height
    assert {len(row) for row in found} == {width}
    assert len(sparkline(values, 500, width=width, shown=shown)) == width
    assert any(row.strip() for row in found) == any(map(math.isfinite, values.values()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.25, "250m"),
        (1.0, "1"),
        (-1234.0, "-1.234k"),
        (12_345_678.0, "12.35M"),
        (1e20, "1e+20"),
        (1e-9, "1e-09"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_is_short(value: float, text: str) -> None:
    """Four digits, and the sign of its size."""
    assert number_text(value) == text
