"""Histograms that are added up, and quantiles of the sum: pure.

Two kinds come in, as OTLP has two, and both are added without guessing:

- *explicit* bounds: histograms of equal bounds add bucket by bucket. Of different bounds only those
  that all have are kept, and the counts between two of them are added up. That is exact, it does
  not depend on the order, and what is lost is resolution only. Without a common bound one bucket is
  left, and no quantile is told. (A count could instead be spread over the other's buckets; that
  invents where measurements lay, and depends on the order. Prometheus decided the same for its
  histograms of custom buckets.)
- *exponential*: all are brought to the coarsest scale, where a bucket is the union of two of the
  next finer one, and to the widest zero bucket; a bucket that the zero bucket would cut is taken
  into it as a whole, which widens it to that bucket's bound.

A quantile lies inside the bucket that holds its rank: by linear interpolation between explicit
bounds and in the zero bucket, by geometric interpolation in an exponential bucket, as Prometheus
has it. Its edges are the smallest and largest measurement where those are known. An outermost
bucket without an edge gives its one bound; a first bucket below a positive bound begins at 0.

Spec: opentelemetry-proto metrics/v1/metrics.proto, HistogramDataPoint and
ExponentialHistogramDataPoint; bucket ``i`` holds (base^i, base^(i+1)], base = 2^(2^-scale).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import add, neg
from typing import NamedTuple


class Cell(NamedTuple):
    """So many measurements in (low, high]."""

    low: float
    high: float
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] -- OTLP's word
    is_geometric: bool = False


@dataclass(frozen=True, slots=True)
class Explicit:
    """A histogram between explicit bounds.

    Shape: ``bounds`` ascend; ``counts`` are one more. Counts below 0 belong to what is subtracted.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(
        cls, bounds: Sequence[float] | None, counts: Sequence[int] | None, count: int
    ) -> Explicit:
        """Return the histogram of a data point; without usable buckets all are in one of ``count``."""
        if not bounds or not counts:
            return cls((), (count,))
        usable = tuple(bounds)
        if len(counts) != len(usable) + 1 or not _ascend(usable):
            return cls((), (count,))
        return cls(usable, tuple(counts))

    def cells(self) -> Iterator[Cell]:
        """Yield the buckets, ascending; the outermost reach to infinity."""
        edges = (-math.inf, *self.bounds, math.inf)
        return map(Cell, edges, edges[1:], self.counts)

    def negated(self) -> Explicit:
        """Return what takes this away when it is added."""
        return Explicit(self.bounds, tuple(map(neg, self.counts)))

    def floored(self) -> Explicit:
        """Return it without counts below 0: buckets that shrank though their sum grew."""
        return Explicit(self.bounds, tuple(max(0, count) for count in self.counts))


def add_explicit(parts: Iterable[Explicit]) -> Explicit:
    """Return the sum of at least one histogram, at the bounds that all have."""
    by_bounds: dict[tuple[float, ...], tuple[int, ...]] = {}
    for part in parts:
        known = by_bounds.get(part.bounds)
        by_bounds[part.bounds] = tuple(map(add, known, part.counts)) if known else part.counts
    if len(by_bounds) == 1:
        return Explicit(*by_bounds.popitem())
    common = tuple(sorted(frozenset[float].intersection(*map(frozenset, by_bounds))))
    counts = [0] * (len(common) + 1)
    for bounds, own in by_bounds.items():
        below = dict(zip(bounds, accumulate(own), strict=False))
        before = 0
        for place, bound in enumerate(common):
            counts[place] += below[bound] - before
            before = below[bound]
        counts[-1] += sum(own) - before
    return Explicit(common, tuple(counts))


@lru_cache(maxsize=64)
def _ascend(bounds: tuple[float, ...]) -> bool:
    """Tell whether bounds do; asked of the same ones again and again."""
    return all(a < b for a, b in pairwise(bounds)) and not any(map(math.isnan, bounds))


