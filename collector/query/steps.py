"""Steps of time: a range in pieces of equal length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.errors import BadParameterError
from collector.rows import PG_EPOCH_UNIX_US

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange

STEPS_MAX: Final = 1_000
"""Whole steps in the range of one answer."""

ORIGIN: Final = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
"""Every step begins a multiple of its length after this."""


def steps_of(when: TimeRange, step_us: int) -> int:
    """Return how many steps a range touches; the first and the last may be cut by it.

    None for a range of nothing; one more than ``STEPS_MAX`` where so many fit and it begins in the
    midst of one.

    Raises:
        BadParameterError: it is longer than ``STEPS_MAX`` steps, or the step has no length.
    """
    if step_us < 1:
        raise BadParameterError("step", "must be longer than nothing")
    if when.length_us > STEPS_MAX * step_us:
        raise BadParameterError("step", f"must be so long that the range has at most {STEPS_MAX}")
    if not when.length_us:
        return 0
    first, last = ((time + PG_EPOCH_UNIX_US) // step_us for time in (when.start, when.end - 1))
    return last - first + 1


def binned(column: str, step: str, origin: str = ORIGIN) -> str:
    """Return SQL for the start of the step that a time lies in; ``step`` is one in microseconds."""
    return f"date_bin({step} * interval '1 microsecond', {column}, {origin})"
