"""The composition root of the read side: one process beside the workers of a daemon.

It has its own connections to PostgreSQL, its own copy of the keys, and no part in ingest: workers go
on without it, and it goes on without them.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from collector.api import logs, services, spans, tail_parameters, traces
from collector.api import metrics as metric_routes
from collector.api.admission import Admission
from collector.api.application import build
from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.jaeger.answering import Answering
from collector.api.jaeger.monitoring import MonitoringRoutes
from collector.api.jaeger.stored import StoredSpans
from collector.api.jaeger.v1 import V1Routes
from collector.api.jaeger.v3 import V3Routes
from collector.api.kept import Kept
from collector.api.questions import Questions, Turns
from collector.api.server import ApiServer
from collector.api.stored import StoredItems
from collector.api.tail import TailRoute
from collector.errors import LinkError, StoreUnavailableError
from collector.query.identity import database_identity
from collector.query.log_repository import LogRepository
from collector.query.metric_repository import MetricRepository
from collector.query.service_repository import ServiceRepository
from collector.query.span_repository import SpanRepository
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.receive.auth import Gate
from collector.receive.certificates import Certificates
from collector.receive.keyring import Keyring
from collector.receive.listeners import Sockets
from collector.rows import Signal
from collector.settings import ApiSettings, Settings
from collector.store.api_keys import read_live_keys
from collector.store.pool import Database
from collector.tail.hub import Hub
from collector.tail.link import AbsentLink, SubscriberLink
from collector.tail.local_link import LocalServer, LocalSubscriberLink
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

if TYPE_CHECKING:
    from collector.api.jaeger.storage_server import StorageServer
    from collector.tail.redis_answers import RedisAnswers

MEET_RETRY_S: Final = 2.0
TAIL_PATH: Final = "/api/v1/tail"
STORAGE_STOP_S: Final = 2.0
"""Jaeger's calls under way have so long at a stop."""


def questions_max(api: ApiSettings) -> int:
    """Return how many questions may be asked at once: keys and tails keep a connection for theirs."""
    return max(1, api.connections_max - 1)


