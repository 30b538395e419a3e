"""PostgreSQL is gone for some seconds, or a minute, under load."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again

ACKNOWLEDGED_BETWEEN_OUTAGES_MAX = 50
OUTAGES_S = (1.0, 3.0, 8.0)
"""Shorter than a flush's pause, than a hold without a deadline, and as long as our senders wait."""
LONG_OUTAGES_S = (30.0, 60.0)


def take_postgres_away(server: EmbeddedPostgres, outages_s: Sequence[float]) -> Fault:
    """Return the fault that stops ``server`` for each of these times, in a drawn order."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for outage_s in rng.sample(outages_s, len(outages_s)):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_OUTAGES_MAX))
            await asyncio.to_thread(server.stop, "immediate")
            heard = sender.acknowledged_so_far
            try:
                await asyncio.sleep(outage_s)  # it is the hazard
            finally:
                await asyncio.to_thread(server.restart)
            assert sender.acknowledged_so_far <= heard + sender.in_flight, "who has committed that?"
            await serves_again(sender)

    return fault


async def test_outages_of_some_seconds_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings
) -> None:
    """Away for one, three and eight seconds: what was acknowledged is stored exactly once."""
    fault = take_postgres_away(durable_server, OUTAGES_S)

    verdict = await run_under(fault, durable_database, seed=3)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > len(OUTAGES_S)


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("outage_s", LONG_OUTAGES_S)
async def test_long_outages_lose_and_repeat_nothing(
    durable_server: EmbeddedPostgres, durable_database: DatabaseSettings, outage_s: float
) -> None:
    """The same for half a minute and a minute, in which every sender was refused several times."""
    fault = take_postgres_away(durable_server, [outage_s])

    verdict = await run_under(fault, durable_database, seed=int(300 + outage_s))

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 1
