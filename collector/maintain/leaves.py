"""Which times the leaves of a table cover: the answer that a flush needs, without asking again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_EPOCH = date(2000, 1, 1)


def day_us(day: date) -> int:
    """Return the first microsecond of a UTC day, counted from 2000-01-01."""
    return (day - _EPOCH).days * DAY_US


class Coverage:
    """The union of the leaves of one table.

    Units: microseconds since 2000-01-01; a leaf holds its start and not its end.
    """

    def __init__(self, leaves: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(leaves):
            if self._ends and start <= self._ends[-1]:  # they touch: one stretch for a reader
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def holds(self, time_min: int, time_max: int) -> bool:
        """Return whether every moment from ``time_min`` to ``time_max``, both in, has a leaf."""
        index = bisect_right(self._starts, time_min) - 1
        return index >= 0 and time_max < self._ends[index]

    def missing(self, times: Iterable[int], slot_us: int) -> list[int]:
        """Return one of the times without a leaf for each slot of this length, in order."""
        return sorted({t // slot_us: t for t in times if not self.holds(t, t)}.values())
