"""Turns of the event loop: long work goes in steps, and small requests have their time between.

A small request takes some ten passes of the event loop from its first byte to its answer, and in
each it waits for whatever step of long work falls into that pass. So a step is followed by a break
of its own length, in which the loop belongs to everybody else, and all long work shares one line:
four bombs at once have half the loop together, and not half of it each.

Nobody needs the break while no small request comes: a sender of large ones alone has the whole loop.
"""

from __future__ import annotations

import asyncio
from typing import Final

from collector.telemetry.clock import Clock

BREAK_SHARE: Final = 1.0
"""Length of a break, in lengths of the step before it."""

RECENT_S: Final = 1.0
"""So long after a small request another one is expected."""


class Turns:
    """The one line in which the long work of a worker stands."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._line = asyncio.Lock()
        self._small_until_s = -1.0

    def small_came(self) -> None:
        """Note that a request needed one step only."""
        self._small_until_s = self._clock.monotonic_s() + RECENT_S

    def now_s(self) -> float:
        """Return the moment at which a step begins."""
        return self._clock.monotonic_s()

    async def give_way(self, began_s: float) -> float:
        """End the step that began at ``began_s``; return the moment at which the next one begins.

        That is at least one pass of the loop later, and one after any other long work's step.
        """
        spent_s = self.now_s() - began_s
        async with self._line:
            small_come = self._clock.monotonic_s() < self._small_until_s
            await asyncio.sleep(BREAK_SHARE * spent_s if small_come else 0)
        return self.now_s()
