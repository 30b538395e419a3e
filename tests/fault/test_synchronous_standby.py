"""The synchronous standby is gone, under load: nobody may hear OK, for a repeated request either.

The primary's COMMIT waits for a standby that is not there. Whoever cancels that wait (an operator,
or ``statement_timeout``) makes PostgreSQL answer COMMIT with a warning: the data is on one machine
only, and nothing is acknowledged.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import POLL_S, Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, failing, run_under, serves_again

ACKNOWLEDGED_BEFORE = 50
NOT_VOUCHED = "01000"
CANCEL = (
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'otlpg' AND wait_event = 'SyncRep'"
)
FLUSHERS = 12
"""Of two workers with three signals: at most so many COMMITs are under way."""
LONG_RUNS = 3


def lose_standby(administrator: Connection, cancelled: int, rounds: int = 1) -> Fault:
    """Return the fault in which COMMIT waits for nobody, and ``cancelled`` waits are cancelled."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for _ in range(rounds):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BEFORE))
            await wait_for_standby(administrator, "nobody")
            try:
                await cancel_waits(administrator, daemon, FLUSHERS)  # what was before is through
                heard = sender.acknowledged_so_far
                await cancel_waits(administrator, daemon, cancelled)
                assert sender.acknowledged_so_far == heard, "acknowledged on one machine only"
            finally:
                await wait_for_standby(administrator, "")
            await serves_again(sender)

    return fault


async def cancel_waits(administrator: Connection, daemon: Daemon, times: int) -> None:
    """Cancel waiting COMMITs until so many were answered with a warning."""
    unvouched = asyncio.create_task(failing(daemon, NOT_VOUCHED, times=times))
    while not unvouched.done():
        await administrator.execute(CANCEL)
        await asyncio.wait([unvouched], timeout=POLL_S)
    await unvouched


async def wait_for_standby(administrator: Connection, names: str) -> None:
    """Let every COMMIT from now on wait for the standbys of these names; none for an empty text."""
    await administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    await administrator.execute("SELECT pg_reload_conf()")


async def test_without_its_standby_nothing_is_acknowledged(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """Not what is new, not what is repeated, not after a cancelled wait; later all of it, once."""
    fault = lose_standby(administrator, 2 * FLUSHERS)

    verdict = await run_under(fault, durable_database, seed=14)

    verdict.assert_promises_kept()
    assert await administrator.fetchval("SELECT max(seen) FROM ingest_ledger") > 2


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1400, 1400 + LONG_RUNS))
async def test_lost_standbys_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, administrator: Connection, seed: int
) -> None:
    """The same, three times for each of three seeds."""
    fault = lose_standby(administrator, 8 * FLUSHERS, rounds=3)

    verdict = await run_under(fault, durable_database, seed=seed)

    verdict.assert_promises_kept()
