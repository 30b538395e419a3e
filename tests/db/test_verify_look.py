"""operate.verify.look on a real server: each look leads through an index."""

from __future__ import annotations

from typing import cast

import pytest

from collector.operate.verify.look import SERIES
from collector.rows import Signal
from collector.store.pool import Connection
from collector.store.read import Only, snapshot
from tests.db.overhearing import Overheard
from tests.db.querying import plan_of
from tests.factories import BASE_UNIX_NANO
from tests.leaves import make_leaves, pg_us

NOW = pg_us(BASE_UNIX_NANO)


@pytest.mark.parametrize(
    ("signal", "only", "columns"),
    [
        (Signal.TRACES, Only("trace_id", [bytes(16)]), ["trace_id"]),
        (Signal.LOGS, Only("service_name", ["otlpg-verify"]), ["service_name", "time"]),
        (Signal.METRICS, Only("series_id", [1]), ["series_id", "time"]),
    ],
)
async def test_rows_are_found_by_an_index(
    connection: Connection, signal: Signal, only: Only, columns: list[str]
) -> None:
    """The condition is the index's own, and of several days one leaf is read."""
    day = 86_400_000_000
    await make_leaves(connection, [NOW - 2 * day, NOW])
    overheard = Overheard(connection)
    async with snapshot(cast("Connection", overheard)) as view:
        async for _ in view.chunks(signal, time_min=NOW, time_max=NOW + 1, only=only):
            pass

    [(sql, *parameters)] = overheard.asked
    await connection.execute("SET enable_seqscan = off")
    plan = await plan_of(connection, sql, parameters)

    assert "Seq Scan" not in plan, plan
    [condition] = [line for line in plan.splitlines() if "Index Cond:" in line]
    assert all(f"({column} " in condition.replace('"', "") for column in columns), plan


async def test_series_are_found_by_indexes(connection: Connection) -> None:
    """However many series there are, those of the canary are looked up."""
    await connection.execute("SET enable_seqscan = off")

    plan = await plan_of(connection, SERIES, [["a"], "otlpg-verify", "here"])

    assert "Seq Scan" not in plan, plan
