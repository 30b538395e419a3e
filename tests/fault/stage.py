"""One run of a fault test: load on a real daemon, a fault, the drain, and the oracle's verdict."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import product
from random import Random
from types import MappingProxyType
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.restore.equality import item_texts
from collector.restore.requests import restore
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, connect
from collector.store.read import snapshot
from tests.e2e.daemon import POLL_S, Daemon
from tests.fault.oracle import Verdict, judge, unbalanced
from tests.fault.proxy import Proxy
from tests.fault.records import QUARANTINED
from tests.fault.sender import RecordingSender

FAULT_S_MAX = 90.0
DRAIN_S_MAX = 45.0
RUN_S_MAX = 300
"""Fault, drain and verdict, on a busy machine."""
PAUSE_S = 0.5
"""Some hundred requests a second: enough that one is always in flight, few enough to judge each."""
BALANCE_S_MAX = 30.0
"""What senders gave up may still be in flight; after this long it has met its end."""
SERVES_AGAIN_S_MAX = 10.0
"""From the end of any fault to acknowledgements of every signal."""

MESSAGES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

Fault = Callable[[Daemon, RecordingSender, Random], Awaitable[None]]


async def run_under(
    fault: Fault,
    database: DatabaseSettings,
    seed: int,
    *,
    judged: DatabaseSettings | None = None,
    through: Proxy | None = None,
    workers: int = 2,
    workers_die: bool = False,
    pause_s: float = PAUSE_S,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Verdict:
    """Return the verdict on a daemon that met ``fault`` under load.

    The daemon is drained at the end and must end well, whatever happened to it before. No worker
    may die and its books must balance, unless ``workers_die``: what one counted last, dies with it.

    Args:
        fault: is awaited while the load is on.
        database: what the daemon stores in.
        seed: of the load, and of what ``fault`` draws.
        judged: where the oracle looks, if that is another way, or another server.
        through: a running proxy that the senders connect to; it is pointed to the daemon.
        workers: so many processes.
        workers_die: the fault kills workers.
        pause_s: see ``RecordingSender``; 0 is a load as heavy as the machine allows.
        environment: further settings of the daemon by their variables.
    """
    daemon = Daemon(database, workers=workers, await_store=True, **environment)
    try:
        await asyncio.to_thread(daemon.start)
        port = daemon.grpc_port
        if through is not None:
            through.target, port = port, through.port
        async with load(f"127.0.0.1:{port}", seed=seed, pause_s=pause_s) as sender:
            await fault(daemon, sender, Random(f"fault {seed}"))
        if not workers_die:
            assert daemon.metric("otlpg_worker_restarts_total") == 0, daemon.log_text()
        wrong = [] if workers_die else await asyncio.to_thread(wrong_books, daemon)
        assert await asyncio.to_thread(daemon.stop) == 0, daemon.log_text()
    finally:
        await asyncio.to_thread(daemon.kill)
    verdict = judge(sender.records, await stored_items(judged or database))
    verdict.unbalanced = wrong
    return verdict


async def serves_again(sender: RecordingSender) -> None:
    """Return once every signal is acknowledged again; called where the fault ends.

    It must not take longer than ``SERVES_AGAIN_S_MAX``. The figure is printed (``pytest -s``).
    """
    took_s = await sender.served_again()
    sys.stderr.write(f"served again after {took_s:.2f} s\n")
    assert took_s < SERVES_AGAIN_S_MAX


async def failing(daemon: Daemon, *sqlstates: str, times: int = 1) -> None:
    """Return once so many more transactions have failed with one of these SQLSTATEs.

    An empty one is a failure in which the server had no say.
    """
    await grown(daemon, "otlpg_flush_retries_total", times, sqlstate=sqlstates)


async def grown(daemon: Daemon, metric: str, more: float = 1, **labels: Sequence[str]) -> None:
    """Return once the sum of a metric's series has grown by so much.

    ``labels`` name the values of which each series that counts has one.
    """

    async def total() -> float:
        chosen = [dict(zip(labels, values, strict=True)) for values in product(*labels.values())]
        return sum([await asyncio.to_thread(daemon.metric, metric, **each) for each in chosen])

    goal = await total() + more
    while await total() < goal:  # noqa: ASYNC110 -- another process knows
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def load(
    *endpoints: str, seed: int, pause_s: float = PAUSE_S
) -> AsyncGenerator[RecordingSender]:
    """Keep load on the endpoints inside the block; after it every request has come to its end."""
    sender = RecordingSender(*endpoints, seed=seed, pause_s=pause_s)
    async with asyncio.timeout(FAULT_S_MAX + DRAIN_S_MAX), asyncio.TaskGroup() as tasks:
        tasks.create_task(sender.run())
        try:
            async with asyncio.timeout(FAULT_S_MAX):
                yield sender
        finally:
            sender.finish()


def wrong_books(daemon: Daemon) -> list[str]:
    """Return the books that do not balance once nothing is in flight any more."""
    deadline = time.monotonic() + BALANCE_S_MAX
    while True:
        in_flight = daemon.metric("otlpg_queue_items")
        wrong = unbalanced({signal: daemon.items(signal) for signal in Signal})
        if not wrong and not in_flight:
            return []
        if time.monotonic() > deadline:
            return wrong or [f"all signals, of which {in_flight:.0f} items are in flight for ever,"]
        time.sleep(POLL_S)


async def stored_items(database: DatabaseSettings) -> list[str]:
    """Return the text of every item in the tables and the dead letters, restored to OTLP."""
    texts: list[str] = []
    connection = await connect(database)
    try:
        async with snapshot(connection) as view:
            for signal in Signal:
                async for chunk in view.chunks(signal):
                    texts += item_texts(restore(signal, chunk.rows, chunk.dimensions))
            texts += await _quarantined_items(connection)
    finally:
        await connection.close()
    return texts


async def _quarantined_items(connection: Connection) -> list[str]:
    letters = await connection.fetch(
        "SELECT signal, payload FROM dead_letters WHERE outcome = 'quarantined'"
    )
    return [
        QUARANTINED + text
        for letter in letters
        for text in item_texts(MESSAGES[Signal(letter["signal"])].FromString(letter["payload"]))
    ]
