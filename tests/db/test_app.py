"""One worker's stages in this process, on a real PostgreSQL: life, order of the end, readiness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import grpc
import pytest
from structlog.testing import capture_logs

from collector.app import Daemon
from collector.errors import SchemaError, SettingsError
from collector.rows import Signal
from collector.settings import DatabaseSettings, ReceiveSettings, Settings
from collector.store.migration_files import required_version
from collector.store.pool import Connection
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.e2e.senders import METHODS, numbered_logs

LATER = (
    "INSERT INTO otlpg_migrations (track, version, name, checksum)"
    " VALUES ('main', $1, 'of_a_later_release', '')"
)


def make(database: DatabaseSettings, probe: TestProbe | None = None) -> Daemon:
    """Return a daemon on a free port."""
    settings = Settings(receive=ReceiveSettings(grpc_port=0, http_port=0), database=database)
    return Daemon(settings, clock=SystemClock(), metrics=Metrics(), probe=probe or TestProbe())


@pytest.fixture
async def probe() -> TestProbe:
    """Moments of the daemon under test."""
    return TestProbe()


@pytest.fixture
async def daemon(database_settings: DatabaseSettings, probe: TestProbe) -> AsyncGenerator[Daemon]:
    """A daemon that listens."""
    running = make(database_settings, probe)
    await running.start()
    yield running
    await running.stop()


async def send(daemon: Daemon, number: int, timeout_s: float = 10.0) -> bytes:
    """Send one log record."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{daemon.ports['grpc']}") as channel:
        call = channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)
        return await call(numbered_logs([number]), timeout=timeout_s)


async def test_a_request_goes_all_the_way(daemon: Daemon, connection: Connection) -> None:
    """Listener to table, and OK afterwards."""
    assert await send(daemon, 7) == b""
    assert await connection.fetchval("SELECT body_text FROM logs") == "7"
    assert daemon.ready


async def test_a_drain_follows_the_data(
    daemon: Daemon, probe: TestProbe, connection: Connection
) -> None:
    """A call held before its COMMIT is committed and answered before the drain returns."""
    probe.hold("flush.before_commit")
    call = asyncio.create_task(send(daemon, 1))
    await probe.reached("flush.before_commit")

    drain = asyncio.create_task(daemon.drain(20.0))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send(daemon, 2)
    assert not drain.done()
    probe.release("flush.before_commit")
    await drain

    assert await call == b""
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert [row[0] for row in await connection.fetch("SELECT body_text FROM logs")] == ["1"]


async def test_a_drain_that_runs_out_of_time_answers_before_it_ends(
    daemon: Daemon, probe: TestProbe
) -> None:
    """The sender hears UNAVAILABLE and a reason, not a broken connection."""
    probe.hold("flush.before_commit")
    call = asyncio.create_task(send(daemon, 1))
    await probe.reached("flush.before_commit")

    await daemon.drain(0.2)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "the server is draining"
    probe.release("flush.before_commit")


async def test_every_step_of_the_life_is_safe_twice_and_before_start(
    database_settings: DatabaseSettings,
) -> None:
    """A failed start is cleaned up by the same calls."""
    daemon = make(database_settings)
    await daemon.drain(0.1)
    await daemon.stop()
    assert daemon.ports == {"grpc": 0, "http": 0}

    daemon = make(database_settings)
    await daemon.start()
    ports = daemon.ports
    await daemon.start()
    assert daemon.ports == ports
    assert all(ports.values())
    await daemon.drain(5.0)
    await daemon.drain(5.0)
    await daemon.stop()
    await daemon.stop()
    await daemon.wait()

    for port in ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_newer_schema_is_told_once_and_served(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The line names both versions; requests are stored as ever."""
    known = required_version()
    await connection.execute(LATER, known + 1)
    daemon = make(database_settings)

    with capture_logs() as lines:
        await daemon.start()
        assert await send(daemon, 7) == b""
    await daemon.stop()

    told = [line for line in lines if "newer" in line["event"]]
    assert [(line["log_level"], line["schema"], line["known"]) for line in told] == [
        ("warning", known + 1, known)
    ]


async def test_a_database_without_schema_stops_the_start(empty_database: DatabaseSettings) -> None:
    """The error names the command."""
    daemon = make(empty_database)

    with pytest.raises(SchemaError, match="otlpg migrate up"):
        await daemon.start()
    await daemon.stop()

    assert not daemon.ready


async def test_an_address_that_is_not_ours_stops_the_start(
    database_settings: DatabaseSettings,
) -> None:
    """192.0.2.1 belongs to nobody (RFC 5737)."""
    settings = Settings(
        receive=ReceiveSettings(grpc_host="192.0.2.1", grpc_port=0, http_port=0, insecure=True),
        database=database_settings,
    )
    other = Daemon(settings, clock=SystemClock(), metrics=Metrics(), probe=TestProbe())

    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        await other.start()
    await other.stop()


async def test_a_store_that_stays_away_at_the_start_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked every second for as long as it takes, and the log is not filled with that."""
    monkeypatch.setattr("collector.app.STORE_RETRY_S", 0.001)
    asked, often_enough = 0, asyncio.Event()

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()
        if asked >= 10:
            often_enough.set()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    running = make(DatabaseSettings(host="127.0.0.1", port=port, user="u", ssl_mode="disable"))

    with capture_logs() as logged:
        await running.start()
        await often_enough.wait()
        await running.stop()
    server.close()
    await server.wait_closed()

    (line,) = (line for line in logged if line["event"] == "store is away")
    assert "cannot connect to PostgreSQL" in line["error"]
