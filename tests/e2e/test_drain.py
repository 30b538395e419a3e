"""SIGTERM under load: what was acknowledged is there, what is here is answered, the exit is clean."""

from __future__ import annotations

import asyncio
import signal
import time

import grpc

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, Failure, Load, numbered_logs


async def test_sigterm_under_load_loses_nothing_that_was_acknowledged(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Two workers; every OK has its row exactly once; whoever was not served may come again."""
    with Daemon(database_settings, workers=2) as daemon:
        load = Load(daemon.grpc_port)
        load.start()
        await asyncio.to_thread(load.wait_until_acked, 300)

        daemon.signal(signal.SIGTERM)
        code = await asyncio.to_thread(daemon.wait)
        await asyncio.to_thread(load.join)

    stored = [int(row[0]) for row in await connection.fetch("SELECT body_text FROM logs")]
    assert code == 0
    assert len(stored) == len(set(stored))
    assert load.acked <= set(stored)
    assert {failure.code for failure in load.failures} == {grpc.StatusCode.UNAVAILABLE}


async def test_a_call_that_is_here_at_sigterm_is_committed_and_answered(
    daemon: Daemon, connection: Connection, bystander: Connection
) -> None:
    """The flush waits for a lock of ours; the drain waits for the flush; the sender hears OK."""
    with Caller(daemon.grpc_port) as caller:
        async with bystander.transaction():
            await bystander.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(
                asyncio.to_thread(caller.send, Signal.LOGS, numbered_logs([1]), timeout_s=20.0)
            )
            await asyncio.to_thread(daemon.wait_for_log, "flush failed", sqlstate="55P03")
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for_log, "draining")
            ready = await asyncio.to_thread(daemon.get, "/health/ready")
        heard = await call
    code = await asyncio.to_thread(daemon.wait)

    assert heard == b""
    assert ready[0] == 503
    assert code == 0
    assert await connection.fetchval("SELECT count(*) FROM logs") == 1


async def test_a_second_sigterm_hurries(daemon: Daemon, bystander: Connection) -> None:
    """The held call is told to come again at once, and the exit is still clean."""
    async with bystander.transaction():
        await bystander.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
        with Caller(daemon.grpc_port) as caller:
            call = asyncio.create_task(
                asyncio.to_thread(caller.send, Signal.LOGS, numbered_logs([1]), timeout_s=30.0)
            )
            await asyncio.to_thread(daemon.wait_for_log, "flush failed", sqlstate="55P03")
            daemon.signal(signal.SIGTERM)
            await asyncio.to_thread(daemon.wait_for_log, "draining")
            began_s = time.monotonic()
            daemon.signal(signal.SIGTERM)
            heard = await call
            code = await asyncio.to_thread(daemon.wait)
            took_s = time.monotonic() - began_s

    assert isinstance(heard, Failure)
    assert heard.code is grpc.StatusCode.UNAVAILABLE
    assert heard.details == "the server is draining"
    assert heard.retry_s == heard.status_retry_s == 1.6
    assert code == 0
    assert took_s < 5.0  # the hold would have lasted 25 s, the drain 20 s


async def test_sigint_is_the_same_as_sigterm(daemon: Daemon) -> None:
    """Ctrl-C drains."""
    daemon.signal(signal.SIGINT)

    assert await asyncio.to_thread(daemon.wait) == 0
