"""Steps of time: a range in pieces of equal length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.errors import BadParameterError

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange

STEPS_MAX: Final = 1_000
"""Whole steps in the range of one answer."""

ORIGIN: Final = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
"""Every step begins a multiple of its length after this."""


def steps_of(when: TimeRange, step_us: int) -> int:
    """Return how many steps a range touches; the first and the last may be cut by it.

    Raises:
        BadParameterError: they are more than ``STEPS_MAX``, or the step has no length.
    """
    if step_us < 1:
        raise BadParameterError("step", "must be longer than nothing")
    if when.length_us > STEPS_MAX * step_us:
        raise BadParameterError("step", f"must be so long that the range has at most {STEPS_MAX}")
    return when.length_us // step_us + 1


def binned(column: str, step: str, origin: str = ORIGIN) -> str:
    """Return SQL for the start of the step that a time lies in; ``step`` is one in microseconds."""
    return f"date_bin({step} * interval '1 microsecond', {column}, {origin})"
