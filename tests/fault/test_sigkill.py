"""SIGKILL under load, at moments drawn from the seed: workers, and the daemon as a whole."""

from __future__ import annotations

import asyncio
from random import Random

import psutil
import pytest

from collector.operate.bench.processes import listeners
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.several import kill_all, start_under_load
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again

ACKNOWLEDGED_BETWEEN_KILLS_MAX = 150
KILLS_PER_RUN = 8
LONG_RUNS = 63  # 504 kills


def kill_workers(kills: int) -> Fault:
    """Return the fault that kills ``kills`` serving workers, one or both at a time."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        killed = 0
        while killed < kills:
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_KILLS_MAX))
            serving = listeners(psutil.Process(daemon.pid), daemon.grpc_port)
            for worker in rng.sample(serving, min(len(serving), rng.choice((1, 1, 1, 2)))):
                worker.kill()
                killed += 1
        await serves_again(sender)

    return fault


async def kill_daemon(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
    """Kill supervisor and workers at once, and start afresh on the same ports."""
    await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_KILLS_MAX))
    daemon.keep_ports()
    await asyncio.to_thread(kill_all, daemon)
    await start_under_load(daemon, sender)


async def test_killed_workers_lose_and_repeat_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """Five kills under load: what was acknowledged is stored exactly once, and nothing else."""
    verdict = await run_under(
        kill_workers(5), durable_database, seed=1, workers_die=True, pause_s=0
    )

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 5


async def test_a_killed_daemon_loses_and_repeats_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """Nobody is left to tell: the next daemon finds out by itself what is stored already."""
    verdict = await run_under(kill_daemon, durable_database, seed=3, workers_die=True, pause_s=0)

    verdict.assert_promises_kept()


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(100, 100 + LONG_RUNS))
async def test_five_hundred_kills_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, eight kills for each of 63 seeds."""
    verdict = await run_under(
        kill_workers(KILLS_PER_RUN), durable_database, seed=seed, workers_die=True, pause_s=0
    )

    verdict.assert_promises_kept()
    assert verdict.acknowledged > KILLS_PER_RUN
