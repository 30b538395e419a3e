"""PostgreSQL is stopped at once, as by a power cut, and recovers, under load."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, run_under

ACKNOWLEDGED_BETWEEN_RESTARTS_MAX = 400
RESTARTS_PER_RUN = 5
LONG_RUNS = 4  # 20 restarts


def restart_postgres(server: EmbeddedPostgres, restarts: int) -> Fault:
    """Return the fault that restarts ``server`` without a warning to anyone."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(restarts):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_RESTARTS_MAX))
            await asyncio.to_thread(server.restart, "immediate")
        await sender.acknowledged(1)  # it stores again, without a restart of its own

    return fault


async def test_restarts_of_postgres_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings
) -> None:
    """Two immediate restarts under load: everything acknowledged survived, exactly once."""
    fault = restart_postgres(durable_server, 2)

    verdict = await run_under(fault, durable_database, seed=2)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 2


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(200, 200 + LONG_RUNS))
async def test_twenty_restarts_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, five restarts for each of four seeds."""
    fault = restart_postgres(durable_server, RESTARTS_PER_RUN)

    verdict = await run_under(fault, durable_database, seed=seed)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > RESTARTS_PER_RUN
