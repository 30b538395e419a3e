"""Time as an argument, so that a test can hold it still."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two times that otlpg uses."""

    def unix_ns(self) -> int:
        """Return the wall clock in nanoseconds since 1970-01-01 UTC; it may jump."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def unix_ns(self) -> int:
        """Return the machine's wall clock in nanoseconds."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Return the machine's monotonic clock in seconds."""
        return time.monotonic()
