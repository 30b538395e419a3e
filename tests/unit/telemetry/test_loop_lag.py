"""A stall of the event loop shows in the metric, and an idle loop does not."""

from __future__ import annotations

import asyncio

from collector.telemetry.loop_lag import LoopLag
from collector.telemetry.metrics import Metrics


class StalledClock:
    """A clock on which every turn comes so late."""

    def __init__(self, late_s: float) -> None:
        self._late_s = late_s
        self._now_s = 0.0
        self.looks = 0
        self.seen = asyncio.Event()

    def unix_ns(self) -> int:
        """Nobody asks."""
        raise AssertionError

    def monotonic_s(self) -> float:
        """Pass by the pause and the stall at each second look."""
        self.looks += 1
        if self.looks % 2 == 0:
            self._now_s += 0.05 + self._late_s
        if self.looks >= 5:
            self.seen.set()
        return self._now_s


async def test_how_late_a_turn_comes_is_observed() -> None:
    """By the seconds beyond the pause that was asked for."""
    clock, metrics = StalledClock(late_s=0.3), Metrics()
    measuring = asyncio.create_task(LoopLag(clock, metrics).run())

    await clock.seen.wait()
    measuring.cancel()
    await asyncio.wait((measuring,))

    [cells] = metrics.loop_lag_seconds.values.values()
    assert sum(cells[:-1]) == 2
    assert round(cells[-1], 6) == 0.6
