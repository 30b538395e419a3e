"""How many bodies are in memory before the queue, and how long a call may be held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from collector.errors import NoSlotError
from collector.settings import ReceiveSettings


class Slots:
    """Bounds the bodies that are read and converted at once; the rest wait unread in the socket."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def take(self, wait_s: float) -> AsyncGenerator[None]:
        """Hold one slot inside the ``async with``; wait at most ``wait_s`` for it.

        Raises:
            NoSlotError: none became free in time; nothing was read.
        """
        if self._free.locked():
            try:
                async with asyncio.timeout(wait_s):
                    await self._free.acquire()
            except TimeoutError:
                raise NoSlotError(self._count) from None
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


def hold_s(left_s: float | None, settings: ReceiveSettings) -> float:
    """Return how long a call may be kept, so that a refusal still arrives before its deadline.

    Units: seconds; ``left_s`` is what the sender still waits, None when it named no deadline.
    """
    if left_s is None:
        return settings.hold_s_default
    return min(settings.hold_s_max, settings.hold_share * max(0.0, left_s))
