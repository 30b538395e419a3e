"""SIGTERM under load: the daemon drains, or hurries when asked twice, and its successor goes on."""

from __future__ import annotations

import asyncio
import signal
from random import Random

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.several import start_under_load
from tests.fault.stage import RUN_S_MAX, Fault, run_under

ACKNOWLEDGED_BETWEEN_STOPS_MAX = 300
STOPS_PER_RUN = 10
LONG_RUNS = 4


def stop_and_start(stops: int) -> Fault:
    """Return the fault that stops the daemon so often, every second time in a hurry."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        daemon.keep_ports()
        for number in range(stops):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_STOPS_MAX))
            daemon.signal(signal.SIGTERM)
            if number % 2:
                await asyncio.to_thread(daemon.wait_for_log, "draining")
                daemon.signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait) == 0, daemon.log_text()
            await start_under_load(daemon, sender)

    return fault


async def test_a_stopped_daemon_loses_and_repeats_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """A drain and a hurried one: every exit is clean, and what was acknowledged is stored once."""
    verdict = await run_under(stop_and_start(2), durable_database, seed=4)

    verdict.assert_promises_kept()


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(400, 400 + LONG_RUNS))
async def test_forty_stops_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, ten stops for each of four seeds."""
    verdict = await run_under(stop_and_start(STOPS_PER_RUN), durable_database, seed=seed)

    verdict.assert_promises_kept()
