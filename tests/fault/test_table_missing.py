"""A leaf is taken away, or a whole table is renamed and comes back, under load."""

from __future__ import annotations

from random import Random

import pytest

from collector.rows import FACT_TABLES
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, failing, run_under, serves_again

ACKNOWLEDGED_BETWEEN_LOSSES_MAX = 50
FACTS = tuple(FACT_TABLES.values())
RENAMED = ("logs", "ingest_ledger")
LONG_RENAMED = (*FACTS, "ingest_ledger", "traces", "resources", "metric_series", "scopes")
UNDEFINED_TABLE = "42P01"
LONG_RUNS = 4

FORGET = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'otlpg' AND datname = current_database()"
)
"""A worker that loses a connection doubts all dimensions."""

LEAVES = "SELECT leaf::text FROM otlpg_leaves() WHERE parent = $1 ORDER BY starts_at"


def take_leaves(administrator: Connection, *parents: str) -> Fault:
    """Return the fault in which every leaf of these tables is detached.

    Its rows come back at the end, through the parent, for the oracle to see.
    """

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for parent in parents:
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_LOSSES_MAX))
            leaves = [row["leaf"] for row in await administrator.fetch(LEAVES, parent)]
            async with administrator.transaction():
                for number, leaf in enumerate(leaves):
                    await administrator.execute(
                        f"ALTER TABLE {parent} DETACH PARTITION {leaf};"
                        f"ALTER TABLE {leaf} RENAME TO gone_{parent}_{number}"
                    )
            await serves_again(sender)
            for number in range(len(leaves)):
                gone = f"gone_{parent}_{number}"
                await administrator.execute(f"INSERT INTO {parent} SELECT * FROM {gone}")

    return fault


def rename_tables(administrator: Connection, *tables: str) -> Fault:
    """Return the fault in which each table has another name until several transactions failed."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for table in rng.sample(tables, len(tables)):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_LOSSES_MAX))
            await administrator.execute(f"ALTER TABLE {table} RENAME TO away")
            await administrator.fetch(
                FORGET
            )  # the dimensions that it knows, and does not write again
            try:
                await failing(daemon, UNDEFINED_TABLE, times=3)
            finally:
                await administrator.execute(f"ALTER TABLE away RENAME TO {table}")
            await serves_again(sender)

    return fault


@pytest.mark.long
async def test_leaves_that_vanish_are_made_again(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """A leaf that everybody believed in is gone: it is made again, and nothing is lost by that."""
    fault = take_leaves(administrator, *FACTS)

    verdict = await run_under(fault, durable_database, seed=11)

    verdict.assert_promises_kept()
    assert (
        await administrator.fetchval(
            "SELECT count(*) FROM dead_letters WHERE reason <> 'invalid_span_id'"
        )
        == 0
    )


async def test_tables_that_are_away_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, administrator: Connection
) -> None:
    """A table of facts, or the ledger, is not there: what belongs in it waits."""
    fault = rename_tables(administrator, *RENAMED)

    verdict = await run_under(fault, durable_database, seed=12)

    verdict.assert_promises_kept()
    assert (
        await administrator.fetchval(
            "SELECT count(*) FROM dead_letters WHERE reason <> 'invalid_span_id'"
        )
        == 0
    )


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1100, 1100 + LONG_RUNS))
async def test_every_table_may_be_away(
    durable_database: DatabaseSettings, administrator: Connection, seed: int
) -> None:
    """All tables that are written to under this load, then the leaves."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await rename_tables(administrator, *LONG_RENAMED)(daemon, sender, rng)
        await take_leaves(administrator, *FACTS)(daemon, sender, rng)

    verdict = await run_under(fault, durable_database, seed=seed)

    verdict.assert_promises_kept()
    assert (
        await administrator.fetchval(
            "SELECT count(*) FROM dead_letters WHERE reason <> 'invalid_span_id'"
        )
        == 0
    )
