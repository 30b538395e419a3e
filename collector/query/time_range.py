"""When: every question has a beginning and an end, which choose the partitions to read."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from collector.rows import PG_EPOCH_UNIX_US

_US_MIN: Final = -211_810_204_800_000_000  # 4714-11-24 BC
_US_END: Final = 9_223_371_331_200_000_000  # 294277-01-01
"""What a ``timestamptz`` can hold."""


class TimeRange(NamedTuple):
    """From ``start`` on, and before ``end``.

    Units: microseconds since 2000-01-01 UTC, which is what ``timestamptz`` is to the driver.
    """

    start: int
    end: int

    @classmethod
    def from_unix_ns(cls, start_ns: int, end_ns: int) -> Self:
        """Return the range of whole microseconds that covers one in nanoseconds since 1970.

        Times that PostgreSQL cannot hold become the nearest that it can.
        """
        return cls(stored_time(start_ns), stored_time(end_ns + 999))

    @property
    def length_us(self) -> int:
        """Its length; 0 for one that ends before it begins."""
        return max(0, self.end - self.start)


def _held(time: int) -> int:
    return min(max(time, _US_MIN), _US_END - 1)


EVER: Final = TimeRange(_US_MIN, _US_END - 1)
"""All times that PostgreSQL has."""


def stored_time(unix_nano: int) -> int:
    """Return the stored time of nanoseconds since 1970, without those below a microsecond.

    The inverse of ``unix_ns``; a time that PostgreSQL cannot hold becomes the nearest that it can.
    """
    return _held(unix_nano // 1_000 - PG_EPOCH_UNIX_US)


def unix_ns(time: int, time_ns: int | None) -> int:
    """Return nanoseconds since 1970 of a stored time and the nanoseconds below it."""
    return (time + PG_EPOCH_UNIX_US) * 1_000 + (time_ns or 0)
