"""A migration holds the strongest lock on a table for some seconds, under load."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, failing, run_under, serves_again

ACKNOWLEDGED_BETWEEN_LOCKS_MAX = 50
LOCKED = ("trace_spans", "ingest_ledger")
"""A table of one signal's facts, and one that every transaction writes to."""
LONG_LOCKED = (*LOCKED, "logs", "metric_data_points", "traces", "resources", "metric_series")
LOCK_NOT_AVAILABLE = "55P03"
REFUSALS = 2
"""Each waits for ``lock_s_max``, a second; two flushers of each worker write the spans."""
LONG_HELD_S = (0.2, 2.0, 12.0)


def lock(administrator: Connection, *tables: str, held_s: float) -> Fault:
    """Return the fault in which each of ``tables`` is locked for at least ``held_s``."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for table in rng.sample(tables, len(tables)):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_LOCKS_MAX))
            async with administrator.transaction():
                await administrator.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                if held_s > 1.0 or table in LOCKED:
                    await failing(daemon, LOCK_NOT_AVAILABLE, times=REFUSALS)
                await asyncio.sleep(held_s)  # it is the hazard
            await serves_again(sender)

    return fault


async def test_locks_of_some_seconds_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """What cannot be written yet waits; nobody takes it for a fault of its rows."""
    fault = lock(administrator, *LOCKED, held_s=0.0)

    verdict = await run_under(fault, durable_database, seed=10)

    verdict.assert_promises_kept()
    assert (
        await administrator.fetchval(
            "SELECT count(*) FROM dead_letters WHERE reason <> 'invalid_span_id'"
        )
        == 0
    )


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("held_s", LONG_HELD_S)
async def test_locks_on_every_table_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, administrator: Connection, held_s: float
) -> None:
    """The same for other tables and times, longer than any statement may take among them."""
    tables = LONG_LOCKED if held_s < 10 else LOCKED
    fault = lock(administrator, *tables, held_s=held_s)

    verdict = await run_under(fault, durable_database, seed=int(1000 + held_s))

    verdict.assert_promises_kept()
    assert (
        await administrator.fetchval(
            "SELECT count(*) FROM dead_letters WHERE reason <> 'invalid_span_id'"
        )
        == 0
    )
