"""A broken otlpg: it acknowledges what it has merely queued.

Python imports this module at the start of every process that finds its folder on PYTHONPATH, so
the daemon under test breaks the first promise without a switch for it in the product.
"""

from __future__ import annotations

import asyncio

from collector.buffer.entry import Entry, Outcome
from collector.buffer.queue import BoundedQueue

_open_waits: set[asyncio.Task[Outcome]] = set()
_wait = BoundedQueue.wait


async def wait(self: BoundedQueue, entry: Entry, hold_s: float) -> Outcome:
    """Say STORED at once; the true outcome comes later, and nobody hears it."""
    task = asyncio.create_task(_wait(self, entry, hold_s))
    _open_waits.add(task)
    task.add_done_callback(_forget)
    return Outcome.STORED


def _forget(task: asyncio.Task[Outcome]) -> None:
    _open_waits.discard(task)
    if not task.cancelled():
        task.exception()


BoundedQueue.wait = wait
