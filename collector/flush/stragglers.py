"""Requests that fail alone: one task per signal retries them, so that no flusher waits for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.errors import MissingLeafError, PoisonRowError, StoreError
from collector.flush.poison import quarantine_culprits
from collector.flush.retry import backoff_s
from collector.store.failures import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from random import Random

    from collector.buffer.entry import Entry
    from collector.buffer.queue import BoundedQueue
    from collector.flush.retry import Alarm
    from collector.store.transaction import Context


@dataclass(slots=True, eq=False)
class _Straggler:
    entry: Entry
    error: StoreError | None
    due_s: float
    attempts: int = 0
    named: int = 0


class Stragglers:
    """Entries in trouble, each retried with a pause of its own. They stay in the queue's bounds.

    An entry whose senders have all left is given up, unless it was refused for a row: then each
    look brings it forward and the end is sure, while its retry would begin anew.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Entry]], Awaitable[None]],
        context: Context,
        *,
        queue: BoundedQueue,
        forget_leaves: Callable[[], None],
        alarm: Alarm,
        random: Random,
    ) -> None:
        self._write = write
        self._context = context
        self._queue = queue
        self._forget_leaves = forget_leaves
        self._alarm = alarm
        self._random = random
        self._held: list[_Straggler] = []
        self._changed = asyncio.Event()
        self._finishing = False

    def add(self, entry: Entry, error: StoreError) -> None:
        """Take over an entry that has just failed alone with ``error``."""
        if not isinstance(error, PoisonRowError):
            self._queue.pause(entry)
        self._held.append(_Straggler(entry, error, due_s=self._context.clock.monotonic_s()))
        self._changed.set()

    def finish(self) -> None:
        """Let ``run`` return once nothing is held."""
        self._finishing = True
        self._changed.set()

    async def run(self) -> None:
        """Retry what is due, oldest first, until ``finish``."""
        while self._held or not self._finishing:
            now_s = self._context.clock.monotonic_s()
            due = [straggler for straggler in self._held if straggler.due_s <= now_s]
            if due:
                await self._retry(due[0])
                continue
            self._changed.clear()
            soonest_s = min((straggler.due_s for straggler in self._held), default=None)
            timeout_s = None if soonest_s is None else soonest_s - now_s
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait()
            except TimeoutError:
                pass  # somebody is due

    async def _retry(self, straggler: _Straggler) -> None:
        if not self._queue.resume(straggler.entry):
            self._held.remove(straggler)
            return
        try:
            await self._move_culprits(straggler)
            await self._write([straggler.entry])
        except Exception as error:  # noqa: BLE001 -- the loop outlives every failure of one entry
            straggler.error = translate(error)
            self._alarm.failed(straggler.error, requests=1)
            if isinstance(straggler.error, MissingLeafError):
                self._forget_leaves()  # the next write makes it, then the look for culprits goes on
            pause_s = 0.0
            if not isinstance(straggler.error, PoisonRowError):  # which is looked into at once
                self._queue.pause(straggler.entry)
                pause_s = backoff_s(straggler.attempts, self._random)
                straggler.attempts += 1
                await self._context.probe.reach("flush.straggler_failed")
            straggler.due_s = self._context.clock.monotonic_s() + pause_s
            self._held.remove(straggler)
            self._held.append(straggler)  # behind those that were due before it
        else:
            self._held.remove(straggler)

    async def _move_culprits(self, straggler: _Straggler) -> None:
        """Move the items that the last write was refused for out of the way."""
        error, straggler.error = straggler.error, None  # one look at each refusal
        if isinstance(error, PoisonRowError):
            straggler.named += await quarantine_culprits(
                straggler.entry.request, error, self._context, named=straggler.named
            )
