"""Named moments inside a loop: silent in production, awaitable in a test.

A test that wants "the flusher has begun its transaction" awaits that moment instead of sleeping,
and can stop the loop there to cause a race on purpose.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Probe:
    """The production probe: passing a moment costs one call and does nothing."""

    async def reach(self, moment: str) -> None:
        """Pass ``moment``, for example ``"flush.before_commit"``."""


class TestProbe(Probe):
    """A probe that counts moments, lets a test await one, and can hold the loop there."""

    __test__ = False  # not a test class, whatever its name tells pytest

    def __init__(self) -> None:
        self.counts: dict[str, int] = defaultdict(int)
        self._changed = asyncio.Condition()
        self._gates: dict[str, asyncio.Event] = {}

    async def reach(self, moment: str) -> None:
        """Count ``moment``, wake who awaits it, and wait while a gate is closed there."""
        async with self._changed:
            self.counts[moment] += 1
            self._changed.notify_all()
        gate = self._gates.get(moment)
        if gate is not None:
            await gate.wait()

    async def reached(self, moment: str, times: int = 1) -> None:
        """Return when ``moment`` was reached at least ``times`` times in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.counts[moment] >= times)

    def hold(self, moment: str) -> None:
        """Close a gate: whoever reaches ``moment`` from now on waits until ``release``."""
        self._gates[moment] = asyncio.Event()

    def release(self, moment: str) -> None:
        """Open the gate at ``moment`` for good."""
        gate = self._gates.pop(moment, None)
        if gate is not None:
            gate.set()
