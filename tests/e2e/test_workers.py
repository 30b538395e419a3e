"""Several workers on one port: a death costs a retry, not the daemon, and no count goes back."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.migration_files import required_version
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, numbered_logs

CONNECTIONS = 24
"""So many that the chance of one worker getting them all is one in ten million."""


def send_on_many_connections(daemon: Daemon, first: int) -> int:
    """Send a request on each of many connections; return how many were acknowledged."""
    acked = 0
    for number in range(first, first + CONNECTIONS):
        with Caller(daemon.grpc_port) as caller:
            acked += caller.send(Signal.LOGS, numbered_logs([number])) == b""
    return acked


async def test_workers_share_the_port_and_the_sums_are_of_all(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Every connection is served, and /metrics speaks for both workers."""
    with Daemon(database_settings, workers=2) as daemon:
        acked = await asyncio.to_thread(send_on_many_connections, daemon, 0)
        items = daemon.items("logs")
        workers = daemon.metric("otlpg_workers")

    assert acked == CONNECTIONS
    assert items["stored"] == items["received"] == CONNECTIONS
    assert workers == 2
    assert await connection.fetchval("SELECT count(*) FROM logs") == CONNECTIONS


async def test_a_killed_worker_is_replaced_and_no_count_goes_back(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """SIGKILL both, one after the other; the sums keep what the dead had counted."""
    with Daemon(database_settings, workers=2) as daemon:
        sent = 0
        for round_number in range(1, 3):
            sent += await asyncio.to_thread(send_on_many_connections, daemon, sent)
            before = daemon.items("logs")["stored"]
            victim = daemon.workers()[0]
            victim.kill()
            died = await asyncio.to_thread(daemon.wait_for_log, "worker died", status=-9)
            await asyncio.to_thread(daemon.wait_until_workers, 2)

            assert died["worker"] in {0, 1}
            assert before == sent == daemon.items("logs")["stored"]
            assert daemon.metric("otlpg_worker_restarts_total") == round_number
            assert victim.pid not in {worker.pid for worker in daemon.workers()}
        sent += await asyncio.to_thread(send_on_many_connections, daemon, sent)

    assert sent == 3 * CONNECTIONS
    assert await connection.fetchval("SELECT count(*) FROM logs") == sent


async def test_a_killed_worker_comes_back_on_a_schema_of_a_later_release(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """In a rollout the new release migrates while Pods of this one go on serving, whatever dies."""
    with Daemon(database_settings) as daemon:
        await connection.execute(
            "INSERT INTO otlpg_migrations (track, version, name, checksum)"
            " VALUES ('main', $1, 'of_a_later_release', '')",
            required_version() + 1,
        )
        daemon.workers()[0].kill()
        await asyncio.to_thread(daemon.wait_for_log, "worker died", status=-9)
        await asyncio.to_thread(daemon.wait_until_workers, 1)
        await asyncio.to_thread(daemon.wait_for_log, "the schema is newer than this otlpg")

        assert await asyncio.to_thread(send_on_many_connections, daemon, 0) == CONNECTIONS


async def test_no_worker_outlives_a_killed_supervisor(
    database_settings: DatabaseSettings,
) -> None:
    """The end of the pipe ends them, so that nothing keeps the port."""
    with Daemon(database_settings, workers=2) as daemon:
        port, workers = daemon.grpc_port, daemon.workers()
        os.kill(daemon.pid, signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 10)

        assert len(workers) == 2
        assert not alive
        await asyncio.to_thread(daemon.wait)

    with Daemon(database_settings, OTLPG_RECEIVE__GRPC_PORT=str(port)) as daemon:
        assert daemon.grpc_port == port


async def test_a_frozen_supervisor_does_not_stop_its_workers(
    database_settings: DatabaseSettings,
) -> None:
    """Nobody reads the workers' reports; they are dropped and requests are served."""
    with Daemon(database_settings) as daemon:
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            acked = await asyncio.to_thread(send_on_many_connections, daemon, 0)
        finally:
            os.kill(daemon.pid, signal.SIGCONT)

        assert acked == CONNECTIONS
        assert daemon.items("logs")["stored"] == CONNECTIONS


async def test_a_frozen_worker_makes_the_daemon_unready(
    database_settings: DatabaseSettings,
) -> None:
    """Half of the connections are not served, so a balancer has to know; then all is well again."""
    with Daemon(database_settings, workers=2) as daemon:
        frozen = daemon.workers()[0]
        frozen.suspend()
        try:
            await asyncio.to_thread(daemon.wait_until_ready, ready=False)
        finally:
            frozen.resume()

        await asyncio.to_thread(daemon.wait_until_ready)
        assert frozen.pid in {worker.pid for worker in daemon.workers()}


async def test_a_signal_to_a_worker_alone_drains_it_and_another_takes_its_place(
    database_settings: DatabaseSettings,
) -> None:
    """An operator may recycle one worker by hand."""
    with Daemon(database_settings) as daemon:
        victim = daemon.workers()[0]
        victim.terminate()
        died = await asyncio.to_thread(daemon.wait_for_log, "worker died")
        await asyncio.to_thread(daemon.wait_until_workers, 1)

        assert died["status"] == 0
        assert daemon.workers()[0].pid != victim.pid
