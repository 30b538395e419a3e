"""Flushers at work on a queue, for the tests of flush."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

from collector.buffer.budget import ByteBudget
from collector.buffer.entry import End, Outcome
from collector.buffer.queue import BoundedQueue
from collector.flush.flusher import Flushers
from collector.rows import Signal
from collector.settings import IngestSettings
from collector.store.known import KnownDimensions
from collector.store.pool import Database
from collector.store.standing import Standing
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.db.writing import letters_of, partitions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.dead_letters import LettersOf
    from collector.tail.publisher import Publisher
    from collector.telemetry.clock import Clock

HOLD_S = 30.0


class Stand:
    """One signal's path from the queue to the database, and the books of what it did."""

    def __init__(
        self,
        settings: DatabaseSettings,
        signal: Signal,
        *,
        flushers: int,
        rows_max: int,
        letters_of: LettersOf,
        clock: Clock,
        series_new_per_minute_max: int,
        publisher: Publisher | None,
    ) -> None:
        self.books: Counter[End] = Counter()
        self.received = 0
        self.metrics = Metrics()
        self.probe = TestProbe()
        self.database = Database(settings)
        self.leaves = partitions(self.database, clock)
        self.known = KnownDimensions()
        self.queue = BoundedQueue(100_000, ByteBudget(10**9), count=self._count)
        self.flushers = Flushers(
            signal=signal,
            queue=self.queue,
            database=self.database,
            leaves=self.leaves,
            known=self.known,
            letters_of=letters_of,
            ingest=IngestSettings(
                flushers=flushers,
                flush_rows_max=rows_max,
                series_new_per_minute_max=series_new_per_minute_max,
            ),
            limits=settings,
            clock=clock,
            metrics=self.metrics,
            standing=Standing(clock=clock, metrics=self.metrics),
            probe=self.probe,
            publisher=publisher,
            random=Random(1),
        )

    def send(self, request: ConvertedRequest, hold_s: float = HOLD_S) -> asyncio.Task[Outcome]:
        """Offer a request as a sender does; the task is the sender."""
        entry = self.queue.offer(request)
        self.received += entry.items
        return asyncio.create_task(self.queue.wait(entry, hold_s))

    def retries(self) -> dict[str, float]:
        """Return how many transactions failed, by SQLSTATE."""
        return {labels[1]: n for labels, n in self.metrics.flush_retries.values.items()}

    def check_books(self) -> None:
        """Every item that was received has exactly one end."""
        assert self.queue.items == 0
        assert self.received == sum(self.books.values()), self.books

    def _count(self, end: End, items: int) -> None:
        self.books[end] += items


@asynccontextmanager
async def flushing(
    settings: DatabaseSettings,
    signal: Signal = Signal.LOGS,
    *,
    flushers: int = 1,
    rows_max: int = 20_000,
    letters_of: LettersOf = letters_of,
    clock: Clock | None = None,
    series_new_per_minute_max: int = 0,
    publisher: Publisher | None = None,
) -> AsyncGenerator[Stand]:
    """Run the flushers of one signal, as one worker would."""
    stand = Stand(
        settings,
        signal,
        flushers=flushers,
        rows_max=rows_max,
        letters_of=letters_of,
        clock=clock or SystemClock(),
        series_new_per_minute_max=series_new_per_minute_max,
        publisher=publisher,
    )
    running = asyncio.create_task(stand.flushers.run())
    try:
        yield stand
    finally:
        await stand.flushers.stop()
        await running
        await stand.database.stop()
