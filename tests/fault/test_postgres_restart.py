"""PostgreSQL is killed, stopped as by a power cut, or restarted politely, under load."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again

ACKNOWLEDGED_BETWEEN_RESTARTS_MAX = 100
WAYS = ("kill", "immediate", "fast")
ROUNDS_PER_RUN = 3
LONG_RUNS = 4  # 36 restarts


def restart_postgres(server: EmbeddedPostgres, rounds: int) -> Fault:
    """Return the fault that restarts ``server`` in every way, without a warning to anyone."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            for way in rng.sample(WAYS, len(WAYS)):
                await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_RESTARTS_MAX))
                await asyncio.to_thread(restart, server, way)
                await serves_again(sender)  # without a restart of its own

    return fault


def restart(server: EmbeddedPostgres, way: str) -> None:
    """Kill the postmaster alone (its backends find out), or stop it; then start it again."""
    if way == "kill":
        server.kill()
        server.restart()
    else:
        server.restart("fast" if way == "fast" else "immediate")


async def test_restarts_of_postgres_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings
) -> None:
    """One restart of each kind under load: everything acknowledged survived, exactly once."""
    fault = restart_postgres(durable_server, 1)

    verdict = await run_under(fault, durable_database, seed=2)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > len(WAYS)


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(200, 200 + LONG_RUNS))
async def test_many_restarts_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, nine restarts for each of four seeds."""
    fault = restart_postgres(durable_server, ROUNDS_PER_RUN)

    verdict = await run_under(fault, durable_database, seed=seed)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > ROUNDS_PER_RUN * len(WAYS)
