"""Restarts in the middle, with the real otel-collector in front: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

import pytest

from collector.rows import Signal
from collector.store.embedded import EmbeddedPostgres
from tests.interop.chain import Chain, crash
from tests.interop.telemetrygen import logs, metrics, traces

pytestmark = pytest.mark.interop

NUMBER = 3_000
ITEMS = dict.fromkeys(Signal, NUMBER)
LOADS = (
    traces(NUMBER // 3, children=2, rate=600, batch=10),
    metrics(NUMBER, rate=600, batch=10),
    logs(NUMBER, rate=600, batch=10),
)
"""Five seconds of 180 small requests a second, so that some are always under way."""
AT = (0.3, 0.7)
"""A restart each time such a share of the spans is committed."""
SHAPES = ("requests on disk", "batches in memory", "over HTTP")


@pytest.mark.parametrize("shape", SHAPES)
async def test_otlpg_is_restarted(chain: Chain) -> None:
    """SIGTERM answers what is under way; what comes later waits in the collector."""
    codes: list[int] = []

    async def restart() -> None:
        codes.append(await asyncio.to_thread(chain.otlpg.stop))
        await asyncio.to_thread(chain.otlpg.start)

    await chain.send_through(*LOADS, restart=restart, at=AT)

    await chain.assert_holds_exactly(ITEMS)
    assert codes == [0] * len(AT)


@pytest.mark.parametrize("shape", SHAPES)
async def test_otlpg_is_killed(chain: Chain) -> None:
    """After SIGKILL of all its processes the retries of committed requests are recognised."""

    async def restart() -> None:
        await asyncio.to_thread(crash, chain.otlpg)
        await asyncio.to_thread(chain.otlpg.start)

    await chain.send_through(*LOADS, restart=restart, at=AT)

    await chain.assert_holds_exactly(ITEMS)


@pytest.mark.parametrize("shape", SHAPES)
async def test_one_worker_is_killed(chain: Chain) -> None:
    """The other worker goes on, the dead one is replaced."""

    async def kill_one() -> None:
        chain.otlpg.workers()[0].kill()

    await chain.send_through(*LOADS, restart=kill_one, at=AT)

    await chain.assert_holds_exactly(ITEMS)
    assert await asyncio.to_thread(chain.otlpg.metric, "otlpg_worker_restarts_total") == len(AT)


@pytest.mark.parametrize("shape", SHAPES)
async def test_postgres_crashes(chain: Chain, durable_postgres: EmbeddedPostgres) -> None:
    """After an immediate stop of PostgreSQL otlpg goes on by itself."""

    async def restart() -> None:
        await asyncio.to_thread(durable_postgres.restart, "immediate")

    await chain.send_through(*LOADS, restart=restart, at=AT)

    await chain.assert_holds_exactly(ITEMS)


async def test_collector_crashes_with_a_full_queue(chain: Chain) -> None:
    """A collector that is killed while it forwards its queue sends the same bytes again.

    That is why the sample forms no batches: what was committed but not yet crossed off on the
    collector's disk is a duplicate, not a second copy.
    """
    await asyncio.to_thread(chain.otlpg.stop)
    await chain.telemetrygen.send(
        traces(600, children=2, batch=5), metrics(NUMBER, batch=5), logs(NUMBER, batch=5)
    )
    items = {Signal.TRACES: 1_800, Signal.METRICS: NUMBER, Signal.LOGS: NUMBER}

    await asyncio.to_thread(chain.otlpg.start)
    for share in AT:
        await chain.stored.reaches(Signal.LOGS, int(share * NUMBER))
        await chain.otelcol.kill()
        await chain.otelcol.start()

    for signal, number in items.items():
        await chain.stored.reaches(signal, number)
    await chain.otelcol.stop()
    await chain.stored.assert_holds_exactly(items)
