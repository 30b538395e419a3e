"""What a feed tells, written down."""

from __future__ import annotations

import asyncio
from typing import Any

from collector.items import Item


class Notes:
    """Writes down what a feed tells, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._change = asyncio.Event()

    def on_items(self, items: list[Item], transaction_id: int | None) -> None:
        """Note their bodies and the transaction."""
        self._note((*[dict(item)["body"] for item in items], transaction_id))

    def on_skipped(self, items: int | None, why: str) -> None:
        """Note how many, and why."""
        self._note((items, why))

    def on_strangers(self) -> None:
        """Note that there are some."""
        self._note("strangers")

    def on_link(self, up: bool, message: str) -> None:
        """Note which of the two."""
        del message
        self._note("up" if up else "down")

    def _note(self, what: Any) -> None:
        self.told.append(what)
        self._change.set()

    async def until(self, last: Any) -> list[Any]:
        """Return all that was told so far, once this was."""
        async with asyncio.timeout(20):
            while last not in self.told:
                self._change.clear()
                await self._change.wait()
        told, self.told = self.told, []
        return told

    async def until_so_many(self, count: int) -> list[Any]:
        """Return all that was told so far, once there is so much."""
        async with asyncio.timeout(20):
            while len(self.told) < count:
                self._change.clear()
                await self._change.wait()
        told, self.told = self.told, []
        return told
