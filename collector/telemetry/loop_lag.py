"""How long everybody in a process has to wait for a turn of its event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

EVERY_S: Final = 0.05
"""Twenty looks a second cost nothing, and a stall of this length is seen by at least one."""


class LoopLag:
    """Asks for a turn again and again, and notes how late each one comes."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due_s = self._clock.monotonic_s() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self._metrics.loop_lag_seconds.observe(max(0.0, self._clock.monotonic_s() - due_s))
