"""Which slices of time an export goes through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collector.query.time_range import TimeRange

SLICE_US: Final = 3_600_000_000
"""Slices end at full hours."""


def slices_of(when: TimeRange) -> Iterator[TimeRange]:
    """Yield parts of the range, in order and without a gap, none longer than ``SLICE_US``."""
    start = when.start
    while start < when.end:
        end = min((start // SLICE_US + 1) * SLICE_US, when.end)
        yield TimeRange(start, end)
        start = end


def within(when: TimeRange, stored: TimeRange | None) -> TimeRange:
    """Return what both have; an empty range where that is nothing."""
    if stored is None:
        return TimeRange(when.start, when.start)
    start = min(max(when.start, stored.start), when.end)
    return TimeRange(start, max(start, min(when.end, stored.end)))
