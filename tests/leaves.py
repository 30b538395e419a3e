"""Leaves for rows of given times, for tests that write without a partition manager."""

from __future__ import annotations

from collections.abc import Iterable

from collector.rows import FACT_TABLES, PG_EPOCH_UNIX_US, Signal
from collector.store.pool import Connection

DAY_US = 86_400_000_000


def pg_us(unix_nano: int) -> int:
    """Return nanoseconds since 1970 as the microseconds since 2000 that rows hold."""
    return unix_nano // 1_000 - PG_EPOCH_UNIX_US


async def make_leaves(connection: Connection, days_of: Iterable[int]) -> None:
    """Make the leaf of that day in every fact table and in ``traces``, for each of the times.

    Units: microseconds since 2000-01-01 UTC.
    """
    tables = [*(FACT_TABLES[signal] for signal in Signal), "traces"]
    for time in days_of:
        for table in tables:
            await connection.execute("SELECT otlpg_make_leaf($1, $2, 24)", table, time)
