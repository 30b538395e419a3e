"""A clock that a test moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
"""A Saturday; the moment at which tests begin unless they say otherwise."""


class HandClock:
    """Stands still until told otherwise; both of its times move together."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self._start = now

    def unix_ns(self) -> int:
        """Return the moment in nanoseconds since 1970."""
        return (
            round((self.now - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
        )

    def monotonic_s(self) -> float:
        """Return the seconds that this clock was moved by."""
        return (self.now - self._start).total_seconds()

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by
