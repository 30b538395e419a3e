"""The composition root: builds the stages of one worker, starts them, and drains them in order.

The start runs against the flow of data, the stop follows it: listener, queues and flushers,
housekeeping, connections. This is the only file that knows every stage; it decides nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from collector.buffer.budget import ByteBudget
from collector.buffer.entry import End
from collector.buffer.queue import BoundedQueue
from collector.convert.letters import letters_of
from collector.convert.request import Converter
from collector.errors import CommandError, DrainingError
from collector.flush.flusher import Flushers
from collector.maintain.ledger import LedgerRetirement
from collector.maintain.partitions import Partitions
from collector.maintain.schedule import Schedule
from collector.receive.auth import Gate
from collector.receive.certificates import Certificates
from collector.receive.export import Export
from collector.receive.grpc_server import GrpcServer
from collector.receive.http_server import HttpServer
from collector.receive.jaeger_passage import JaegerPassage, longest_reading_s
from collector.receive.keyring import Keyring
from collector.receive.listeners import Sockets
from collector.receive.turns import Turns
from collector.rows import Signal
from collector.settings import AuthSettings, IngestSettings, Settings
from collector.settings.share import share
from collector.store.api_keys import read_live_keys
from collector.store.failures import translate
from collector.store.known import KnownDimensions
from collector.store.migrate import check_schema
from collector.store.migration_files import required_version
from collector.store.pool import Database
from collector.store.pulse import Pulse
from collector.store.reaper import Reaper
from collector.store.standing import Standing
from collector.tail.link import PublisherLink
from collector.tail.local_link import LocalPublisherLink
from collector.tail.publisher import Publisher
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.loop_lag import LoopLag
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

STORE_RETRY_S: Final = 1.0
"""Pause between two attempts to reach PostgreSQL at start: below any hold."""
LAST_WORD_S: Final = 1.0
"""The listener gets this long beyond a drain, to answer the calls that were given up."""


class Daemon:
    """One worker, from the listener to the connections.

    ``drain``, ``hurry`` and ``stop`` are safe twice and before ``start``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        metrics: Metrics,
        probe: Probe,
        sockets: Sockets | None = None,
    ) -> None:
        """``settings`` are the whole daemon's; this worker takes its share of the budgets.

        ``sockets`` are where the daemon's API listens for its workers, if it does.
        """
        settings = share(settings)
        self._clock, self._metrics, self._probe = clock, metrics, probe
        self._log = structlog.stdlib.get_logger("otlpg.app")
        self._trouble = Trouble("otlpg.app", clock)
        self._database = Database(settings.database)
        self._partitions = Partitions(settings.partitions, self._database, clock, metrics)
        self._queues = self._make_queues(settings.ingest)
        standing = Standing(clock=clock, metrics=metrics)
        self._publisher = self._make_publisher(settings, sockets)
        self._flushers = self._make_flushers(settings, standing)
        self._housekeeping = self._make_housekeeping(settings, standing)
        self._keyring = self._make_keyring(settings.auth)
        self._certificates = Certificates(settings.tls, clock=clock) if settings.tls.on else None
        self._passage = JaegerPassage(
            settings,
            Gate(settings.tls, self._keyring),
            None if sockets is None else sockets.jaeger,
            clock=clock,
        )
        self._grpc, self._http = self._make_listeners(settings)
        self._loop_lag = LoopLag(clock, metrics)
        self._stages: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._hurried = asyncio.Event()
        self._store_reached = False
        self._schema_version = 0

    # -- stages, against the flow of data --------------------------------------------------------

    def _make_queues(self, ingest: IngestSettings) -> dict[Signal, BoundedQueue]:
        """Return the queues, which share one budget of bytes."""
        budget = ByteBudget(ingest.queue_bytes_max)
        queues = {
            signal: BoundedQueue(
                ingest.queue_items_max, budget, count=_bookkeeper(self._metrics, signal)
            )
            for signal in Signal
        }
        for signal, queue in queues.items():
            self._metrics.queue_items_max.set(queue.items_max, signal)
            self._metrics.queue_bytes_max.set(budget.bytes_max, signal)
        return queues

    def _make_flushers(self, settings: Settings, standing: Standing) -> list[Flushers]:
        """Return the flushers of each queue; what one of them has made known, all know."""
        known = KnownDimensions()
        return [
            Flushers(
                signal=signal,
                queue=queue,
                database=self._database,
                leaves=self._partitions,
                known=known,
                letters_of=letters_of,
                ingest=settings.ingest,
                limits=settings.database,
                clock=self._clock,
                metrics=self._metrics,
                standing=standing,
                publisher=self._publisher,
                probe=self._probe,
            )
            for signal, queue in self._queues.items()
        ]

    def _make_publisher(self, settings: Settings, sockets: Sockets | None) -> Publisher | None:
        """Return what tells live tails: over Redis where there is one, else to our own API."""
        if not settings.tail.enabled:
            return None
        if settings.redis.url is not None:  # 7 MiB, 0.14 s: for those who have one
            from collector.tail.redis_link import RedisPublisherLink

            link: PublisherLink = RedisPublisherLink(settings.redis)
        elif sockets is not None:
            link = LocalPublisherLink(sockets.tail)
        else:
            return None
        database = self._database
        return Publisher(
            settings.tail,
            link,
            clock=self._clock,
            metrics=self._metrics,
            probe=self._probe,
            database=lambda: database.identity,
        )

    def _make_housekeeping(
        self, settings: Settings, standing: Standing
    ) -> tuple[Schedule, Reaper, Pulse]:
        database, probe = self._database, self._probe
        ledger = LedgerRetirement(
            settings.ingest.ledger_window_h, database, self._clock, probe=probe
        )
        return (
            Schedule(self._partitions, ledger, probe=probe),
            Reaper(database, settings.database, metrics=self._metrics, probe=probe),
            Pulse(database, standing=standing, probe=probe),
        )

    def _make_keyring(self, auth: AuthSettings) -> Keyring | None:
        """Return the keys of senders; None: nobody is asked for one."""
        if not auth.keys:
            return None
        read = partial(read_live_keys, self._database)
        return Keyring(auth, read, clock=self._clock, probe=self._probe)

    def _make_listeners(self, settings: Settings) -> tuple[GrpcServer, HttpServer]:
        """Return both doors: behind one gate, with one certificate, into one export."""
        clock, metrics = self._clock, self._metrics
        turns = Turns(clock)
        export = Export(
            settings=settings.receive,
            converter=Converter(settings.convert, retention_s=settings.partitions.retention_s),
            queues=self._queues,
            clock=clock,
            metrics=metrics,
            probe=self._probe,
            turns=turns,
        )
        gate = Gate(settings.tls, self._keyring)
        grpc = GrpcServer(
            settings.receive,
            export,
            gate=gate,
            certificates=self._certificates,
            clock=clock,
            metrics=metrics,
            beside=(self._passage,),
            beside_s_max=longest_reading_s(settings),
        )
        http = HttpServer(
            settings.receive,
            export,
            gate=gate,
            certificates=self._certificates,
            items_max=settings.convert.items_max,
            clock=clock,
            metrics=metrics,
            turns=turns,
        )
        return grpc, http

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the listeners by protocol; 0 before ``start``."""
        return {"grpc": self._grpc.port, "http": self._http.port}

    @property
    def ready(self) -> bool:
        """Whether PostgreSQL was reached, has a schema for us, and takes what is written.

        With keys, also whether they are known, and shown to us: without them every sender is told to
        come again.
        """
        if self._keyring is not None and not self._keyring.ready:
            return False
        return self._store_reached and bool(self._metrics.store_up.values.get(()))

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. PostgreSQL may be away: calls are held and refused until it is there.

        Raises:
            SchemaError: PostgreSQL is there and its schema is older than the one that we need.
            SettingsError: the address, the certificate's files or the database settings cannot be
                used.
        """
        if self._stages is not None:
            return
        self._stages = asyncio.create_task(self._run(), name="stages")
        listening = asyncio.create_task(self._listening.wait())
        try:
            await asyncio.wait((self._stages, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
        if not self._listening.is_set():
            await self.wait()

    async def wait(self) -> None:
        """Return after ``stop``; raise what ended the daemon if it ended by itself.

        Raises:
            CommandError: PostgreSQL came, and its schema or our settings cannot be used.
        """
        if self._stages is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._stages)

    async def drain(self, deadline_s: float) -> None:
        """Take nothing new, commit and answer what is here; refuse what is left at the deadline."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + deadline_s
        answered = asyncio.create_task(self._drain_listeners(deadline_s + LAST_WORD_S))
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            await asyncio.wait(
                (answered, hurried), timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not answered.done():
                self.hurry()
                await self._drain_listeners(LAST_WORD_S)
            await answered
        finally:
            answered.cancel()
            hurried.cancel()
        left_s = max(0.0, end_s - loop.time())
        drained = await asyncio.gather(*(flushers.drain(left_s) for flushers in self._flushers))
        if self._publisher is not None:
            await self._publisher.drain(LAST_WORD_S)
        self._log.info("drained", complete=all(drained) and not self._hurried.is_set())

    async def _drain_listeners(self, grace_s: float) -> None:
        self._passage.drain()
        await asyncio.gather(self._grpc.drain(grace_s), self._http.drain(grace_s))

    def hurry(self) -> None:
        """Give up everything that is not committed; its senders are told to come again."""
        self._hurried.set()
        for queue in self._queues.values():
            queue.close()
            queue.fail_all(DrainingError())

    async def stop(self) -> None:
        """End everything at once; what was not answered is not acknowledged."""
        await self._drain_listeners(0)
        await self._passage.stop()
        for flushers in self._flushers:
            await flushers.stop()
        if self._stages is not None:
            self._stages.cancel()
            await asyncio.wait((self._stages,))
        await self._database.stop()

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as stages:
                if self._certificates is not None:
                    await self._certificates.start()
                    stages.create_task(self._certificates.run())
                reached = await self._try_store()
                if self._keyring is not None:
                    if reached:
                        await self._keyring.refresh()  # so that the first call finds its key
                    stages.create_task(self._keyring.run())
                await self._grpc.start()
                stages.create_task(self._grpc.run())
                self._http.bind()
                stages.create_task(self._http.run())
                stages.create_task(self._loop_lag.run())
                if self._publisher is not None:
                    stages.create_task(self._publisher.run())
                await self._http.listening()
                self._listening.set()
                stages.create_task(self._run_store(stages, reached=reached))
        except BaseExceptionGroup as group:
            raise _cause(group) from group

    async def _run_store(self, stages: asyncio.TaskGroup, *, reached: bool) -> None:
        """Start what needs PostgreSQL as soon as it is there."""
        while not reached:
            await asyncio.sleep(STORE_RETRY_S)
            reached = await self._try_store()
        self._store_reached = True
        self._metrics.store_up.set(1)
        self._log.info("store is up")
        if self._schema_version > required_version():
            self._log.warning(
                "the schema is newer than this otlpg",
                schema=self._schema_version,
                known=required_version(),
            )
        for stage in (*self._flushers, *self._housekeeping):
            stages.create_task(stage.run())

    async def _try_store(self) -> bool:
        """Connect, check the schema and make the next leaves; False when PostgreSQL is away.

        Raises:
            SchemaError: it is there, and its schema is older than the one that we need.
        """
        try:
            await self._database.start()
            async with self._database.acquire() as connection:
                self._schema_version = await check_schema(connection)
            await self._partitions.prepare()
        except CommandError:
            raise
        except Exception as error:  # noqa: BLE001 -- any failure of PostgreSQL; we try for ever
            failure = translate(error)
            cause = failure.sqlstate or type(failure).__name__
            self._trouble.warn("store is away", cause, error=str(failure))
            return False
        return True

    # -- telemetry -------------------------------------------------------------------------------

    def sample(self) -> None:
        """Bring the gauges up to date, before a snapshot is taken."""
        for signal, queue in self._queues.items():
            self._metrics.queue_items.set(queue.items, signal)
            self._metrics.queue_bytes.set(queue.bytes, signal)
            if self._publisher is not None:
                self._metrics.tail_wanted.set(int(self._publisher.wanted(signal)), signal)
        for state, count in self._database.statistics().items():
            self._metrics.pool_connections.set(count, state)


def _bookkeeper(metrics: Metrics, signal: Signal) -> Callable[[End, int], None]:
    """Return what the queue of ``signal`` tells the end of its items."""

    def count(end: End, items: int) -> None:
        if items:
            metrics.items.add(items, signal, end)

    return count


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error that an operator can act on, or the group when there is none."""
    found, _ = group.split(CommandError)
    while found is not None:
        first = found.exceptions[0]
        if not isinstance(first, BaseExceptionGroup):
            return first
        found = first
    return group
