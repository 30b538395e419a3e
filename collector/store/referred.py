"""The dimension rows that fact rows refer to, read by their ids: for ``read`` and for ``query``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from collector.rows import (
    RESOURCE_AND_SCOPE_INDEX,
    SERIES_INDEX,
    Dimensions,
    MetricRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.store.pool import Connection

NOTHING: Final = Dimensions({}, {}, {}, {})

Row = TypeVar("Row", ResourceRow, ScopeRow, MetricRow, SeriesRow)


async def dimensions_of(
    connection: Connection,
    signal: Signal,
    rows: Sequence[tuple[Any, ...]],
    known: Dimensions = NOTHING,
) -> Dimensions:
    """Return what fact rows refer to, and nothing else; what is ``known`` is not asked for again.

    A dimension row that is gone is absent.

    Shape: rows in the order of ``FACT_COLUMNS``; a new ``Dimensions``, ``known`` stays as it is.

    Raises:
        DRIVER_ERRORS: the caller makes them ours.
    """
    metrics: dict[int, MetricRow] = {}
    series: dict[int, SeriesRow] = {}
    if signal is Signal.METRICS:
        series = await _rows(
            connection, SeriesRow, "metric_series", _ids(rows, SERIES_INDEX), known.series
        )
        metric_ids = {row.metric_id for row in series.values()}
        metrics = await _rows(connection, MetricRow, "metrics", metric_ids, known.metrics)
    resource_ids, scope_ids = _around(signal, rows, series)
    return Dimensions(
        await _rows(connection, ResourceRow, "resources", resource_ids, known.resources),
        await _rows(connection, ScopeRow, "scopes", scope_ids, known.scopes),
        metrics,
        series,
    )


def with_empty(found: Dimensions, signal: Signal, rows: Sequence[tuple[Any, ...]]) -> Dimensions:
    """Return ``found`` with an empty resource or scope in place of each that is gone.

    Rows of facts outlive what they refer to only where somebody deletes by hand, or from a backup of
    some tables. A reader then gets an item without it, as from a join that keeps its left side, and
    not nothing at all. A series or metric that is gone stays absent: nobody knows what it was.
    """
    resource_ids, scope_ids = _around(signal, rows, found.series)
    resources = {
        key: ResourceRow(key, None, None, None, "{}", None, None, None, None, b"")
        for key in resource_ids - found.resources.keys()
    }
    scopes = {
        key: ScopeRow(key, None, None, "{}", None, None, None, b"")
        for key in scope_ids - found.scopes.keys()
    }
    return found._replace(resources=found.resources | resources, scopes=found.scopes | scopes)


def _around(
    signal: Signal, rows: Iterable[tuple[Any, ...]], series: dict[int, SeriesRow]
) -> tuple[set[int], set[int]]:
    """Return the ids of the resources and scopes that rows, or their series, refer to."""
    if signal is Signal.METRICS:
        found = series.values()
        return {row.resource_id for row in found}, {row.scope_id for row in found}
    resource, scope = RESOURCE_AND_SCOPE_INDEX[signal]
    return _ids(rows, resource), _ids(rows, scope)


async def _rows(
    connection: Connection, kind: type[Row], table: str, ids: set[int], known: dict[int, Row]
) -> dict[int, Row]:
    """Return the rows of a dimension table under ``ids``."""
    found = {key: known[key] for key in ids & known.keys()}
    missing = ids - known.keys()
    if missing:
        select = (
            f"SELECT {', '.join(kind._fields)} FROM {table}"  # noqa: S608 -- our own names
            f" WHERE {kind._fields[0]} = ANY($1::bigint[])"
        )
        records = await connection.fetch(select, list(missing))
        found.update((record[0], kind._make(record)) for record in records)
    return found


def _ids(rows: Iterable[tuple[Any, ...]], index: int) -> set[int]:
    return {row[index] for row in rows}
