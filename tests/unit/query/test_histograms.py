"""query.histograms: sums that lose nothing but resolution, and quantiles that stay in their bucket."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.query.histograms import (
    Cell,
    Explicit,
    Exponential,
    add_explicit,
    add_exponential,
    bound_of,
    quantile,
)

BOUNDS = st.sets(st.sampled_from([-2.0, 0.0, 1.0, 2.5, 5.0, 10.0]), max_size=5).map(
    lambda bounds: tuple(sorted(bounds))
)
VALUES = st.lists(st.floats(-5, 20), max_size=12)
MAGNITUDES = st.lists(st.floats(1e-3, 1e6), max_size=12)


def explicit(bounds: tuple[float, ...], values: list[float]) -> Explicit:
    """Return the histogram of values, whose buckets include their upper bounds."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return Explicit(bounds, tuple(counts))


def exponential(scale: int, values: list[float], zero_threshold: float = 0.0) -> Exponential:
    """Return the histogram of values, taken one by one as an SDK does."""
    sides: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    zeros = 0
    for value in values:
        if abs(value) <= zero_threshold:
            zeros += 1
        else:
            sides[value < 0][index_of(abs(value), scale)] += 1
    return Exponential(scale, zero_threshold, zeros, *sides)


def index_of(value: float, scale: int) -> int:
    """Return the bucket (base^i, base^(i+1)] that holds a value."""
    index = math.ceil(math.log2(value) * 2.0**scale) - 1
    while bound_of(index, scale) >= value:
        index -= 1
    while bound_of(index + 1, scale) < value:
        index += 1
    return index


def total_of(cells: list[Cell]) -> int:
    """Return how many measurements cells hold."""
    return sum(cell.count for cell in cells)


# -- explicit bounds -----------------------------------------------------------------------------


@given(st.lists(st.tuples(BOUNDS, VALUES), min_size=1, max_size=4))
def test_a_sum_is_the_histogram_of_all_measurements(
    parts: list[tuple[tuple[float, ...], list[float]]],
) -> None:
    """At the bounds that all have; so the count is kept, and nothing was guessed."""
    common = frozenset[float].intersection(*(frozenset(bounds) for bounds, _ in parts))
    everything = [value for _, values in parts for value in values]

    found = add_explicit(explicit(bounds, values) for bounds, values in parts)

    assert found == explicit(tuple(sorted(common)), everything)


@given(*[st.tuples(BOUNDS, VALUES)] * 3)
def test_the_order_of_adding_does_not_matter(
    a: tuple[tuple[float, ...], list[float]],
    b: tuple[tuple[float, ...], list[float]],
    c: tuple[tuple[float, ...], list[float]],
) -> None:
    """Two first and then the third, or all at once, or from behind."""
    x, y, z = (explicit(*part) for part in (a, b, c))

    left = add_explicit([add_explicit([x, y]), z])
    right = add_explicit([x, add_explicit([y, z])])

    assert left == right == add_explicit([z, y, x])


def test_without_common_bounds_no_quantile_is_told() -> None:
    """One bucket of everything is left, which says nothing of where measurements lie."""
    found = add_explicit([Explicit((1.0,), (1, 2)), Explicit((2.0,), (3, 4))])

    assert found == Explicit((), (10,))
    assert quantile(found.cells(), 0.5, None, None) is None


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [
        ((1.0, 2.0), (1, 2)),
        ((2.0, 1.0), (1, 2, 3)),
        ((1.0, 1.0), (1, 2, 3)),
        ((math.nan,), (1, 2)),
        (None, None),
        ((), (6,)),
        ((1.0,), None),
    ],
)
def test_buckets_that_mean_nothing_become_one(
    bounds: tuple[float, ...] | None, counts: tuple[int, ...] | None
) -> None:
    """Too few, or bounds that do not ascend: the measurements still count."""
    assert Explicit.of(bounds, counts, 6) == Explicit((), (6,))


def test_a_bucket_that_shrank_counts_nothing() -> None:
    """A difference is never below 0."""
    grown = add_explicit([Explicit((1.0,), (5, 1)), Explicit((1.0,), (2, 4)).negated()])

    assert grown.floored() == Explicit((1.0,), (3, 0))


# -- exponential buckets -------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-2, 6), MAGNITUDES, MAGNITUDES), min_size=1, max_size=4))
def test_the_coarsest_scale_holds_all(
    parts: list[tuple[int, list[float], list[float]]],
) -> None:
    """As if every measurement had been taken at that scale."""
    scale = min(scale for scale, _, _ in parts)
    signed = [(s, up + [-value for value in down]) for s, up, down in parts]
    everything = [value for _, values in signed for value in values]

    found = add_exponential(exponential(s, values) for s, values in signed)

    assert found == exponential(scale, everything)


@given(*[st.tuples(st.integers(-2, 6), MAGNITUDES)] * 3)
def test_exponential_ones_may_be_added_in_any_order(
    a: tuple[int, list[float]], b: tuple[int, list[float]], c: tuple[int, list[float]]
) -> None:
    """Of equal zero buckets."""
    x, y, z = (exponential(*part) for part in (a, b, c))

    left = add_exponential([add_exponential([x, y]), z])
    right = add_exponential([x, add_exponential([y, z])])

    assert left == right == add_exponential([z, y, x])