@dataclass(frozen=True, slots=True)
class Exponential:
    """A histogram of buckets that grow by a factor; counts by index of bucket."""

    scale: int
    zero_threshold: float
    zero_count: int
    positive: Mapping[int, int] = field(default_factory=dict[int, int])
    negative: Mapping[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def of(
        cls,
        scale: int,
        zero: tuple[float, int],
        positive: tuple[int | None, Sequence[int] | None],
        negative: tuple[int | None, Sequence[int] | None],
    ) -> Exponential:
        """Return the histogram of a data point: zero's threshold and count, two offsets and counts."""
        threshold = zero[0] if zero[0] > 0 else 0.0
        return cls(scale, threshold, zero[1], _by_index(*positive), _by_index(*negative))

    def at(self, scale: int) -> Exponential:
        """Return it at a scale that is not finer than its own."""
        shift = self.scale - scale
        if shift == 0:
            return self
        return Exponential(
            scale,
            self.zero_threshold,
            self.zero_count,
            _shifted(self.positive, shift),
            _shifted(self.negative, shift),
        )

    def with_zero(self, threshold: float) -> Exponential:
        """Return it with a zero bucket of at least this half width."""
        taken = {
            i
            for side in (self.positive, self.negative)
            for i in side
            if bound_of(i, self.scale) < threshold
        }
        if not taken:
            return Exponential(
                self.scale,
                max(threshold, self.zero_threshold),
                self.zero_count,
                self.positive,
                self.negative,
            )
        return Exponential(
            self.scale,
            max(threshold, bound_of(max(taken) + 1, self.scale)),
            self.zero_count
            + sum(s.get(i, 0) for s in (self.positive, self.negative) for i in taken),
            {i: count for i, count in self.positive.items() if i not in taken},
            {i: count for i, count in self.negative.items() if i not in taken},
        )

    def cells(self) -> Iterator[Cell]:
        """Yield the buckets that hold something, ascending."""
        for i in sorted(self.negative, reverse=True):
            low, high = -bound_of(i + 1, self.scale), -bound_of(i, self.scale)
            yield Cell(low, high, self.negative[i], is_geometric=True)
        if self.zero_count:
            low = -self.zero_threshold if self.negative else 0.0
            high = self.zero_threshold if self.positive or not self.negative else 0.0
            yield Cell(low, high, self.zero_count)
        for i in sorted(self.positive):
            low, high = bound_of(i, self.scale), bound_of(i + 1, self.scale)
            yield Cell(low, high, self.positive[i], is_geometric=True)

    def negated(self) -> Exponential:
        """Return what takes this away when it is added."""
        return Exponential(
            self.scale,
            self.zero_threshold,
            -self.zero_count,
            {i: -count for i, count in self.positive.items()},
            {i: -count for i, count in self.negative.items()},
        )

    def floored(self) -> Exponential:
        """Return it without counts below 1."""
        return Exponential(
            self.scale,
            self.zero_threshold,
            max(0, self.zero_count),
            {i: count for i, count in self.positive.items() if count > 0},
            {i: count for i, count in self.negative.items() if count > 0},
        )


def add_exponential(parts: Iterable[Exponential]) -> Exponential:
    """Return the sum of at least one histogram, at the coarsest scale and the widest zero."""
    found = list(parts)
    scale = min(part.scale for part in found)
    found = [part.at(scale) for part in found]
    while True:  # what one takes into its zero bucket may widen it for the others
        threshold = max(part.zero_threshold for part in found)
        found = [part.with_zero(threshold) for part in found]
        if all(part.zero_threshold == threshold for part in found):
            break
    positive, negative = Counter[int](), Counter[int]()
    for part in found:
        positive.update(part.positive)
        negative.update(part.negative)
    zero_count = sum(part.zero_count for part in found)
    return Exponential(scale, threshold, zero_count, positive, negative)


def bound_of(index: int, scale: int) -> float:
    """Return base^index, the lower bound of a bucket; infinite, or 0, beyond what doubles hold."""
    try:
        return 2.0 ** math.ldexp(index, -scale)
    except OverflowError:
        return math.inf if index > 0 else 0.0


def quantile(
    cells: Iterable[Cell], q: float, smallest: float | None, largest: float | None
) -> float | None:
    """Return the value below which a part ``q`` of the measurements lies; None when untold.

    Args:
        cells: ascending; counts of at least 0.
        q: from 0 to 1.
        smallest: no measurement is below; None: not known.
        largest: no measurement is above; None: not known.
    """
    held = [cell for cell in cells if cell.count > 0]
    rank = q * sum(cell.count for cell in held)
    before = 0
    for cell in held:
        if before + cell.count >= rank:
            found = _inside(cell, (rank - before) / cell.count, smallest, largest)
            return None if found is None else _clamped(found, smallest, largest)
        before += cell.count
    return None


def _inside(cell: Cell, part: float, smallest: float | None, largest: float | None) -> float | None:
    """Return the value a part of the way through a cell."""
    low, high = cell.low, cell.high
    if math.isinf(low) and math.isinf(high):
        return None
    if math.isinf(low):
        low = smallest if smallest is not None else min(0.0, high)
        low = min(low, high)
    if math.isinf(high):
        high = max(largest, low) if largest is not None and math.isfinite(largest) else low
    part = min(max(part, 0.0), 1.0)
    if not math.isfinite(low):
        return high
    if cell.is_geometric and low * high > 0:
        return math.copysign(abs(low) ** (1 - part) * abs(high) ** part, low)
    return low * (1 - part) + high * part


def _clamped(value: float, smallest: float | None, largest: float | None) -> float:
    if smallest is not None:
        value = max(value, smallest)
    return value if largest is None else min(value, largest)


def _by_index(offset: int | None, counts: Sequence[int] | None) -> dict[int, int]:
    return {i: count for i, count in enumerate(counts or (), offset or 0) if count}


def _shifted(counts: Mapping[int, int], shift: int) -> Mapping[int, int]:
    shifted = Counter[int]()
    for index, count in counts.items():
        shifted[index >> shift] += count
    return shifted
