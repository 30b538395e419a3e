"""What is asked of PostgreSQL about metrics.

Points are read series by series, each through the index (series_id, time), which gives them in the
order of time without sorting; and are reduced to one value per step before they leave. Measured,
50 cumulative histograms of 11 buckets, a point a minute, 24 h: 135 ms for steps of a minute and 85
of five, where all rows and a window over all series took 185, and 72 000 rows to Python 160 before
anything was computed.

How much a point adds (``_IS_COUNTED``, ``_IS_RESTART``):

- *delta*: its value.
- *cumulative*: its value less that of the point before it, however long ago that was.
- where it is smaller than the one before (a histogram: counts less), or has begun after that one
  was taken, it was reset: its value since then. A sum that may fall is reset by its beginning only.
- the first point that is known, within ``LOOKBACK_US`` before the range: its value if it has begun
  in that time, else nothing is known.
- a point that begins when it is taken is where counting starts from: it adds nothing.

Nothing is extrapolated: each increase is counted once, in the step of the point that reports it, so
that steps add up to the whole. Prometheus stretches what lies between the samples of a window to its
edges, which gives fractions of whole events and counts some twice; and knows no time of beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from collector.query.filters import Filter
from collector.query.metric_types import (
    SERVICES_MAX,
    Across,
    Function,
    MetricQuestion,
    Steps,
)
from collector.query.page import Cursor
from collector.query.sql import where
from collector.query.statement import Parameters, Statement
from collector.query.terms import AttributeTerm, Pattern
from collector.query.time_range import TimeRange
from collector.rows import Signal

LOOKBACK_US: Final = 3_600_000_000
"""How long before a range a point may lie from which its first step counts."""

BUCKETS_MAX: Final = 1_000
"""Buckets of an explicit histogram that are told apart; one with more has no quantiles."""

_DAY_US: Final = 86_400_000_000
_DAY_MAX: Final = 2_900_000


class Selected(NamedTuple):
    """A series to be read, and the line of the answer that it belongs to."""

    series_id: int
    line: int
    is_delta: bool
    is_monotonic: bool


# -- which series ----------------------------------------------------------------------------------


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


# -- points as they are ----------------------------------------------------------------------------


def points(series_ids: Sequence[int], when: TimeRange, limit: int) -> Statement:
    """Return the query for the newest points of each series: newest first, one more than ``limit``."""
    return Statement(
        "SELECT p.* FROM unnest($1::bigint[]) WITH ORDINALITY AS s(id, place)"
        " CROSS JOIN LATERAL (SELECT f.* FROM metric_data_points AS f WHERE f.series_id = s.id"
        " AND f.time >= $2::timestamptz AND f.time < $3::timestamptz"
        " ORDER BY f.time DESC, f.time_ns DESC NULLS LAST LIMIT $4::bigint) AS p"
        " ORDER BY s.place",
        (list(series_ids), *when, limit + 1),
    )


def exemplars(series_ids: Sequence[int], when: TimeRange, limit: int) -> Statement:
    """Return the query for the newest points that have exemplars: series_id and exemplars."""
    return Statement(
        "SELECT p.series_id, p.exemplars FROM unnest($1::bigint[]) AS s(id)"
        " CROSS JOIN LATERAL (SELECT f.series_id, f.time, f.exemplars"
        " FROM metric_data_points AS f WHERE f.series_id = s.id"
        " AND f.time >= $2::timestamptz AND f.time < $3::timestamptz AND f.exemplars IS NOT NULL"
        " ORDER BY f.time DESC LIMIT $4::bigint) AS p ORDER BY p.time DESC LIMIT $4::bigint",
        (list(series_ids), *when, limit),
    )


# -- one value per step ----------------------------------------------------------------------------

_SOURCE = (
    "unnest($1::bigint[], $2::integer[], $3::boolean[], $4::boolean[])"
    " AS s(id, line, is_delta, is_monotonic)"
)
_STEP = "date_bin($7::float8 * interval '1 microsecond', f.time, $5::timestamptz)"
_RECORDED = "f.flags & 1 = 0"
_NUMBER = "coalesce(f.value, f.value_int::float8)"
_SUMMABLE = "1e290"
"""PostgreSQL raises an error where a sum of doubles overflows; no measurement is that large."""

_REDUCED = {
    Function.LAST: "(array_agg({v} ORDER BY f.time DESC, f.time_ns DESC NULLS LAST))[1]",
    Function.AVG: "sum({v}) / count(*)",
    Function.MIN: "min({v})",
    Function.MAX: "max({v})",
    Function.SUM: "sum({v})",
    Function.COUNT: "count(*)::float8",
}
_ACROSS = {
    Across.SUM: "sum({v})",
    Across.AVG: "sum({v}) / count({v})",
    Across.MIN: "min({v})",
    Across.MAX: "max({v})",
}


def reduced(
    series: Sequence[Selected], steps: Steps, function: Function, across: Across
) -> Statement:
    """Return the query for gauges and sums as they are: line, step, value; in this order."""
    value = _REDUCED[function].format(v=_NUMBER)
    return Statement(
        f"SELECT s.line, p.step, {_ACROSS[across].format(v='p.value')} AS value"  # noqa: S608
        f" FROM {_SOURCE} CROSS JOIN LATERAL (SELECT {_STEP} AS step, {value} AS value"
        " FROM metric_data_points AS f WHERE f.series_id = s.id"
        " AND f.time >= $5::timestamptz AND f.time < $6::timestamptz"
        f" AND {_RECORDED} AND {_is_summable(_NUMBER)} GROUP BY 1) AS p"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        _parameters(series, steps)[:7],
    )


_IS_RESTART = (
    "(f.start_time >= lag(f.time) OVER w"
    " AND f.start_time IS DISTINCT FROM lag(f.start_time) OVER w)"
)
_IS_COUNTED = (
    "CASE WHEN s.is_delta THEN true"
    " WHEN lag(f.time) OVER w IS NULL"
    " THEN coalesce(f.start_time >= $8::timestamptz AND f.start_time < f.time, false)"
    f" WHEN {_IS_RESTART} THEN f.start_time < f.time ELSE true END"
)
_FROM_POINTS = (
    f"FROM {_SOURCE} LEFT JOIN LATERAL (SELECT f.time FROM metric_data_points AS f"  # noqa: S608
    " WHERE f.series_id = s.id AND f.time >= $8::timestamptz AND f.time < $5::timestamptz"
    f" AND {_RECORDED} AND {{v}} IS NOT NULL ORDER BY f.time DESC LIMIT 1) AS l ON true"
)
_POINTS = (
    "FROM metric_data_points AS f WHERE f.series_id = s.id AND f.time >= $8::timestamptz"
    " AND f.time >= coalesce(l.time, $5::timestamptz) AND f.time < $6::timestamptz"
    f" AND {_RECORDED}"
)
_WINDOW = "WINDOW w AS (ORDER BY f.time, f.time_ns NULLS FIRST)"


class Measure(NamedTuple):
    """What of a point grows."""

    value: str
    whole: str
    """The same as bigint, where it is one: the difference is exact."""
    guard: str
    """What must not fall, unless it was reset."""


NUMBER: Final = Measure(_NUMBER, "f.value_int", _NUMBER)
COUNT: Final = Measure("f.count::float8", "f.count", "f.count")
SUM: Final = Measure("f.sum", "NULL::bigint", "f.count")


def increases(series: Sequence[Selected], steps: Steps, measure: Measure) -> Statement:
    """Return the query for how much the series of each line grow: line, step, value.

    Shape: in this order. A step of which nothing is known is absent.
    """
    value, whole, guard = measure
    grown = (
        f"CASE WHEN s.is_delta OR {_IS_RESTART} OR lag(f.time) OVER w IS NULL"
        f" OR (s.is_monotonic AND {guard} < lag({guard}) OVER w) THEN {value}"
        f" ELSE coalesce(({whole}::numeric - lag({whole}) OVER w)::float8,"
        f" {value} - lag({value}) OVER w) END"
    )
    return Statement(
        f"SELECT s.line, p.step, sum(p.grown) AS value {_FROM_POINTS.format(v=value)}"  # noqa: S608
        f" CROSS JOIN LATERAL (SELECT q.step, sum(q.grown) AS grown FROM (SELECT {_STEP} AS step,"
        f" f.time, {grown} AS grown, {_IS_COUNTED} AS is_counted {_POINTS}"
        f" AND {value} BETWEEN -{_SUMMABLE} AND {_SUMMABLE} {_WINDOW}) AS q"
        " WHERE q.time >= $5::timestamptz AND q.is_counted GROUP BY 1) AS p"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        _parameters(series, steps),
    )


_BEGAN = f"greatest({_STEP}, $5::timestamptz - $7::float8 * interval '1 microsecond')"
_TAKEN_FROM = (
    "CASE WHEN s.is_delta OR (lead(f.start_time) OVER w >= f.time"
    " AND lead(f.start_time) OVER w IS DISTINCT FROM f.start_time)"
    f" OR lead(f.count) OVER w < f.count THEN NULL ELSE lead({_BEGAN}) OVER w END"
)


def _distributions(columns: str) -> str:
    """Return the sub-query for those histograms of a series that do not cancel each other.

    A cumulative histogram is added in its own step and taken from the step of its successor
    (``taken_from``; NULL: none, or it was reset). Where both steps are one, it need not be read.
    """
    return (
        f"{_FROM_POINTS.format(v='f.count')} CROSS JOIN LATERAL (SELECT q.* FROM (SELECT {columns},"  # noqa: S608
        f" f.count, f.min, f.max, {_BEGAN} AS step, {_TAKEN_FROM} AS taken_from,"
        f" {_IS_COUNTED} AS is_counted {_POINTS} AND f.count IS NOT NULL {_WINDOW}) AS q"
        " WHERE NOT q.is_counted OR q.step IS DISTINCT FROM q.taken_from) AS p"
    )


_BOUNDS = (
    "CASE WHEN cardinality(f.bucket_counts) = cardinality(f.explicit_bounds) + 1"
    f" AND cardinality(f.bucket_counts) <= {BUCKETS_MAX} THEN f.explicit_bounds END AS bounds,"
    " f.bucket_counts"
)


def explicit_histograms(series: Sequence[Selected], steps: Steps, buckets: int) -> Statement:
    """Return the query for explicit histograms, those of equal bounds added up.

    Shape: line, step, taken_from, is_counted, bounds, count, min, max, counts; the first
    ``buckets`` of counts. A sum that a bigint cannot hold is the largest that it can.
    """
    counts = ", ".join(_sum(f"p.bucket_counts[{place}]") for place in range(1, buckets + 1))
    return Statement(
        "SELECT s.line, p.step, p.taken_from, p.is_counted, p.bounds,"
        f" {_sum('p.count')} AS count, min(p.min) AS min, max(p.max) AS max,"
        f" ARRAY[{counts}]::bigint[] AS counts {_distributions(_BOUNDS)} GROUP BY 1, 2, 3, 4, 5",
        _parameters(series, steps),
    )


def exponential_histograms(series: Sequence[Selected], steps: Steps) -> Statement:
    """Return the query for exponential histograms, one by one: their buckets differ."""
    columns = (
        "f.scale, f.zero_threshold, f.zero_count, f.positive_offset, f.positive_bucket_counts,"
        " f.negative_offset, f.negative_bucket_counts"
    )
    return Statement(
        f"SELECT s.line, p.* {_distributions(columns)}",
        _parameters(series, steps),
    )


def _sum(column: str) -> str:
    return f"least(sum({column}), 9223372036854775807)::bigint"


def _is_summable(value: str) -> str:
    """Return the condition that a value is there, and not too large to be added up."""
    return f"({value} BETWEEN -{_SUMMABLE} AND {_SUMMABLE} OR abs({value}) >= 'infinity')"


def _parameters(series: Sequence[Selected], steps: Steps) -> tuple[object, ...]:
    columns = [list(column) for column in zip(*series, strict=True)] or [[], [], [], []]
    return (*columns, steps.start, steps.end, float(steps.step), steps.start - LOOKBACK_US)
