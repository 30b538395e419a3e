"""Which metrics and series a question means: what is asked of ``metrics`` and ``metric_series``.

Both are small beside the points, which ``metric_sql`` reads of the series that are found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from collector.query.filters import Filter
from collector.query.metric_types import SERVICES_MAX, MetricQuestion
from collector.query.page import Cursor
from collector.query.sql import where
from collector.query.statement import Parameters, Statement
from collector.query.terms import AttributeTerm, Pattern
from collector.query.time_range import TimeRange
from collector.rows import Signal

_DAY_US: Final = 86_400_000_000
_DAY_MAX: Final = 2_900_000


def metrics_page(
    when: TimeRange,
    *,
    contains: str,
    service: str | None,
    limit: int,
    cursor: Cursor | None,
) -> Statement:
    """Return the query for metrics in the order of their names.

    Rows of ``metrics`` that differ in their descriptions alone are one metric.

    Shape: one row more than ``limit`` when there are more; backwards for a backward cursor.
    """
    values = Parameters()
    seen = values.add(_day(when), "date")
    conditions = [f"m.last_seen >= {seen}"]
    if contains:
        conditions.append(f'strpos(lower(m.name COLLATE "C"), {values.add(contains, "text")}) > 0')
    service_is = ""
    if service is not None:
        service_is = f" AND s.service_name = {values.add(service, 'text')}"
        conditions.append(
            "EXISTS (SELECT FROM metric_series AS s WHERE s.metric_id = m.metric_id"
            f"{service_is} AND s.last_seen >= {seen})"
        )
    key = (
        '(m.name COLLATE "C", m.type COLLATE "C", coalesce(m.unit, \'\') COLLATE "C",'
        " coalesce(m.temporality, -1), coalesce(m.monotonic, false))"
    )
    is_backward = cursor is not None and cursor.is_backward
    if cursor is not None:
        edge = values.add(cursor.key[0], "bigint")
        conditions.append(
            f"ROW{key} {'<' if is_backward else '>'} (SELECT {key[1:-1]} FROM metrics AS m"  # noqa: S608
            f" WHERE m.metric_id = {edge})"
        )
    names = "n.name, n.type, n.unit, n.temporality, n.monotonic"
    order = " DESC" if is_backward else ""
    ordered = ", ".join(
        f"{column}{order}"
        for column in (
            'm.name COLLATE "C"', 'm.type COLLATE "C"', 'coalesce(m.unit, \'\') COLLATE "C"',
            "coalesce(m.temporality, -1)", "coalesce(m.monotonic, false)",
        )
    )  # fmt: skip
    return values.statement(
        f"SELECT {names}, n.edge, n.description, k.series,"  # noqa: S608 -- our names
        f" k.services[1:{SERVICES_MAX}] AS services, cardinality(k.services) AS services_total"
        " FROM (SELECT m.name, m.type, coalesce(m.unit, '') AS unit,"
        " coalesce(m.temporality, -1) AS temporality, coalesce(m.monotonic, false) AS monotonic,"
        " min(m.metric_id) AS edge, max(m.description) AS description,"
        f" array_agg(m.metric_id) AS ids, row_number() OVER (ORDER BY {ordered}) AS place"
        f" FROM metrics AS m WHERE {' AND '.join(conditions)}"
        " GROUP BY m.name, m.type, coalesce(m.unit, ''), coalesce(m.temporality, -1),"
        " coalesce(m.monotonic, false)"
        f" ORDER BY place LIMIT {values.add(limit + 1, 'bigint')}) AS n"
        " CROSS JOIN LATERAL (SELECT count(*) AS series,"
        " array_agg(DISTINCT s.service_name) FILTER (WHERE s.service_name IS NOT NULL) AS services"
        " FROM metric_series AS s"
        f" WHERE s.metric_id = ANY (n.ids) AND s.last_seen >= {seen}{service_is}) AS k"
        " ORDER BY n.place"
    )


def kinds(question: MetricQuestion, when: TimeRange) -> Statement:
    """Return the query for the types and units that a name comes in.

    Shape: type, unit, and monotonic: whether all of them never fall.
    """
    values = Parameters()
    conditions = _metric_is(question, when, values)
    return values.statement(
        "SELECT m.type, coalesce(m.unit, '') AS unit,"  # noqa: S608
        " bool_and(coalesce(m.monotonic, false)) AS monotonic FROM metrics AS m"
        f" WHERE {' AND '.join(conditions)} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 20"
    )


_SERIES = (
    "s.series_id, m.name, m.type, m.unit, m.temporality, m.monotonic, s.service_name,"
    " s.attributes, r.attributes AS resource, c.name AS scope_name, c.version AS scope_version"
)


def series_page(
    question: MetricQuestion, when: TimeRange, *, limit: int, cursor: Cursor | None
) -> Statement:
    """Return the query for the series of a question, by id.

    Shape: one row more than ``limit`` when there are more; backwards for a backward cursor.
    """
    values = Parameters()
    selection = _selection(question, when, values)
    is_backward = cursor is not None and cursor.is_backward
    if cursor is not None:
        edge = values.add(cursor.key[0], "bigint")
        selection += f" AND s.series_id {'<' if is_backward else '>'} {edge}"
    return values.statement(
        f"SELECT {_SERIES}, 0 AS total {selection}"
        f" ORDER BY s.series_id{' DESC' if is_backward else ''}"
        f" LIMIT {values.add(limit + 1, 'bigint')}"
    )


def newest_series(question: MetricQuestion, when: TimeRange, limit: int) -> Statement:
    """Return the query for the series that came last, and ``total``, how many there are."""
    values = Parameters()
    selection = _selection(question, when, values)
    return values.statement(
        f"SELECT {_SERIES}, count(*) OVER () AS total {selection}"
        f" ORDER BY s.last_seen DESC, s.series_id LIMIT {values.add(limit, 'bigint')}"
    )


def series_to_read(
    question: MetricQuestion, when: TimeRange, group_by: Sequence[str] | None, limit: int
) -> Statement:
    """Return the query for the series to aggregate.

    Shape: series_id, temporality, monotonic, total, and either ``keys``, the JSON texts of the
    attributes to group by, or ``attributes``, ``service_name``, ``service_instance_id``.
    """
    values = Parameters()
    selection = _selection(question, when, values)
    if group_by is None:
        shown = "s.attributes, s.service_name, r.service_instance_id"
    else:
        keys = [values.add(key, "text") for key in group_by]
        texts = (f"coalesce(s.attributes -> {k}, r.attributes -> {k})::text" for k in keys)
        shown = f"ARRAY[{', '.join(texts)}]::text[] AS keys"
    return values.statement(
        f"SELECT s.series_id, m.temporality, m.monotonic, {shown}, count(*) OVER () AS total"
        f" {selection} ORDER BY s.last_seen DESC, s.series_id LIMIT {values.add(limit, 'bigint')}"
    )


def _selection(question: MetricQuestion, when: TimeRange, values: Parameters) -> str:
    """Return FROM and WHERE of a question; ``f`` is there for the conditions of filters."""
    conditions = _metric_is(question, when, values)
    conditions.append(f"s.last_seen >= {values.add(_day(when), 'date')}")
    if question.service is not None:
        conditions.append(f"s.service_name = {values.add(question.service, 'text')}")
    terms = tuple(AttributeTerm(key, Pattern((v,))) for key, v in question.attributes.items())
    wanted = where(
        Filter(question.filter.terms + terms), Signal.METRICS, first_parameter=values.next
    )
    values.extend(wanted.parameters)
    return (
        "FROM metrics AS m JOIN metric_series AS s ON s.metric_id = m.metric_id"
        " CROSS JOIN LATERAL (SELECT s.series_id) AS f"
        " LEFT JOIN resources AS r ON r.resource_id = s.resource_id"
        " LEFT JOIN scopes AS c ON c.scope_id = s.scope_id"
        f" WHERE {' AND '.join(conditions)} AND {wanted.sql}"
    )


def _metric_is(question: MetricQuestion, when: TimeRange, values: Parameters) -> list[str]:
    conditions = [
        f"m.name = {values.add(question.name, 'text')}",
        f"m.last_seen >= {values.add(_day(when), 'date')}",
    ]
    if question.type is not None:
        conditions.append(f"m.type = {values.add(question.type, 'text')}")
    if question.unit is not None:
        conditions.append(f"coalesce(m.unit, '') = {values.add(question.unit, 'text')}")
    return conditions


def _day(when: TimeRange) -> date:
    """Return the day on which what has points in the range was seen, or later.

    A point may lie a day ahead of when it came.
    """
    return date(2000, 1, 1) + timedelta(days=min(max(0, when.start // _DAY_US - 1), _DAY_MAX))
