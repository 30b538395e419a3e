"""What is asked of PostgreSQL about the points of series.

Points are read series by series, each through the index (series_id, time), which gives them in the
order of time without sorting; and are reduced to one value per step before they leave. Measured,
50 cumulative histograms of 11 buckets, a point a minute, 24 h in steps of a minute: 170 ms of CPU in
PostgreSQL and 40 here. As many sums of buckets as there are buckets matter (32 took 50 more), and that
it hashes (sorting took 60 more). What is left: 25 for reading, 60 for what each point's neighbours
say of it, 40 for the sums, 30 for telling bounds apart.

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
from typing import Final, NamedTuple

from collector.query.metric_types import (
    Across,
    Function,
    Steps,
)
from collector.query.statement import Statement
from collector.query.time_range import TimeRange

LOOKBACK_US: Final = 3_600_000_000
"""How long before a range a point may lie from which its first step counts."""

BUCKETS_MAX: Final = 1_000
"""Buckets of an explicit histogram that are told apart; one with more has no quantiles."""


class Selected(NamedTuple):
    """A series to be read, and the line of the answer that it belongs to."""

    series_id: int
    line: int
    is_delta: bool
    is_monotonic: bool


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
_RECORDED = "f.flags & 1 <> 1"
"""Not ``= 0``: of that PostgreSQL believes one row in two hundred, and sorts what it could hash."""
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
    " AND (f.time >= coalesce(l.time, $5::timestamptz)) IS TRUE AND f.time < $6::timestamptz"
    f" AND {_RECORDED}"
)
"""``IS TRUE``, or PostgreSQL takes this for a bound of a range whose other end it cannot know, which
it believes to hold one row in two hundred."""
_WINDOW = "WINDOW w AS (ORDER BY f.time, f.time_ns NULLS FIRST)"


class Measure(NamedTuple):
    """What of a point grows."""

    value: str
    whole: str
    """The same as bigint, where it is one: the difference is exact, and of two of the same sign it
    is a bigint, too. Of others nothing cancels, so that doubles serve as well."""
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
        f" WHEN ({whole} < 0) = (lag({whole}) OVER w < 0)"
        f" THEN ({whole} - lag({whole}) OVER w)::float8"
        f" ELSE {value} - lag({value}) OVER w END"
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


_BEGAN = f"greatest({_STEP}, $9::timestamptz)"
"""The step of a point; the one before the first for all that are older."""
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


def buckets(series: Sequence[Selected], steps: Steps) -> Statement:
    """Return the query for how many buckets histograms have: of each series' newest, the most."""
    return Statement(
        "SELECT max(p.buckets) AS buckets FROM unnest($1::bigint[]) AS s(id)"
        " CROSS JOIN LATERAL (SELECT cardinality(f.bucket_counts) AS buckets"
        " FROM metric_data_points AS f WHERE f.series_id = s.id"
        " AND f.time >= $2::timestamptz AND f.time < $3::timestamptz"
        " ORDER BY f.time DESC LIMIT 1) AS p",
        ([each.series_id for each in series], steps.start, steps.end),
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
        (*_parameters(series, steps), steps.start - steps.step),
    )


def exponential_histograms(series: Sequence[Selected], steps: Steps) -> Statement:
    """Return the query for exponential histograms, one by one: their buckets differ."""
    columns = (
        "f.scale, f.zero_threshold, f.zero_count, f.positive_offset, f.positive_bucket_counts,"
        " f.negative_offset, f.negative_bucket_counts"
    )
    return Statement(
        f"SELECT s.line, p.* {_distributions(columns)}",
        (*_parameters(series, steps), steps.start - steps.step),
    )


def _sum(column: str) -> str:
    return f"least(sum({column}), 9223372036854775807)::bigint"


def _is_summable(value: str) -> str:
    """Return the condition that a value is there, and not too large to be added up."""
    return f"({value} BETWEEN -{_SUMMABLE} AND {_SUMMABLE} OR abs({value}) >= 'infinity')"


def _parameters(series: Sequence[Selected], steps: Steps) -> tuple[object, ...]:
    columns = [list(column) for column in zip(*series, strict=True)] or [[], [], [], []]
    return (*columns, steps.start, steps.end, float(steps.step), steps.start - LOOKBACK_US)
