"""The connection to PostgreSQL fails around COMMIT, or in the middle of a COPY, under load."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.proxy import Fault as WireFault
from tests.fault.proxy import Proxy, wire_to
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, grown, run_under, serves_again

ACKNOWLEDGED_BETWEEN_FAULTS_MAX = 50
LOUD = (WireFault.LOSE_COMMIT, WireFault.BREAK_IN_COMMIT, WireFault.LOSE_REPLY)
SILENT = (WireFault.BLACK_HOLE, WireFault.BLACK_HOLE_COPY)
IMPATIENT = {
    "OTLPG_DATABASE__STATEMENT_S_MAX": "1",  # and two seconds of grace
    "OTLPG_DATABASE__IDLE_IN_TRANSACTION_S_MAX": "1",
    "OTLPG_DATABASE__REAP_AFTER_S": "1.5",
}
LONG_RUNS = 6


def lose(wire: Proxy, faults: tuple[WireFault, ...], rounds: int) -> Fault:
    """Return the fault that strikes each of ``faults`` in a drawn order, and again."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            for next_fault in rng.sample(faults, len(faults)):
                await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_FAULTS_MAX))
                await wire.strike(next_fault)
                await serves_again(sender)

    return fault


async def test_lost_commits_and_replies_lose_and_repeat_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """COMMIT never came, its answer was lost, or nobody can tell: stored once, whatever it was."""
    async with wire_to(durable_database, seed=6) as (wire, through):
        fault = lose(wire, LOUD, 3)

        verdict = await run_under(fault, through, seed=6, judged=durable_database)

    verdict.assert_promises_kept()
    assert wire.struck == 9
    assert verdict.acknowledged > 9


async def test_black_holes_lose_and_repeat_nothing(durable_database: DatabaseSettings) -> None:
    """Nobody says that anything is wrong; in mid-COPY the other worker ends the backend."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        reaped = asyncio.create_task(grown(daemon, "otlpg_reaped_backends_total"))
        await lose(wire, SILENT, 1)(daemon, sender, rng)
        await reaped

    async with wire_to(durable_database, seed=7) as (wire, through):
        verdict = await run_under(
            fault, through, seed=7, judged=durable_database, environment=IMPATIENT
        )

    verdict.assert_promises_kept()
    assert wire.struck == 2
    assert verdict.acknowledged > 2


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(600, 600 + LONG_RUNS))
async def test_many_lost_commits_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """Every fault of the wire, four times for each of six seeds."""
    async with wire_to(durable_database, seed=seed) as (wire, through):
        fault = lose(wire, LOUD + SILENT, 4)

        verdict = await run_under(
            fault, through, seed=seed, judged=durable_database, environment=IMPATIENT
        )

    verdict.assert_promises_kept()
    assert wire.struck == 4 * len(WireFault)
