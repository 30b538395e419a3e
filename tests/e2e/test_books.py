"""The books balance: every item of a decoded request met exactly one end (promise 5)."""

from __future__ import annotations

import asyncio
import time

from collector.rows import FACT_TABLES, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, Failure, numbered_logs
from tests.factories import logs_request, request_of, trace_request


async def test_received_is_the_sum_of_the_five_ends(
    database_settings: DatabaseSettings, connection: Connection, bystander: Connection
) -> None:
    """Stored, duplicate, quarantined, rejected and refused, all of them in one run."""
    with Daemon(
        database_settings,
        OTLPG_INGEST__QUEUE_ITEMS_MAX="1000",
        OTLPG_INGEST__FLUSH_ROWS_MAX="1000",
    ) as daemon:
        for signal in Signal:
            with Caller(daemon.grpc_port) as caller:
                await meet_every_end(caller, signal, bystander)
            books = daemon.items(signal)
            stored = await connection.fetchval(f"SELECT count(*) FROM {FACT_TABLES[signal]}")
            letters = await connection.fetchval(
                "SELECT count(*) FROM dead_letters WHERE signal = $1 AND outcome = 'quarantined'",
                signal,
            )

            assert books["received"] == sum(n for end, n in books.items() if end != "received")
            assert books["stored"] == stored
            assert books["duplicate"] >= 50
            assert books["quarantined"] == letters == (signal is Signal.TRACES)
            assert books["rejected"] == 9
            assert books["refused"] >= 990


async def meet_every_end(caller: Caller, signal: Signal, bystander: Connection) -> None:
    """Send requests of ``signal`` so that each end is met."""
    now = time.time_ns()

    def body(items: int, seed: int) -> bytes:
        return request_of(signal, items=items, seed=seed, base_unix_nano=now).SerializeToString()

    async def send(payload: bytes, timeout_s: float = 30.0) -> bytes | Failure:
        return await asyncio.to_thread(caller.send, signal, payload, timeout_s=timeout_s)

    assert await send(body(50, seed=0)) == b""
    assert await send(body(50, seed=0)) == b""
    assert isinstance(await send(b"\xff" * 9), Failure)
    other = logs_request(items=9) if signal is not Signal.LOGS else trace_request(items=9)
    assert isinstance(await send(other.SerializeToString()), Failure)
    if signal is Signal.TRACES:
        without_id = trace_request(items=22, seed=1, base_unix_nano=now)
        without_id.resource_spans[0].scope_spans[0].spans[0].span_id = b""
        assert isinstance(await send(without_id.SerializeToString()), bytes)
    async with bystander.transaction():
        await bystander.execute(f"LOCK TABLE {FACT_TABLES[signal]} IN ACCESS EXCLUSIVE MODE")
        assert isinstance(await send(body(600, seed=7), timeout_s=0.5), Failure)
        assert isinstance(await send(body(990, seed=8), timeout_s=0.5), Failure)
    assert await send(body(600, seed=7)) == b""


async def test_every_declared_metric_is_served(daemon: Daemon) -> None:
    """An idle daemon shows the bounds of its queues and its connections."""
    status, text = await asyncio.to_thread(daemon.get, "/metrics")

    assert status == 200
    assert b'otlpg_queue_items_max{signal="traces"} 400000.0' in text
    assert daemon.metric("otlpg_pool_connections", state="max") == 44
    assert daemon.metric("otlpg_store_up") == 1
    assert daemon.metric("otlpg_workers") == 1


async def test_the_budgets_are_per_daemon(database_settings: DatabaseSettings) -> None:
    """Two workers share what one would have alone."""
    with Daemon(database_settings, workers=2) as daemon:
        assert daemon.metric("otlpg_queue_bytes_max", signal="logs") == 192 * 2**20
        assert daemon.metric("otlpg_pool_connections", state="max") == 44


async def test_repeats_in_flight_are_one_row(
    daemon: Daemon, connection: Connection, bystander: Connection
) -> None:
    """The same bytes on four connections at once, while the table is locked."""
    body = numbered_logs([1])
    callers = [Caller(daemon.grpc_port) for _ in range(4)]
    async with bystander.transaction():
        await bystander.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
        calls = [
            asyncio.create_task(asyncio.to_thread(caller.send, Signal.LOGS, body))
            for caller in callers
        ]
        await asyncio.to_thread(daemon.wait_for_log, "flush failed", sqlstate="55P03")
    heard = await asyncio.gather(*calls)
    for caller in callers:
        caller.channel.close()

    assert heard == [b""] * 4
    assert await connection.fetchval("SELECT count(*) FROM logs") == 1
    assert daemon.items("logs")["duplicate"] == 3
