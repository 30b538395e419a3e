"""Which moments a set of leaves covers."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from collector.maintain.leaves import Coverage, day_us

Leaves = list[tuple[int, int]]


def leaves() -> st.SearchStrategy[Leaves]:
    """Any leaves, in any order: neighbours, with gaps, even overlapping."""
    starts = st.integers(-50, 50)
    return st.lists(st.tuples(starts, st.integers(1, 20)).map(lambda leaf: (leaf[0], sum(leaf))))


@given(leaves(), st.integers(-60, 80), st.integers(0, 30))
def test_holds_says_what_a_look_at_each_leaf_says(some: Leaves, first: int, more: int) -> None:
    """A range is held when each of its moments lies in some leaf, start in, end out."""
    expected = all(any(s <= t < e for s, e in some) for t in range(first, first + more + 1))

    assert Coverage(some).holds(first, first + more) is expected


@given(leaves(), st.lists(st.integers(-60, 80)), st.integers(1, 24))
def test_missing_names_each_slot_once(some: Leaves, times: list[int], slot: int) -> None:
    """Every time without a leaf shares its slot with exactly one of the answers."""
    coverage = Coverage(some)
    uncovered = [t for t in times if not coverage.holds(t, t)]

    missing = coverage.missing(times, slot)

    assert set(missing) <= set(uncovered)
    assert sorted(t // slot for t in missing) == sorted({t // slot for t in uncovered})


def test_days_are_counted_from_the_epoch_of_postgresql() -> None:
    """A day begins at its first microsecond, before and after the epoch."""
    assert day_us(date(2000, 1, 2)) == 86_400_000_000
    assert day_us(date(1970, 1, 1)) == -946_684_800_000_000
