"""One run of a fault test: load on a real daemon, a fault, the drain, and the oracle's verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from collector.restore.equality import item_texts
from collector.restore.logs import restore_logs
from collector.restore.metrics import restore_metrics
from collector.restore.traces import restore_traces
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from collector.store.read import snapshot
from tests.e2e.daemon import Daemon
from tests.fault.oracle import Verdict, judge
from tests.fault.sender import RecordingSender

FAULT_S_MAX = 90.0
DRAIN_S_MAX = 45.0
RUN_S_MAX = 300
"""Fault, drain and verdict, on a busy machine."""

RESTORE: dict[Signal, Callable[..., Any]] = {
    Signal.TRACES: restore_traces,
    Signal.METRICS: restore_metrics,
    Signal.LOGS: restore_logs,
}

Fault = Callable[[Daemon, RecordingSender, Random], Awaitable[None]]


async def run_under(
    fault: Fault, database: DatabaseSettings, seed: int, **environment: str
) -> Verdict:
    """Return the verdict on a daemon of two workers that met ``fault`` under load.

    The daemon is drained at the end and must end well, whatever happened to it before.
    """
    daemon = Daemon(database, workers=2, await_store=True, **environment)
    try:
        await asyncio.to_thread(daemon.start)
        records = await _load(fault, daemon, seed)
        assert await asyncio.to_thread(daemon.stop) == 0, daemon.log_text()
    finally:
        await asyncio.to_thread(daemon.kill)
    return judge(records, await stored_items(database))


async def _load(fault: Fault, daemon: Daemon, seed: int) -> list[Any]:
    sender = RecordingSender(f"127.0.0.1:{daemon.grpc_port}", seed)
    async with asyncio.timeout(FAULT_S_MAX + DRAIN_S_MAX), asyncio.TaskGroup() as tasks:
        tasks.create_task(sender.run())
        try:
            async with asyncio.timeout(FAULT_S_MAX):
                await fault(daemon, sender, Random(f"fault {seed}"))
        finally:
            sender.finish()
    return sender.records


async def stored_items(database: DatabaseSettings) -> list[str]:
    """Return the text of every item in the tables, restored to OTLP."""
    texts: list[str] = []
    connection = await connect(database)
    try:
        async with snapshot(connection) as view:
            for signal in Signal:
                async for chunk in view.chunks(signal):
                    texts += item_texts(RESTORE[signal](chunk.rows, chunk.dimensions))
    finally:
        await connection.close()
    return texts
