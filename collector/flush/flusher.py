"""The flushers of one signal: group commit, and a retry that lets only the guilty wait."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from collector.buffer.entry import Outcome
from collector.errors import (
    CommitUnknownError,
    DrainingError,
    MissingLeafError,
    StoreError,
    TooManySeriesError,
)
from collector.flush.leaves import make_leaves
from collector.flush.retry import LOCK_NOT_AVAILABLE, Alarm, Step, backoff_s, next_step
from collector.flush.series import SeriesRefusals
from collector.flush.stragglers import Stragglers
from collector.store.failures import translate, translated
from collector.store.series_limit import SeriesLimit
from collector.store.transaction import Committed, Context, write_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.buffer.entry import Entry
    from collector.buffer.queue import BoundedQueue
    from collector.flush.leaves import Leaves
    from collector.rows import Signal
    from collector.settings import DatabaseSettings, IngestSettings
    from collector.store.dead_letters import LettersOf
    from collector.store.known import KnownDimensions
    from collector.store.pool import Database
    from collector.store.standing import Standing
    from collector.tail.publisher import Publisher
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import Metrics
    from collector.telemetry.probe import Probe

_HOUR_NS = 3_600_000_000_000


def _never() -> bool:
    """Want nothing."""
    return False


GATHER_ENTRIES_MIN = 5
"""So many requests wait or are in flight before a group waits for company. A lone sender, or a few
that wait for each reply, never pay for it. PostgreSQL's own ``commit_siblings`` is 5 too."""

GATHER_ITEMS_MAX = 2_000
"""A group of so many items goes at once: what a transaction costs by itself is little to it."""


