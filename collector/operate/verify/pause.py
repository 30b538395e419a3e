"""Waiting that ends early when the run is to end."""

from __future__ import annotations

import asyncio


class Pause:
    """The end of a run, and every wait that it cuts short."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the run is to end."""
        return self._ended.is_set()

    def end(self) -> None:
        """Begin nothing more. Safe twice."""
        self._ended.set()

    async def ended_within(self, seconds: float) -> bool:
        """Wait so long, or until the end; tell whether that has come."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass
        return self._ended.is_set()
