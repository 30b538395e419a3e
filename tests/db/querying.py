"""What the tests of queries share: rows around now, committed with their dimensions."""

from __future__ import annotations

from datetime import date
from typing import Any

from collector.rows import FACT_COLUMNS, FACT_TABLES, Signal
from collector.store import dimensions as store_dimensions
from collector.store.pool import Connection
from tests.converted import dimensions, metric_row, resource_row, scope_row, series_row
from tests.db.writing import NOW
from tests.leaves import DAY_US, make_leaves

SHOP, BANK, LIBRARY = resource_row("shop"), resource_row("bank"), scope_row()
REQUESTS = metric_row("requests")
SERIES = series_row(REQUESTS, SHOP, LIBRARY)
KNOWN = dimensions([SHOP, BANK], [LIBRARY], [REQUESTS], [SERIES])


async def prepare(connection: Connection) -> None:
    """Make a leaf per day from forty days ago to the day after tomorrow, and the dimensions."""
    await make_leaves(connection, [NOW + day * DAY_US for day in (-40, -20, -2, -1, 0, 1, 2)])
    async with connection.transaction():
        await store_dimensions.write(connection, KNOWN, date(2026, 1, 1), timeout_s=10)


async def write(connection: Connection, signal: Signal, *rows: tuple[Any, ...]) -> None:
    """Commit rows."""
    await connection.copy_records_to_table(
        FACT_TABLES[signal], records=rows, columns=FACT_COLUMNS[signal]
    )


async def leaf_of(connection: Connection, signal: Signal, time: int) -> str:
    """Return the name of the leaf that holds a moment."""
    leaf: str = await connection.fetchval(
        "SELECT leaf FROM otlpg_leaves() WHERE parent = $1 AND starts_at <= $2 AND ends_at > $2",
        FACT_TABLES[signal],
        time,
    )
    return leaf