class Flushers:
    """K loops that take from one queue and write; and one that writes what failed alone.

    Moments of the probe, in order: ``flush.taken``, ``flush.begun``, ``flush.copied``,
    ``flush.claimed``, ``flush.before_commit``, ``flush.committed``, ``flush.settled``; and
    ``flush.gathering``, ``flush.failed``, ``flush.straggler_failed`` before a pause.
    """

    def __init__(
        self,
        *,
        signal: Signal,
        queue: BoundedQueue,
        database: Database,
        leaves: Leaves,
        known: KnownDimensions,
        letters_of: LettersOf,
        ingest: IngestSettings,
        limits: DatabaseSettings,
        clock: Clock,
        metrics: Metrics,
        standing: Standing,
        probe: Probe,
        publisher: Publisher | None = None,
        random: Random | None = None,
    ) -> None:
        """``known`` and ``standing`` are shared by the flushers of all signals of this process."""
        self._queue = queue
        self._database = database
        self._leaves = leaves
        self._ingest = ingest
        self._probe = probe
        self._metrics = metrics
        self._random = random or Random()
        self._alarm = Alarm(signal.value, clock=clock, metrics=metrics, standing=standing)
        self._standing = standing
        self._publisher = publisher
        series_max = ingest.series_new_per_minute_max  # only metrics have any: one limit a process
        self._context = Context(
            signal=signal,
            limits=limits,
            known=known,
            ledger=ingest.ledger,
            ledger_day=leaves.ledger_day,
            letters_of=letters_of,
            clock=clock,
            metrics=metrics,
            probe=probe,
            series_limit=SeriesLimit(series_max, clock) if series_max else None,
            wants_transaction_id=partial(publisher.wanted, signal) if publisher else _never,
        )
        self._refusals = SeriesRefusals(queue, clock)
        self._stragglers = Stragglers(
            self.write,
            self._context,
            queue=queue,
            forget_leaves=leaves.forget,
            alarm=self._alarm,
            random=self._random,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Flush until the queue is closed and everything in it is settled."""
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as group:
                straggling = group.create_task(self._stragglers.run())
                loops = [group.create_task(self._loop()) for _ in range(self._ingest.flushers)]
                self._tasks = [straggling, *loops]
                await asyncio.wait(loops)
                self._stragglers.finish()
        finally:
            self._ended.set()

    async def drain(self, deadline_s: float) -> bool:
        """Close the queue and flush what is in it; False when the time was too short.

        What is left then is refused, so that its senders try again; of a transaction that was cut
        in its COMMIT the ledger will know. Returns at once when nothing runs and nothing is held.
        """
        self._queue.close()
        try:
            async with asyncio.timeout(deadline_s):
                await self._queue.empty()
        except TimeoutError:
            await self.stop()
            self._queue.fail_all(DrainingError())
            return False
        await self.stop()
        return True

    async def stop(self) -> None:
        """End every loop now, whatever it holds. Safe twice and before ``run``."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await self._ended.wait()

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write ``entries`` in one transaction and settle them.

        Those that bring too many new series are refused, and the others written without them.

        Raises:
            StoreError: nothing is settled but what was refused. The connection is gone, and with
                it all that was believed to be known.
        """
        requests = [entry.request for entry in entries]
        context = self._context
        context.known.pass_time(context.clock.unix_ns() // _HOUR_NS)
        with translated():
            await make_leaves(self._leaves, context.signal, requests, context.today())
            connection = await self._database.take()
        context.known.meet(connection)
        try:
            committed = await write_batch(connection, requests, context)
        except TooManySeriesError as error:
            self._database.release(connection)
            others = self._refusals.refuse(entries, error)
        except BaseException as error:
            await self._database.discard(connection)
            context.known.clear()
            self._note(entries, error)
            raise
        else:
            self._database.release(connection)
            self._standing.stored(context.signal.value)
            self._settle_all(entries, committed)
            await self._probe.reach("flush.settled")
            return
        if others:
            await self.write(others)

    async def _loop(self) -> None:
        ingest = self._ingest
        giants_max = max(1, ingest.flushers - 1)
        while True:
            await self._gather()
            group = await self._queue.take(
                ingest.flush_rows_max, ingest.flush_bytes_max, giants_max
            )
            if not group:
                return
            await self._probe.reach("flush.taken")
            await self._flush(group)

    async def _gather(self) -> None:
        """Pause before a small group while many senders are here, so that more can join it.

        A transaction of a hundred rows costs PostgreSQL more for itself than for the rows.
        """
        queue = self._queue
        if (
            queue.closed
            or queue.entries_held < GATHER_ENTRIES_MIN
            or queue.items_waiting >= GATHER_ITEMS_MAX
        ):
            return
        await self._probe.reach("flush.gathering")
        await asyncio.sleep(self._ingest.gather_s)

    async def _flush(self, group: list[Entry]) -> None:
        """Settle every entry of ``group``, or hand it to the stragglers. Never raises.

        An entry that nobody waits for any more is given up in the pause.
        """
        alone = False
        attempt = locked = 0
        while group:
            head = group[:1] if alone else group
            error = await self._attempt(head)
            if error is None:
                attempt = locked = 0
                group = group[len(head) :]
                continue
            group = [entry for entry in group if not entry.settled]  # some may be refused by now
            head = [entry for entry in head if not entry.settled]
            if not head:
                continue
            unsure = any(entry.unsure for entry in head)
            match next_step(error, len(head), attempt=attempt, locked=locked, unsure=unsure):
                case Step.AGAIN:
                    for entry in group:
                        self._queue.pause(entry)
                    locked += error.sqlstate == LOCK_NOT_AVAILABLE
                    await self._probe.reach("flush.failed")
                    await asyncio.sleep(backoff_s(attempt, self._random))
                    attempt += 1
                    group = [entry for entry in group if self._queue.resume(entry)]
                case Step.ALONE:
                    alone = True
                case Step.ASIDE:
                    self._queue.set_aside(head[0])
                    self._stragglers.add(head[0], error)
                    group = group[1:]

    async def _attempt(self, entries: Sequence[Entry]) -> StoreError | None:
        """Write once; return what went wrong."""
        try:
            await self.write(entries)
        except Exception as error:  # noqa: BLE001 -- a flusher outlives everything but its own end
            failure = translate(error)
            self._alarm.failed(failure, requests=len(entries))
            return failure
        return None

    def _note(self, entries: Sequence[Entry], error: BaseException) -> None:
        """Keep what a failure tells about the next try."""
        if isinstance(error, MissingLeafError):
            self._leaves.forget()
        elif isinstance(error, CommitUnknownError):
            for entry, first in zip(entries, error.stored, strict=True):
                entry.unsure = entry.unsure or first

    def _settle_all(self, entries: Sequence[Entry], committed: Committed) -> None:
        """Tell every sender, and then the live tails."""
        for entry, first in zip(entries, committed.stored, strict=True):
            self._settle(entry, first)
        if self._publisher is None:
            return
        signal = self._context.signal
        # Of a COMMIT whose outcome was unknown nobody knows the transaction any more.
        outcomes = list(zip(entries, committed.stored, strict=True))
        unsure = [entry.request for entry, first in outcomes if entry.unsure and not first]
        self._publisher.miss(signal, sum(len(request.rows) for request in unsure))
        stored = [entry.request for entry, first in outcomes if first]
        self._publisher.offer(signal, stored, committed.transaction_id)

    def _settle(self, entry: Entry, first: bool) -> None:
        """Tell the senders, and count what is committed now.

        A duplicate of a transaction whose outcome was unknown is that transaction: stored.
        """
        if first or entry.unsure:
            signal = self._context.signal.value
            for letter in entry.request.dead_letters:
                if letter.outcome == "repaired":
                    self._metrics.repaired.add(1, signal, letter.reason)
                else:
                    self._metrics.quarantined.add(1, signal, letter.reason)
            self._queue.settle(entry, Outcome.STORED)
        else:
            self._queue.settle(entry, Outcome.DUPLICATE)