@given(
    st.lists(
        st.tuples(st.integers(-2, 6), VALUES, st.sampled_from([0.0, 0.5, 3.0])),
        min_size=1,
        max_size=4,
    )
)
def test_the_widest_zero_bucket_takes_what_it_touches(
    parts: list[tuple[int, list[float], float]],
) -> None:
    """No measurement is lost, and no bucket reaches into it."""
    found = add_exponential(exponential(*part) for part in parts)

    cells = list(found.cells())
    assert total_of(cells) == sum(len(values) for _, values, _ in parts)
    assert found.zero_threshold >= max(threshold for _, _, threshold in parts)
    assert all(first.high <= second.low for first, second in pairwise(cells))


def test_a_part_that_is_taken_away_leaves_the_rest() -> None:
    """Also in the zero bucket and below it."""
    before = exponential(3, [1.5, 0.0, -2.0])
    after = exponential(3, [1.5, 1.5, 0.0, 0.0, -2.0, -7.0])

    grown = add_exponential([after, before.negated()]).floored()

    assert grown == exponential(3, [1.5, 0.0, -7.0])


@pytest.mark.parametrize("scale", [-(2**31), -11, 0, 20, 2**31 - 1])
@pytest.mark.parametrize("index", [-(2**31), -1, 0, 1, 2**31 + 160])
def test_any_bucket_that_can_be_sent_has_a_bound(index: int, scale: int) -> None:
    """Beyond what a double holds it is 0 or infinite; nothing is raised."""
    assert 0 <= bound_of(index, scale) <= math.inf

    found = add_exponential([Exponential(scale, 0.0, 1, {index: 2}), Exponential(0, 0.0, 1)])

    assert total_of(list(found.cells())) == 4
    assert not math.isnan(quantile(found.cells(), 0.9, None, None) or 0.0)


# -- quantiles -----------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-5, 20), min_size=1, max_size=20),
    st.floats(0, 1),
    st.sampled_from(["explicit", "exponential"]),
)
def test_a_quantile_lies_in_the_bucket_of_its_rank(
    values: list[float], q: float, kind: str
) -> None:
    """And between the smallest and the largest measurement."""
    bounds = (-2.0, 0.0, 1.0, 5.0, 10.0)
    cells = list(
        (explicit(bounds, values) if kind == "explicit" else exponential(2, values)).cells()
    )
    rank = max(1, math.ceil(q * len(values) - 1e-9))
    measured = sorted(values)[rank - 1]
    mirrored = kind == "exponential" and measured < 0  # a bucket holds its far end
    home = next(
        c
        for c in cells
        if (c.low <= measured < c.high if mirrored else c.low < measured <= c.high)
        or c.low == measured == c.high
    )

    found = quantile(cells, q, min(values), max(values))

    assert found is not None
    assert min(values) <= found <= max(values)
    assert home.low <= found * (1 + 1e-9) or home.low <= found
    assert found <= home.high or math.isclose(found, home.high)


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_quantile_is_not_lower(values: list[float], a: float, b: float) -> None:
    """Of the same measurements."""
    cells = list(exponential(1, values, 0.25).cells())

    low, high = (quantile(cells, q, None, None) for q in sorted((a, b)))

    assert low is not None
    assert high is not None
    assert low <= high or math.isclose(low, high)


@pytest.mark.parametrize(
    ("cells", "q", "edges", "expected"),
    [
        (Explicit((1.0, 2.0), (0, 4, 0)), 0.5, (None, None), 1.5),
        (Explicit((1.0, 2.0), (4, 0, 0)), 0.5, (None, None), 0.5),
        (Explicit((1.0, 2.0), (4, 0, 0)), 0.5, (0.8, None), 0.9),
        (Explicit((-1.0, 2.0), (4, 0, 0)), 0.5, (None, None), -1.0),
        (Explicit((1.0, 2.0), (0, 0, 4)), 0.5, (None, None), 2.0),
        (Explicit((1.0, 2.0), (0, 0, 4)), 0.5, (None, 6.0), 4.0),
        (Explicit((1.0, 2.0), (0, 0, 4)), 1.0, (None, 6.0), 6.0),
        (Explicit((1.0, 2.0), (0, 0, 4)), 0.5, (None, math.inf), 2.0),
        (Explicit((1.0, 2.0), (0, 0, 0)), 0.5, (None, None), None),
        (Exponential(0, 0.0, 0, {0: 2}), 0.5, (None, None), math.sqrt(2)),
        (Exponential(0, 0.0, 0, {}, {0: 2}), 0.5, (None, None), -math.sqrt(2)),
        (Exponential(0, 0.5, 4, {3: 1}), 0.4, (None, None), 0.25),
        (Exponential(0, 0.0, 4, {3: 1}), 0.5, (None, None), 0.0),
    ],
)
def test_where_in_a_bucket(
    cells: Explicit | Exponential,
    q: float,
    edges: tuple[float | None, float | None],
    expected: float | None,
) -> None:
    """Linear between bounds, geometric between powers; edges where they are known."""
    found = quantile(cells.cells(), q, *edges)

    assert found == (None if expected is None else pytest.approx(expected))
