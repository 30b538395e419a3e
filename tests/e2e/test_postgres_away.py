"""PostgreSQL goes and comes back: held, refused in time, nothing lost, nothing twice, no restart."""

from __future__ import annotations

import asyncio
import json

import grpc

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import connect
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, Failure, export_spans, grpc_exporter, numbered_logs


async def bodies(database: DatabaseSettings) -> list[str]:
    """Return the bodies of all stored log records, sorted."""
    connection = await connect(database)
    try:
        return [row[0] for row in await connection.fetch("SELECT body_text FROM logs ORDER BY 1")]
    finally:
        connection.terminate()


async def test_a_refusal_comes_before_the_deadline_and_can_be_retried(
    own_server: EmbeddedPostgres, own_database: DatabaseSettings
) -> None:
    """UNAVAILABLE with RetryInfo in both trailers, inside what the sender still waits (promise 4)."""
    second = numbered_logs([2])
    with Daemon(own_database) as daemon, Caller(daemon.grpc_port) as caller:
        assert await asyncio.to_thread(caller.send, Signal.LOGS, numbered_logs([1])) == b""
        own_server.stop("immediate")

        heard = await asyncio.to_thread(caller.send, Signal.LOGS, second, timeout_s=2.0)
        await asyncio.to_thread(daemon.wait_until_ready, ready=False)
        live, ready = daemon.get("/health/live"), daemon.get("/health/ready")
        own_server.restart()
        await asyncio.to_thread(daemon.wait_until_ready)
        again = await asyncio.to_thread(caller.send, Signal.LOGS, second)

    assert isinstance(heard, Failure)
    assert heard.code is grpc.StatusCode.UNAVAILABLE
    assert 1.5 < heard.took_s < 2.0
    assert heard.retry_s is not None
    assert 0 < heard.retry_s <= 0.2  # half of what was left
    assert heard.status_retry_s == heard.retry_s
    for secret in ("postgres", "socket", "SELECT", "Error", "ledger"):
        assert secret not in heard.everything
    assert live[0] == 200
    assert ready[0] == 503
    assert json.loads(ready[1])["store"] is False
    assert again == b""
    assert await bodies(own_database) == ["1", "2"]


async def test_a_short_restart_is_not_even_noticed(
    own_server: EmbeddedPostgres, own_database: DatabaseSettings
) -> None:
    """The call that came while PostgreSQL was away is held, committed and acknowledged."""
    with Daemon(own_database) as daemon, Caller(daemon.grpc_port) as caller:
        own_server.stop("immediate")
        held = asyncio.create_task(
            asyncio.to_thread(caller.send, Signal.LOGS, numbered_logs([1]), timeout_s=25.0)
        )
        await asyncio.to_thread(daemon.wait_for_log, "flush failed")
        own_server.restart()

        assert await held == b""

    assert await bodies(own_database) == ["1"]


async def test_a_daemon_that_starts_before_postgresql_comes_up_by_itself(
    own_server: EmbeddedPostgres, own_database: DatabaseSettings
) -> None:
    """It listens, is live, is not ready, refuses retryably; then it serves, without a restart."""
    own_server.stop()
    with Daemon(own_database, await_store=False) as daemon, Caller(daemon.grpc_port) as caller:
        ready = daemon.get("/health/ready")
        refused = await asyncio.to_thread(
            caller.send, Signal.LOGS, numbered_logs([1]), timeout_s=1.0
        )
        own_server.restart()
        await asyncio.to_thread(daemon.wait_until_ready)
        exporter = grpc_exporter(Signal.TRACES, daemon.grpc_port, grpc.Compression.Gzip)
        result = await asyncio.to_thread(export_spans, exporter, ["after"])

    assert ready[0] == 503
    assert isinstance(refused, Failure)
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.retry_s is not None
    assert result.name == "SUCCESS"
