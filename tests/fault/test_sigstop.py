"""A worker is frozen under load, its transactions with it, and thaws after its peers have gone on."""

from __future__ import annotations

import asyncio
from random import Random

import psutil
import pytest

from collector.operate.bench.processes import listeners
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again

ACKNOWLEDGED_BEFORE_MAX = 150
ACKNOWLEDGED_MEANWHILE = 300
"""By the other worker: what the frozen one holds is in nobody's way."""
FREEZES_PER_RUN = 5
LONG_RUNS = 4

SOON = {
    "OTLPG_DATABASE__IDLE_IN_TRANSACTION_S_MAX": "0.5s",
    "OTLPG_DATABASE__REAP_AFTER_S": "1s",
}
"""Frozen in mid-COPY, a backend is ended by the reaper only; the default of 15 s is a long test."""


def freeze_workers(freezes: int) -> Fault:
    """Return the fault that freezes one worker after the other until the daemon is unready."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(freezes):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE_MAX))
            frozen = rng.choice(listeners(psutil.Process(daemon.pid), daemon.grpc_port))
            frozen.suspend()
            try:
                await sender.acknowledged(ACKNOWLEDGED_MEANWHILE)
                await asyncio.to_thread(daemon.wait_until_ready, ready=False)
            finally:
                frozen.resume()
            await serves_again(sender)
            await asyncio.to_thread(daemon.wait_until_ready)

    return fault


async def test_a_frozen_worker_loses_and_repeats_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """It wakes to broken connections and senders long gone, and its books still balance."""
    verdict = await run_under(freeze_workers(1), durable_database, seed=5, environment=SOON)

    verdict.assert_promises_kept()


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(500, 500 + LONG_RUNS))
async def test_twenty_freezes_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, five freezes for each of four seeds."""
    verdict = await run_under(
        freeze_workers(FREEZES_PER_RUN), durable_database, seed=seed, environment=SOON
    )

    verdict.assert_promises_kept()
