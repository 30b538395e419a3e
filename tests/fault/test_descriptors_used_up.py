"""Idle connections take every descriptor of a worker, and PostgreSQL hangs up on it meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from random import Random

import psutil

from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import POLL_S, Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import run_under, serves_again

SPARE = 5
IDLE = 60
"""More than are spare, and than become free when PostgreSQL hangs up."""
ACKNOWLEDGED_BEFORE_MAX = 100
FULL_S_MAX = 20.0
HANG_UP = (
    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid) AND xact_start IS NOT NULL)"
    " FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'otlpg'"
)
"""Ends every backend; returns how many were in the middle of a flush, which alone notices it."""
HANG_UP_S_MAX = 30.0


@contextmanager
def few_descriptors(worker: psutil.Process) -> Generator[int]:
    """Leave the process only ``SPARE`` descriptors more than it has open; lend their number."""
    soft, hard = worker.rlimit(psutil.RLIMIT_NOFILE)
    few = worker.num_fds() + SPARE
    worker.rlimit(psutil.RLIMIT_NOFILE, (few, hard))
    try:
        yield few
    finally:
        worker.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))


def wait_until_full(worker: psutil.Process, few: int) -> None:
    """Return once the process has as many descriptors open as it may."""
    deadline = time.monotonic() + FULL_S_MAX
    while worker.num_fds() < few:
        assert time.monotonic() < deadline, "some are still free"
        time.sleep(POLL_S)


async def test_a_worker_without_descriptors_loses_and_repeats_nothing(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """It cannot connect to PostgreSQL again until some are free; nobody is told that it has."""

    async def use_up(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE_MAX))
        (worker,) = daemon.workers()
        with few_descriptors(worker) as few, ExitStack() as open_ones:
            for number in range(IDLE):
                port = (daemon.grpc_port, daemon.http_port)[number % 2]
                open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            await asyncio.to_thread(wait_until_full, worker, few)
            async with asyncio.timeout(HANG_UP_S_MAX):
                while not await administrator.fetchval(HANG_UP):
                    pass
            await asyncio.to_thread(daemon.wait_for_log, "flush failed")
        await serves_again(sender)

    verdict = await run_under(use_up, durable_database, seed=12, workers=1)

    verdict.assert_promises_kept()
