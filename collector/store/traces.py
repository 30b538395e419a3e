"""The summary row of each trace and day, kept up to date by the transaction that stores its spans.

Upserts lock rows until COMMIT; they come last and in one order, so that writers with overlapping
traces wait for each other briefly and never in a circle.
"""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from collector.items import STATUS_ERROR
from collector.rows import SpanRow, TraceRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.store.pool import Connection

    Columns = list[Sequence[Any]]
    """One statement's arguments: a list per column, all of the same length."""

SERVICES_MAX = 32
"""Services named in one row; a trace through more of them names the first ones."""

SLICE_ROWS = 5_000
"""Spans added up at once: some 10 ms, in which nobody else has a turn."""

UPSERT_TRACES = 20_000
"""Traces in one statement: a full group. Its arguments are encoded while the transaction stands
idle, 0.05 s of CPU; all traces of the largest request at once took 0.6 s."""

_DAY_US = 86_400_000_000
_EPOCH_DAY = date(2000, 1, 1)

_START = SpanRow._fields.index("start_time")
_DURATION = SpanRow._fields.index("duration_ns")
_TRACE = SpanRow._fields.index("trace_id")
_PARENT = SpanRow._fields.index("parent_span_id")
_NAME = SpanRow._fields.index("name")
_SERVICE = SpanRow._fields.index("service_name")
_STATUS = SpanRow._fields.index("status_code")

_NO_ROOT = (None,) * len(SpanRow._fields)

_TYPES = "bytea date timestamptz timestamptz bigint bigint text text integer bigint text"
"""Of the columns of ``rows.TraceRow``, in order; services travel as text, see ``array_text``."""

_MERGED = {
    "start_time": "least(t.start_time, excluded.start_time)",
    "end_time": "greatest(t.end_time, excluded.end_time)",
    "span_count": "t.span_count + excluded.span_count",
    "error_count": "t.error_count + excluded.error_count",
    "root_name": "coalesce(t.root_name, excluded.root_name)",
    **{
        column: f"CASE WHEN t.root_name IS NULL THEN excluded.{column} ELSE t.{column} END"
        for column in ("root_service", "root_status_code", "root_duration_ns")
    },
    "services": f"""CASE
        WHEN excluded.services <@ t.services OR cardinality(t.services) >= {SERVICES_MAX}
        THEN t.services
        ELSE ARRAY(SELECT s FROM unnest(t.services || excluded.services) WITH ORDINALITY AS u (s, i)
                   GROUP BY s ORDER BY min(i) LIMIT {SERVICES_MAX})
    END""",  # noqa: S608 -- the only thing put in is a constant of ours
}
"""What each column but the key becomes when the row is there already."""


def _upsert_sql() -> str:
    """Return the statement that merges a batch, given one array per column of ``rows.TraceRow``."""
    columns = ", ".join(TraceRow._fields)
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_TYPES.split(), 1))
    merged = ", ".join(f"{column} = {_MERGED[column]}" for column in TraceRow._fields[2:])
    return (  # only names of our own go into the text
        f"INSERT INTO traces AS t ({columns})"  # noqa: S608
        f" SELECT {columns.replace('services', 'services::text[]')}"
        f" FROM unnest({arrays}) AS n ({columns})"
        f" ON CONFLICT (trace_id, day) DO UPDATE SET {merged}"
    )


_UPSERT = _upsert_sql()


class _Summary:
    """What one batch adds to one row."""

    __slots__ = ("end", "errors", "root", "services", "spans", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.spans = 0
        self.errors = 0
        self.root: tuple[Any, ...] | None = None
        self.services: dict[str, None] = {}  # a set that keeps the order of arrival


def day_of(time: int) -> date:
    """Return the UTC date of microseconds since 2000-01-01."""
    return _EPOCH_DAY + timedelta(days=time // _DAY_US)


def _add(rows: Iterable[tuple[Any, ...]], summaries: dict[tuple[bytes, int], _Summary]) -> None:
    """Add spans to what their trace and day (counted from 2000-01-01) have so far.

    The root is the span without a parent; of several, the one that starts first.
    """
    for row in rows:
        start = row[_START]
        key = (row[_TRACE], start // _DAY_US)
        summary = summaries.get(key)
        if summary is None:
            summary = summaries[key] = _Summary(start)
        elif start < summary.start:
            summary.start = start
        duration = row[_DURATION]
        end = start + duration // 1000 if duration else start
        if end > summary.end:
            summary.end = end
        summary.spans += 1
        if row[_STATUS] == STATUS_ERROR:
            summary.errors += 1
        if row[_PARENT] is None and (summary.root is None or start < summary.root[_START]):
            summary.root = row
        service = row[_SERVICE]
        if (
            service is not None
            and service not in summary.services
            and len(summary.services) < SERVICES_MAX
        ):
            summary.services[service] = None


async def parameters(rows: Iterable[tuple[Any, ...]]) -> list[Columns]:
    """Return what ``upsert`` needs, one list per column and statement; empty when there is no row.

    A step of its own, so that it is done before the transaction begins: 200 000 traces take 1.5 s
    of CPU, and a process that may use a third of one would stand idle in it for longer than the
    server allows, at every try. Others have their turn between two slices.
    """
    rest = iter(rows)
    summaries: dict[tuple[bytes, int], _Summary] = {}
    while rows_of_slice := list(islice(rest, SLICE_ROWS)):
        _add(rows_of_slice, summaries)
        if len(rows_of_slice) == SLICE_ROWS:
            await asyncio.sleep(0)
    keys = sorted(summaries)
    statements: list[Columns] = []
    for first in range(0, len(keys), UPSERT_TRACES):
        if first:
            await asyncio.sleep(0)
        columns = _columns(summaries, keys[first : first + UPSERT_TRACES])
        statements.append([columns[name] for name in TraceRow._fields])
    return statements


async def upsert(
    connection: Connection, statements: Sequence[Columns], *, timeout_s: float
) -> None:
    """Merge what ``parameters`` returned into ``traces``, in the order of (trace_id, day)."""
    for columns in statements:
        await connection.execute(_UPSERT, *columns, timeout=timeout_s)


def _columns(
    summaries: dict[tuple[bytes, int], _Summary], keys: Sequence[tuple[bytes, int]]
) -> dict[str, Sequence[Any]]:
    """Return the columns of ``rows.TraceRow`` by name, each in the order of ``keys``."""
    trace_ids, numbers = zip(*keys, strict=True)
    found = [summaries[key] for key in keys]
    roots = [summary.root or _NO_ROOT for summary in found]
    days = {number: _EPOCH_DAY + timedelta(days=number) for number in set(numbers)}
    services = [tuple(summary.services) for summary in found]
    texts = {names: array_text(names) for names in set(services)}
    return {
        "trace_id": trace_ids,
        "day": [days[number] for number in numbers],
        "start_time": [summary.start for summary in found],
        "end_time": [summary.end for summary in found],
        "span_count": [summary.spans for summary in found],
        "error_count": [summary.errors for summary in found],
        "root_service": [root[_SERVICE] for root in roots],
        "root_name": [root[_NAME] for root in roots],
        "root_status_code": [root[_STATUS] for root in roots],
        "root_duration_ns": [root[_DURATION] for root in roots],
        "services": [texts[names] for names in services],
    }


def array_text(values: Sequence[str]) -> str:
    r"""Return ``values`` as the text form of a ``text[]``, ``{"a","b\"c"}``.

    ``unnest`` flattens an array of arrays, so each row's list travels as text.
    """
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