class ApiDaemon:
    """The API, from its listener to its connections; the same life as a ``Daemon``."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        metrics: Metrics,
        probe: Probe,
        sockets: Sockets | None = None,
    ) -> None:
        """``sockets`` are where to listen for workers."""
        self._metrics = metrics
        self._log = structlog.stdlib.get_logger("otlpg.api")
        self._database = Database(settings.reading_database())
        self._keyring: Keyring | None = None
        if settings.auth.keys:
            read = partial(read_live_keys, self._database)
            self._keyring = Keyring(settings.auth, read, clock=clock, probe=probe)
        self._local: LocalServer | None = None
        if settings.redis.url is None and sockets is not None:
            self._local = LocalServer(sockets.tail)
        self._hub = Hub(
            settings.tail,
            partial(self._link, settings),
            clock=clock,
            metrics=metrics,
            database=lambda: self._database.identity,
            workers=settings.workers,
        )
        failures = Failures(clock)
        answers = Answers(metrics, clock)
        admission = Admission(Gate(settings.tls, self._keyring), settings)
        self._tail = TailRoute(
            self._hub,
            admission,
            StoredItems(self._database, settings.api, clock),
            failures,
            clock=clock,
            link="redis" if settings.redis.url is not None else "local",
        )
        self._turns = turns = Turns(questions_max(settings.api))
        views = Views(self._database, settings.api.statement_s_max)
        stored = StoredSpans(views, clock)
        trace_repository = TraceRepository(views)
        self._certificates = Certificates(settings.tls, clock=clock) if settings.tls.on else None
        self._remote = self._remote_answers(settings)

        async def identity() -> str:
            async with turns.one():
                return await database_identity(views)

        kept = Kept(settings.api.cache_s, identity, clock, metrics, self._remote)
        questions = Questions(turns, failures, clock, kept)
        answering = Answering(questions, failures)
        app = build(
            admission,
            failures,
            answers,
            [
                services.routes(questions, ServiceRepository(views)),
                logs.routes(questions, LogRepository(views)),
                metric_routes.routes(questions, MetricRepository(views)),
                traces.routes(questions, trace_repository),
                spans.routes(questions, SpanRepository(views), trace_repository),
            ],
            others={
                TAIL_PATH: self._tail.answer,
                **V1Routes(stored, answering).by_path(),
                **V3Routes(stored, answering).by_path(),
                **MonitoringRoutes(views, clock, answering).by_path(),
            },
            operations={TAIL_PATH: tail_parameters.OPERATION},
        )
        self._server = ApiServer(settings, app, certificates=self._certificates, clock=clock)
        self._storage = self._make_storage(settings, stored, failures, answers, sockets, clock)
        self._stages: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None

    @staticmethod
    def _remote_answers(settings: Settings) -> RedisAnswers | None:
        if settings.redis.url is None:
            return None
        from collector.tail.redis_answers import RedisAnswers

        return RedisAnswers(settings.redis)

    def _link(self, settings: Settings, signal: Signal) -> SubscriberLink:
        if self._local is not None:
            return LocalSubscriberLink(self._local, signal)
        if settings.redis.url is None:
            return AbsentLink(
                "no live tails here: there is no redis.url, and no folder for a socket"
            )
        from collector.tail.redis_link import RedisSubscriberLink

        return RedisSubscriberLink(settings.redis, signal)

    def _make_storage(
        self,
        settings: Settings,
        stored: StoredSpans,
        failures: Failures,
        answers: Answers,
        sockets: Sockets | None,
        clock: Clock,
    ) -> StorageServer | None:
        """Return what Jaeger reads from, if it may: gRPC, for those who want it."""
        if not settings.api.jaeger_grpc:
            return None
        from collector.api.jaeger.storage_server import StorageServer

        return StorageServer(
            settings,
            stored,
            self._turns,
            failures,
            answers,
            self._keyring,
            certificates=self._certificates,
            path=None if sockets is None else sockets.jaeger,
            clock=clock,
        )

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the listeners; 0 before ``start``."""
        jaeger = {} if self._storage is None else {"jaeger": self._storage.port}
        return {"api": self._server.port, **jaeger}

    @property
    def ready(self) -> bool:
        """Whether readers get in: with keys, whether these are known."""
        return self._keyring is None or self._keyring.ready

    async def start(self) -> None:
        """Listen. PostgreSQL and Redis may be away.

        Raises:
            SettingsError: the address, the certificate or the settings cannot be used.
        """
        if self._certificates is not None:
            await self._certificates.start()
        if self._keyring is not None:
            await self._keyring.refresh()  # so that the first request finds its key
        self._server.bind()
        if self._storage is not None:
            await self._storage.start()
        self._stages = asyncio.create_task(self._run(), name="stages")
        listening = asyncio.create_task(self._server.listening())
        try:
            await asyncio.wait((self._stages, listening), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.cancel()
        if self._stages.done():
            await self.wait()

    async def wait(self) -> None:
        """Return after ``stop``; raise what ended the API if it ended by itself."""
        if self._stages is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._stages)

    async def drain(self, deadline_s: float) -> None:
        """End every tail, and let what is being answered be answered."""
        self._tail.drain()
        self._server.stop()
        if self._storage is not None:
            await self._storage.drain(min(deadline_s, STORAGE_STOP_S))
        if self._serving is not None:
            await asyncio.wait((self._serving,), timeout=deadline_s)
        self._log.info("drained", complete=self._serving is None or self._serving.done())

    def hurry(self) -> None:
        """End at once; nothing here has to be kept."""
        self._tail.drain()
        self._server.stop()

    async def stop(self) -> None:
        """End everything. Safe twice and before ``start``."""
        self.hurry()
        if self._stages is not None:
            self._stages.cancel()
            await asyncio.wait((self._stages,))
        if self._remote is not None:
            with contextlib.suppress(LinkError):
                await self._remote.stop()
        if self._storage is not None:
            await self._storage.drain(0)
        await self._database.stop()

    def sample(self) -> None:
        """Bring the gauges up to date, before a snapshot is taken."""
        self._metrics.api_questions.set(self._turns.asked, "asked")
        self._metrics.api_questions.set(self._turns.waiting, "waiting")

    async def _meet_database(self) -> None:
        """Reach PostgreSQL once, however long that takes: live tails need to know which it is."""
        while True:
            try:
                await self._database.start()
            except StoreUnavailableError:
                await asyncio.sleep(MEET_RETRY_S)
            else:
                return

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as stages:
            if self._keyring is not None:
                stages.create_task(self._keyring.run())
            if self._local is not None:
                stages.create_task(self._local.run())
            if self._certificates is not None:
                stages.create_task(self._certificates.run())
            stages.create_task(self._hub.run())
            stages.create_task(self._meet_database())
            if self._storage is not None:
                stages.create_task(self._storage.run())
            self._serving = stages.create_task(self._server.run())
