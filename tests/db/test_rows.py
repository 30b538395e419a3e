"""rows.py and the migrated schema say the same: names, order, types, and what may be NULL."""

from __future__ import annotations

import types
from datetime import date
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest

from collector.rows import (
    FACT_COLUMNS,
    FACT_TABLES,
    TIME_INDEX,
    DeadLetterRow,
    LogRow,
    MetricRow,
    PointRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
    Signal,
    SpanRow,
    TraceRow,
)
from collector.store.pool import Connection


class Table(NamedTuple):
    """A table, the row that is written into it, and the columns that no row holds."""

    name: str
    row: type[Any]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


TABLES = [
    Table("trace_spans", SpanRow),
    Table("logs", LogRow),
    Table("metric_data_points", PointRow),
    Table("resources", ResourceRow, after=("first_seen", "last_seen")),
    Table("scopes", ScopeRow, after=("last_seen",)),
    Table("metrics", MetricRow, after=("last_seen",)),
    Table("metric_series", SeriesRow, after=("last_seen",)),
    Table("traces", TraceRow),
    Table("dead_letters", DeadLetterRow, before=("id",)),
]

PYTHON_TYPES: dict[str, type[Any]] = {
    "bigint": int,
    "integer": int,
    "smallint": int,
    "timestamp with time zone": int,
    "double precision": float,
    "boolean": bool,
    "text": str,
    "jsonb": str,
    "bytea": bytes,
    "date": date,
}


def python_type(column_type: str, *, nullable: bool) -> object:
    """Return the annotation that a field of this column must have."""
    element = PYTHON_TYPES[column_type.removesuffix("[]")]
    whole: Any = list[element] if column_type.endswith("[]") else element
    return whole | None if nullable else whole


def normal(annotation: object) -> object:
    """Return an annotation in a form in which two of the same meaning are equal."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return frozenset(get_args(annotation))
    return annotation


async def columns(connection: Connection, table: str) -> list[tuple[str, str, bool]]:
    """Return name, type and nullability of each column, in order."""
    found = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull"
        " FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [(row["attname"], row["type"], not row["attnotnull"]) for row in found]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_a_row_has_the_columns_of_its_table(connection: Connection, table: Table) -> None:
    """Field order is column order, and each field's type is what its column takes."""
    found = await columns(connection, table.name)
    hints = get_type_hints(table.row)

    assert [name for name, _, _ in found] == [*table.before, *table.row._fields, *table.after]
    for name, column_type, nullable in found:
        if name in table.row._fields:
            expected = python_type(column_type, nullable=nullable)
            assert normal(hints[name]) == normal(expected), f"{table.name}.{name}"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_columns_beyond_the_row_need_no_value(connection: Connection, table: Table) -> None:
    """Whoever writes a row need not know the other columns."""
    needy = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
        " AND attnotnull AND NOT atthasdef AND attidentity = '' AND attname <> ALL($2::text[])",
        table.name,
        list(table.row._fields),
    )

    assert not needy


@pytest.mark.parametrize("signal", Signal)
async def test_the_time_index_is_the_partition_key(connection: Connection, signal: Signal) -> None:
    """TIME_INDEX points to the column that chooses the leaf."""
    key = await connection.fetchval(
        "SELECT attname FROM pg_partitioned_table JOIN pg_attribute"
        " ON attrelid = partrelid AND attnum = ALL(partattrs::int2[])"
        " WHERE partrelid = $1::text::regclass",
        FACT_TABLES[signal],
    )

    assert key == FACT_COLUMNS[signal][TIME_INDEX[signal]]
