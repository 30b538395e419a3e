"""query.time_range: nanoseconds of callers become microseconds of PostgreSQL."""

from __future__ import annotations

import pytest

from collector.query.time_range import TimeRange, unix_ns

EPOCH_NS = 946_684_800 * 10**9


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "expected"),
    [
        (EPOCH_NS, EPOCH_NS + 1_000, (0, 1)),
        (EPOCH_NS + 999, EPOCH_NS + 1_001, (0, 2)),
        (EPOCH_NS - 1, EPOCH_NS, (-1, 0)),
    ],
)
def test_a_range_covers_what_was_asked_for(
    start_ns: int, end_ns: int, expected: tuple[int, int]
) -> None:
    """To the whole microsecond, outwards."""
    assert TimeRange.from_unix_ns(start_ns, end_ns) == expected


def test_times_beyond_postgresql_become_its_bounds() -> None:
    """However far: a client that means "everything" is no error."""
    found = TimeRange.from_unix_ns(-(10**30), 10**30)

    assert found.start > -(2**63)
    assert found.end < 2**63 - 1
    assert found.length_us > 0


def test_a_range_that_ends_before_it_begins_is_empty() -> None:
    """And has no negative length."""
    assert TimeRange(5, 3).length_us == 0


def test_nanoseconds_come_back() -> None:
    """A time without nanoseconds is one with none."""
    assert unix_ns(1, 234) == EPOCH_NS + 1_234
    assert unix_ns(1, None) == EPOCH_NS + 1_000
