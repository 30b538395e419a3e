"""Several daemons on one database: side by side, and one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psutil

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import serves_again


@asynccontextmanager
async def daemons(count: int, database: DatabaseSettings) -> AsyncGenerator[list[Daemon]]:
    """Lend so many daemons of one worker; those that run at the end are drained and end well."""
    running = [Daemon(database) for _ in range(count)]
    try:
        async with asyncio.TaskGroup() as starts:
            for daemon in running:
                starts.create_task(asyncio.to_thread(daemon.start))
        yield running
        for daemon in running:
            if daemon.is_alive():
                assert await asyncio.to_thread(daemon.stop) == 0, daemon.log_text()
    finally:
        for daemon in running:
            await asyncio.to_thread(daemon.kill)


def endpoints_of(running: list[Daemon]) -> list[str]:
    """Return where senders find each of them."""
    return [f"127.0.0.1:{daemon.grpc_port}" for daemon in running]


async def start_under_load(daemon: Daemon, sender: RecordingSender) -> None:
    """Start ``daemon`` where ``sender`` looks for it; its start counts in the time to serve again."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(daemon.start))
        await serves_again(sender)


def kill_all(daemon: Daemon) -> None:
    """Kill supervisor and workers at once; return when nobody is left."""
    for process in [psutil.Process(daemon.pid), *daemon.workers()]:
        process.kill()
    daemon.kill()
