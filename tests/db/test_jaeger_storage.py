"""api.jaeger.storage_server: slow, leaving and too many clients, and PostgreSQL away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Self, cast

import grpc
import pytest

from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.jaeger.storage_server import StorageServer
from collector.api.jaeger.stored import StoredSpans
from collector.api.questions import Turns
from collector.query import view
from collector.query.view import Views
from collector.settings import ApiSettings, DatabaseSettings, Settings
from collector.store.pool import Connection, Database
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.wire import jaeger_storage_pb2 as wire
from tests.db.querying import prepare, span, write_spans
from tests.server_activity import until_counted

GET_TRACES = "/jaeger.storage.v2.TraceReader/GetTraces"
GET_SERVICES = "/jaeger.storage.v2.TraceReader/GetServices"
READING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
)
SPANS = 3_000
TEXT = "x" * 2_000
"""Six megabytes in all."""
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 2**16)]
"""A client whose window stays small: what it does not take waits at the server."""
WAIT_S = 30.0

TRACE = span("large").trace_id
QUESTION = wire.GetTracesRequest(query=[wire.GetTraceParams(trace_id=TRACE)]).SerializeToString()


class Stand:
    """A storage over one connection to a database, with room for one question."""

    def __init__(self, settings: DatabaseSettings, *, statement_s_max: float = 60.0) -> None:
        clock = SystemClock()
        self.metrics = Metrics()
        self.database = Database(settings.model_copy(update={"connections_max": 1}))
        self.server = StorageServer(
            Settings(api=ApiSettings(jaeger_grpc_port=0)),
            StoredSpans(Views(self.database, statement_s_max), clock),
            Turns(1, wait_s_max=0.05),
            Failures(clock),
            Answers(self.metrics, clock),
            None,
            certificates=None,
            path=None,
            clock=clock,
        )
        self.running: asyncio.Task[None]
        self.channel: grpc.aio.Channel

    async def __aenter__(self) -> Self:
        await self.server.start()
        self.running = asyncio.create_task(self.server.run())
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", NARROW)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.server.drain(0)
        await self.running
        await self.database.stop()

    def stream(self) -> Any:
        """Ask for the large trace; whoever takes no message of it holds it up."""
        return cast("Any", self.channel).unary_stream(GET_TRACES)(QUESTION, timeout=WAIT_S)

    async def services(self) -> grpc.StatusCode | wire.GetServicesResponse:
        """Return the answer to a short question, or the code that it ends with."""
        try:
            answer = await cast("Any", self.channel).unary_unary(GET_SERVICES)(b"", timeout=WAIT_S)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return wire.GetServicesResponse.FromString(answer)


async def rest_of(call: Any) -> None:
    """Take all that a stream still has."""
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.fixture
async def large(connection: Connection) -> None:
    """A trace of six megabytes."""
    await prepare(connection)
    attributes = f'{{"text":"{TEXT}"}}'
    rows = [
        span("large", number, minutes=30 - number / SPANS, attributes=attributes)
        for number in range(SPANS)
    ]
    await write_spans(connection, *rows)


@pytest.fixture
async def stand(large: None, database_settings: DatabaseSettings) -> AsyncGenerator[Stand]:
    """A storage that waits long for its clients."""
    async with Stand(database_settings) as running:
        yield running


async def test_a_client_that_leaves_ends_its_question(stand: Stand, connection: Connection) -> None:
    """PostgreSQL is told at once, and the next question has its connection."""
    call = stand.stream()
    assert await call.read()
    await until_counted(connection, READING, 1)

    call.cancel()

    await until_counted(connection, READING, 0)
    async with asyncio.timeout(WAIT_S):
        while not isinstance(await stand.services(), wire.GetServicesResponse):
            pass
    assert stand.metrics.api_requests.values[GET_TRACES, "left"] == 1
    assert stand.metrics.api_requests.values[GET_SERVICES, "OK"] == 1


async def test_a_client_that_takes_nothing_is_in_the_way_for_a_while_only(
    large: None,
    database_settings: DatabaseSettings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It hears DEADLINE_EXCEEDED behind what it had not taken; no part passes for the whole."""
    monkeypatch.setattr(view, "ANSWER_S_MAX", 0.5)
    async with Stand(database_settings, statement_s_max=0.5) as stand:
        call = stand.stream()
        assert await call.read()
        await until_counted(connection, READING, 1)
        await until_counted(connection, READING, 0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rest_of(call)

        assert isinstance(await stand.services(), wire.GetServicesResponse)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "no answer within 0.5 s" in (caught.value.details() or "")


async def test_who_waits_for_a_turn_too_long_may_come_again(
    stand: Stand, connection: Connection
) -> None:
    """Questions of all protocols share the turns."""
    call = stand.stream()
    assert await call.read()
    await until_counted(connection, READING, 1)

    heard = await stand.services()

    assert heard is grpc.StatusCode.UNAVAILABLE
    call.cancel()


async def test_postgresql_away_is_told_as_that(database_settings: DatabaseSettings) -> None:
    """With RetryInfo, and without a word of where it should be."""
    away = database_settings.model_copy(update={"host": "127.0.0.1", "port": 1, "dsn": None})
    async with Stand(away) as stand:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stand.channel.unary_unary(GET_SERVICES)(b"", timeout=WAIT_S)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "PostgreSQL is away"
    assert "google.rpc.retryinfo-bin" in dict(caught.value.trailing_metadata() or ())
