"""Metrics: which there are, their series, points and exemplars, and values over time.

An aggregate is made in two stages. Each series gives one value per step (``Function``); then the
values of the series of a group are combined (``Across``), each series counting alike. Quantiles, and
the mean of a histogram, are of all measurements of the group together instead. What each step and
quantile means is told in ``metric_sql`` and ``histograms``.

| Function | Gauge, sum | Histogram, summary |
|---|---|---|
| last, min, max | of the values | |
| avg | mean of the values | mean of the measurements |
| sum, count | of the values | of the measurements |
| increase, rate | sum only: growth, and per second | of the count |
| p0 to p100 | | histograms only |

What an answer leaves out it says: lines and series are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from collector.errors import BadParameterError, NotFoundError
from collector.query import metric_series_sql as series_sql
from collector.query import metric_sql as sql
from collector.query.matching import folded
from collector.query.metric_lines import (
    ACROSS_OF,
    NUMBER_TYPES,
    Distributions,
    Groups,
    Value,
    check_function,
    usual_function,
)
from collector.query.metric_rows import exemplars_of, metric_of, point_of, series_of
from collector.query.metric_types import (
    Across,
    Aggregate,
    Exemplar,
    Function,
    Metric,
    MetricQuestion,
    Points,
    Quantile,
    Series,
    SeriesPoints,
    Steps,
)
from collector.query.page import LIMIT, LIMIT_MAX, Cursor, Page, Total, page_of

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.query.view import View, Views

SERIES_MAX: Final = 10_000
"""Series that one aggregate reads."""
POINTS_MAX: Final = 50_000
"""Points of one answer, of all series together."""


class MetricRepository:
    """Answers questions about metrics."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find_metrics(
        self,
        when: TimeRange,
        *,
        contains: str = "",
        service: str | None = None,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[Metric]:
        """Return the metrics that came since the range began, by name.

        Args:
            when: its end does not matter.
            contains: text that the name holds, whatever the case of ASCII letters.
            service: only metrics of this service; series are counted of it alone.
            limit: 1 to ``LIMIT_MAX``.
            cursor: of another page; its key is an integer.
            timeout_s: time for all of it.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        limit = min(limit, LIMIT_MAX)
        statement = series_sql.metrics_page(
            when, contains=folded(contains), service=service, limit=limit, cursor=cursor
        )
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(statement)
        page = page_of(rows, limit, cursor, lambda row: (row["edge"],))
        return page.holding(tuple(map(metric_of, page.items)))

    async def find_series(
        self,
        when: TimeRange,
        wanted: MetricQuestion,
        *,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[Series]:
        """Return the series that came since the range began, by id.

        Args, Raises: as ``find_metrics``.
        """
        limit = min(limit, LIMIT_MAX)
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(series_sql.series_page(wanted, when, limit=limit, cursor=cursor))
        page = page_of(rows, limit, cursor, lambda row: (row["series_id"],))
        return page.holding(tuple(map(series_of, page.items)))

    async def points(
        self,
        when: TimeRange,
        wanted: MetricQuestion,
        *,
        series: int = 20,
        limit: int = LIMIT_MAX,
        timeout_s: float | None = None,
    ) -> Points:
        """Return the newest points of the series that came last, as they are stored.

        Args:
            when: points from its start on and before its end.
            wanted: which series.
            series: of at most so many.
            limit: at most so many points of each; of all together at most ``POINTS_MAX``.
            timeout_s: time for all of it.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        limit = max(1, min(limit, POINTS_MAX // max(1, series)))
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(series_sql.newest_series(wanted, when, series))
            found = [series_of(row) for row in rows]
            by_series: dict[int, list[Any]] = {each.series_id: [] for each in found}
            statement = sql.points([each.series_id for each in found], when, limit)
            async for chunk in view.chunks(statement):
                for row in chunk:
                    by_series[row["series_id"]].append(row)
        return Points(tuple(_newest(s, by_series[s.series_id], limit) for s in found), _total(rows))

    async def exemplars(
        self,
        when: TimeRange,
        wanted: MetricQuestion,
        *,
        limit: int = LIMIT,
        timeout_s: float | None = None,
    ) -> tuple[Exemplar, ...]:
        """Return the newest exemplars of the series that came last, newest first, each once.

        A cumulative point may repeat those of the one before it. At most ``LIMIT_MAX`` series and
        the newest ``limit`` points with exemplars are looked at.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(series_sql.newest_series(wanted, when, LIMIT_MAX))
            by_id = {row["series_id"]: series_of(row) for row in rows}
            stored = await view.rows(sql.exemplars(list(by_id), when, limit))
        found: dict[tuple[Any, ...], Exemplar] = {}
        for row in stored:
            for each in exemplars_of(row, by_id[row["series_id"]]):
                key = (each.series_id, each.time_unix_nano, each.trace_id, each.span_id, each.value)
                found.setdefault(key, each)
        newest = sorted(found.values(), key=lambda each: each.time_unix_nano, reverse=True)
        return tuple(newest[:limit])

    async def aggregate(
        self,
        when: TimeRange,
        wanted: MetricQuestion,
        *,
        step_us: int,
        function: Function | Quantile | None = None,
        across: Across | None = None,
        group_by: Sequence[str] | None = None,
        limit: int = LIMIT,
        timeout_s: float | None = None,
    ) -> Aggregate:
        """Return a metric's values over equal steps.

        Args:
            when: widened to whole steps, which begin at multiples of ``step_us`` since 1970.
            wanted: which series; all must be of one type and unit.
            step_us: length of a step in microseconds; at most ``STEPS_MAX`` of them.
            function: what becomes of a series in a step; None: what its type suggests
                (``metric_lines.usual_function``).
            across: how the series of a line are combined; None: avg, min and max likewise, else sum.
            group_by: attributes, of series or else of their resources, whose values make a line;
                empty: one line of all; None: a line per series.
            limit: at most so many lines; the first by the text of their labels.
            timeout_s: time for all of it.

        Raises:
            NotFoundError: the metric did not come since the range began.
            BadParameterError: the metric comes in several types or units, the function means
                nothing for its type, or there are too many steps.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        steps = Steps.of(when, step_us)
        async with self._views.open(timeout_s) as view:
            kind = _only_kind(await view.rows(series_sql.kinds(wanted, when)))
            type_: str = kind["type"]
            if function is None:
                function = usual_function(type_, is_monotonic=kind["monotonic"])
            check_function(function, type_, across)
            rows = await view.rows(series_sql.series_to_read(wanted, when, group_by, SERIES_MAX))
            groups = Groups(rows, group_by, min(limit, LIMIT_MAX))
            values = await _values(view, groups, type_, steps, function, across)
        return Aggregate(
            name=wanted.name,
            type=type_,
            unit=kind["unit"],
            function=str(function),
            steps=steps,
            lines=groups.lines(values, steps),
            lines_total=groups.total,
            series_read=len(rows),
            series_total=_total(rows),
        )


async def _values(
    view: View,
    groups: Groups,
    type_: str,
    steps: Steps,
    function: Function | Quantile,
    across: Across | None,
) -> list[Value]:
    """Return the values of all lines."""
    series = groups.selected
    if isinstance(function, Quantile):
        sums = Distributions(steps)
        if type_ == "histogram":
            for row in await _explicit_rows(view, groups, steps):
                sums.add_explicit(row)
        else:
            async for chunk in view.chunks(sql.exponential_histograms(series, steps)):
                for row in chunk:
                    sums.add_exponential(row)
        return sums.quantiles(function.q)
    is_number = type_ in NUMBER_TYPES
    if is_number and function not in (Function.RATE, Function.INCREASE):
        how = across or ACROSS_OF.get(function, Across.SUM)
        return _triples(await view.rows(sql.reduced(series, steps, function, how)))
    count = sql.NUMBER if is_number else sql.COUNT
    if function is Function.AVG:
        sums_of = _triples(await view.rows(sql.increases(series, steps, sql.SUM)))
        counts = _triples(await view.rows(sql.increases(series, steps, sql.COUNT)))
        return _divided(sums_of, counts)
    measure = sql.SUM if function is Function.SUM else count
    grown = _triples(await view.rows(sql.increases(series, steps, measure)))
    if function is not Function.RATE:
        return grown
    step_s = steps.step / 1_000_000
    return [(line, step, None if v is None else v / step_s) for line, step, v in grown]


async def _explicit_rows(view: View, groups: Groups, steps: Steps) -> list[Any]:
    """Return the rows of explicit histograms with all their buckets.

    Asked as one question for as many buckets as the newest have, and again where others have more.
    """
    (row,) = await view.rows(sql.buckets(groups.selected, steps))
    asked = max(1, min(row["buckets"] or 0, sql.BUCKETS_MAX))
    await view.prefer_hashing()
    rows = await view.rows(sql.explicit_histograms(groups.selected, steps, asked))
    most = max((len(row["bounds"] or ()) + 1 for row in rows), default=0)
    if most <= asked:
        return rows
    return await view.rows(sql.explicit_histograms(groups.selected, steps, most))


def _triples(rows: Sequence[Any]) -> list[Value]:
    return [(row["line"], row["step"], row["value"]) for row in rows]


def _divided(sums: Sequence[Value], counts: Sequence[Value]) -> list[Value]:
    """Return sum by count where both are known and something was measured."""
    by_place = {(line, step): count for line, step, count in counts}
    return [
        (line, step, total / count)
        for line, step, total in sums
        if total is not None and (count := by_place.get((line, step)))
    ]


def _only_kind(rows: Sequence[Any]) -> Any:
    """Return the one row of ``kinds``: the type and unit that a metric has.

    Raises:
        NotFoundError: there is no such metric.
        BadParameterError: there are several.
    """
    if not rows:
        raise NotFoundError("no metric of this name came since the time range began")
    types = sorted({row["type"] for row in rows})
    if len(types) > 1:
        names = " and ".join(types)
        raise BadParameterError("type", f"must be given: the metric comes as {names}")
    if len(rows) > 1:
        raise BadParameterError("unit", f"must be given: the metric comes in {len(rows)} units")
    return rows[0]


def _newest(series: Series, rows: Sequence[Any], limit: int) -> SeriesPoints:
    newest = tuple(point_of(row) for row in rows[:limit])
    return SeriesPoints(series, newest[::-1], is_whole=len(rows) <= limit)


def _total(rows: Sequence[Any]) -> Total:
    return Total(rows[0]["total"] if rows else 0, is_exact=True)
