"""Daemons, and workers of one, are replaced one after the other while senders go on elsewhere."""

from __future__ import annotations

import asyncio
import signal
from random import Random

import psutil
import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import STOP_S_MAX, Daemon
from tests.fault.oracle import Verdict, judge
from tests.fault.sender import RecordingSender
from tests.fault.several import daemons, endpoints_of, start_under_load
from tests.fault.stage import RUN_S_MAX, load, run_under, serves_again, stored_items, wrong_books

ACKNOWLEDGED_BETWEEN_MAX = 100
ACKNOWLEDGED_MEANWHILE = 20
"""By the others, while one drains and starts again: the service as a whole never stops."""
ROUNDS = 4
LONG_RUNS = 3


async def replace_daemons(
    database: DatabaseSettings, count: int, rounds: int, seed: int
) -> Verdict:
    """Return the verdict on ``count`` daemons, each of which is replaced so many times under load."""
    rng = Random(f"rolling {seed}")
    async with daemons(count, database) as running:
        async with load(*endpoints_of(running), seed=seed) as sender:
            for daemon in running * rounds:
                await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_MAX))
                daemon.keep_ports()
                daemon.signal(signal.SIGTERM)
                assert await asyncio.to_thread(daemon.wait) == 0, daemon.log_text()
                await sender.acknowledged(ACKNOWLEDGED_MEANWHILE)
                await start_under_load(daemon, sender)
        wrong = [
            books for daemon in running for books in await asyncio.to_thread(wrong_books, daemon)
        ]
    verdict = judge(sender.records, await stored_items(database))
    verdict.unbalanced = wrong
    return verdict


async def replace_workers(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
    """Tell each worker to drain, one after the other; their supervisor starts others."""
    for worker in daemon.workers():
        await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_MAX))
        worker.terminate()
        await asyncio.to_thread(psutil.wait_procs, [worker], STOP_S_MAX)
        await serves_again(sender)
        await asyncio.to_thread(daemon.wait_until_workers, 2)
    assert await asyncio.to_thread(wrong_books, daemon) == []


async def test_replaced_daemons_lose_and_repeat_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """Two daemons, each replaced once; what one refuses, its sender hands to the other."""
    verdict = await replace_daemons(durable_database, count=2, rounds=1, seed=6)

    verdict.assert_promises_kept()


@pytest.mark.long
async def test_replaced_workers_lose_and_repeat_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """A worker that drains tells what it counted, so the daemon's books balance afterwards."""
    verdict = await run_under(replace_workers, durable_database, seed=7, workers_die=True)

    verdict.assert_promises_kept()


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(600, 600 + LONG_RUNS))
async def test_three_daemons_replaced_again_and_again_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """Twelve replacements for each seed."""
    verdict = await replace_daemons(durable_database, count=3, rounds=ROUNDS, seed=seed)

    verdict.assert_promises_kept()
