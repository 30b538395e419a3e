"""What the tests of queries share: rows around now, committed with their dimensions; and plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from random import Random
from typing import Any

import orjson

from collector.query.time_range import TimeRange
from collector.rows import FACT_COLUMNS, FACT_TABLES, Signal, SpanRow
from collector.store import dimensions as store_dimensions
from collector.store import traces as store_traces
from collector.store.pool import Connection
from tests.converted import (
    dimensions,
    metric_row,
    resource_row,
    scope_row,
    series_row,
    span_row,
)
from tests.db.writing import NOW
from tests.leaves import DAY_US, make_leaves

MINUTE_US = 60_000_000
HOUR = TimeRange(NOW - 60 * MINUTE_US, NOW)

SHOP, BANK, LIBRARY = resource_row("shop"), resource_row("bank"), scope_row()
BY_BANK: Mapping[str, Any] = {"service_name": "bank", "resource_id": BANK.resource_id}
"""Columns of a span of the bank."""
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


async def write_spans(connection: Connection, *rows: tuple[Any, ...]) -> None:
    """Commit spans, and what a flush says of their traces."""
    await write(connection, Signal.TRACES, *rows)
    await store_traces.upsert(connection, await store_traces.parameters(rows), timeout_s=10)


def span(trace: str, number: int = 0, *, minutes: float = 1, **columns: Any) -> SpanRow:
    """Return a span of a trace, so many minutes ago."""
    row = span_row(
        number, time=NOW - round(minutes * MINUTE_US), trace=trace, resource=SHOP, scope=LIBRARY
    )
    return SpanRow._make(row)._replace(**columns)


def any_span(dice: Random, number: int, *, time: int) -> SpanRow:
    """Return a span of a shop, a bank or nobody, with any kind, status and duration."""
    row = span_row(
        number,
        time=time,
        name=dice.choice(("GET /", "PUT /", "pay")),
        service=dice.choice(("shop", "bank", None)),
        root=dice.random() < 0.2,
        status=dice.choice((0, 1, 2)),
        duration_ns=dice.choice((None, 0, 1, dice.randrange(10**4), dice.randrange(2**62))),
    )
    return SpanRow._make(row)._replace(kind=dice.randrange(6))


async def leaf_of(connection: Connection, signal: Signal, time: int) -> str:
    """Return the name of the leaf that holds a moment."""
    leaf: str = await connection.fetchval(
        "SELECT leaf FROM otlpg_leaves() WHERE parent = $1 AND starts_at <= $2 AND ends_at > $2",
        FACT_TABLES[signal],
        time,
    )
    return leaf


async def plan_of(connection: Connection, sql: str, parameters: Sequence[Any]) -> str:
    """Return the plan of a statement, a line for each of its nodes and their conditions.

    Tables of tests are almost empty: who asks for an index sets ``enable_seqscan = off`` first.
    """
    lines = await connection.fetch(f"EXPLAIN (COSTS OFF) {sql}", *parameters)
    return "\n".join(line[0] for line in lines)


def sorted_texts(items: Iterable[Any]) -> list[bytes]:
    """Return the JSON of each, in an order that is the same for the same items."""
    return sorted(map(text_of, items))


def text_of(item: Any) -> bytes:
    """Return its JSON, the same for equal items."""
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
