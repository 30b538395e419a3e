"""How many series may be new in a minute, so that a cardinality bomb does not fill the table.

Only what ``metric_series`` does not hold yet counts. What this process merely does not know (after
a lost connection that is everything) is looked up first, and only when the limit is near.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from collector.rows import ConvertedRequest
    from collector.telemetry.clock import Clock

_MINUTE_S = 60.0


class SeriesLimit:
    """A bucket that holds a minute's series, fills steadily, and may go into debt.

    Debt, because a request is stored whole: as long as anything is left one more may pass, however
    many series it brings, or one with more than ``per_minute_max`` would be refused for ever.
    What it took too much is waited for, so that the mean stays. Transactions that run at the same
    time look at the bucket before each other's series are spent, and may take a group each.
    """

    def __init__(self, per_minute_max: int, clock: Clock) -> None:
        """Full at the start; ``per_minute_max`` is at least 1."""
        self.per_minute_max = per_minute_max
        self._clock = clock
        self._left = float(per_minute_max)
        self._looked_at_s = clock.monotonic_s()

    def left(self) -> float:
        """Return how many series may come now; negative while there is debt."""
        now_s = self._clock.monotonic_s()
        gained = self.per_minute_max * (now_s - self._looked_at_s) / _MINUTE_S
        self._left = min(float(self.per_minute_max), self._left + gained)
        self._looked_at_s = now_s
        return self._left

    def spend(self, series: int) -> None:
        """Note that so many were inserted."""
        self._left = self.left() - series


def numbers_beyond(
    requests: Sequence[ConvertedRequest], new: AbstractSet[int], left: float
) -> frozenset[int]:
    """Return the numbers of the requests that must wait: they need new series and none is left.

    In the order of ``requests``; a series that one of them brings is not new to those behind it.

    Args:
        requests: of one group.
        new: ids of the series that no table holds.
        left: how many may come.
    """
    beyond: set[int] = set()
    brought: set[int] = set()
    for number, request in enumerate(requests):
        needed = (new & request.dimensions.series.keys()) - brought
        if needed and left - len(brought) <= 0:
            beyond.add(number)
        else:
            brought |= needed
    return frozenset(beyond)
