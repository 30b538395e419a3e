"""Moving windows: points in time, each with what came in a length of time before it.

A window is a whole number of steps long, so a span is counted once, in the cell of its step, and
each point adds up the cells of its window. What one point costs depends neither on how many spans
there are nor on how long its window is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Final, NamedTuple, Self

from collector.errors import BadParameterError
from collector.query.time_range import TimeRange

WINDOWS_MAX: Final = 3_000
"""Points of one series: two days by the minute are 2 881."""
STEPS_MAX: Final = 3_000
"""Steps in one window."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Points at equal distances, and how far each looks back.

    Attributes:
        first: the first point; microseconds since 2000-01-01.
        step_us: from one point to the next.
        count: of points, at least one.
        steps: in a window, at least one.
    """

    first: int
    step_us: int
    count: int
    steps: int

    @classmethod
    def of(cls, when: TimeRange, step_us: int, length_us: int) -> Self:
        """Return windows of at least ``length_us``; the last one ends where the range does.

        Windows that are shorter than a step would miss what lies between them: they are as long
        as one.

        Raises:
            BadParameterError: they are too many, or are of too many steps, or a step is nothing.
        """
        if step_us < 1:
            raise BadParameterError("step", "must be longer than nothing")
        count, steps = when.length_us // step_us + 1, max(1, -(-length_us // step_us))
        if count > WINDOWS_MAX:
            raise BadParameterError(
                "step", f"must be so long that the range has at most {WINDOWS_MAX - 1}"
            )
        if steps > STEPS_MAX:
            raise BadParameterError(
                "step", f"must be so long that a window has at most {STEPS_MAX}"
            )
        return cls(when.end - (count - 1) * step_us, step_us, count, steps)

    @property
    def reach(self) -> TimeRange:
        """All that some window holds; cells are counted from its start."""
        return TimeRange(
            self.first - self.steps * self.step_us, self.first + (self.count - 1) * self.step_us
        )

    @property
    def length_us(self) -> int:
        """How long each window is."""
        return self.steps * self.step_us

    def points(self) -> range:
        """Return the points; a window holds what came before its point, not at it."""
        return range(self.first, self.reach.end + 1, self.step_us)


class Cell(NamedTuple):
    """What began in one step of the reach of windows.

    Attributes:
        step: its number, from 0.
        calls: spans.
        errors: of these, with status error.
        buckets: of their durations, each once, in any order.
        spans: in each bucket; may add up to less than ``calls``.
    """

    step: int
    calls: int
    errors: int
    buckets: Sequence[int] = ()
    spans: Sequence[int] = ()


def sums(windows: Windows, counts: Iterable[tuple[int, int]]) -> list[int]:
    """Return the sum of each window, given the counts of some of the steps."""
    by_step = [0] * (windows.count + windows.steps)
    for step, count in counts:
        by_step[step + 1] += count
    upto = list(accumulate(by_step))
    return [upto[n + windows.steps] - upto[n] for n in range(windows.count)]


def quantiles(windows: Windows, cells: Sequence[Cell], quantile: float) -> list[int | None]:
    """Return for each window the first bucket that a share of its durations does not exceed.

    Shape: None for a window without durations.
    """
    lowest = min((min(cell.buckets) for cell in cells if cell.buckets), default=0)
    highest = max((max(cell.buckets) for cell in cells if cell.buckets), default=0)
    share = Fraction(repr(quantile))  # 0.07 of 100 is 7, and as a double more than that
    by_step = {cell.step: cell for cell in cells if cell.buckets}
    counts, known, found = [0] * (highest - lowest + 1), 0, list[int | None]()

    def change(step: int, sign: int) -> int:
        """Add or take away what began in a step; return how much that was."""
        cell = by_step.get(step)
        if cell is None:
            return 0
        for bucket, spans in zip(cell.buckets, cell.spans, strict=True):
            counts[bucket - lowest] += sign * spans
        return sign * sum(cell.spans)

    for step in range(windows.steps - 1):
        known += change(step, 1)
    for n in range(windows.count):
        came = change(n + windows.steps - 1, 1)
        went = change(n - 1, -1)
        known += came + went
        if n and not came and not went:
            found.append(found[-1])
        elif not known:
            found.append(None)
        else:
            rank = max(1, -(-known * share.numerator // share.denominator))
            found.append(lowest + bisect_left(list(accumulate(counts)), rank))
    return found
