"""SQL of the questions about how services do."""

from __future__ import annotations

from collections.abc import Collection

from collector.items import STATUS_ERROR
from collector.query.service_sql import BUCKET
from collector.query.statement import Parameters, Statement
from collector.query.steps import binned
from collector.query.windows import Windows


def cells(
    windows: Windows,
    services: Collection[str],
    kinds: Collection[int],
    *,
    by_operation: bool,
    with_durations: bool,
    series_max: int,
) -> Statement:
    """Return the statement for what began in each step that some window holds.

    Durations are counted in the buckets of ``service_sql``.

    Shape: rows of ``service_name``, ``operation``, ``step`` (its start), ``calls``, ``errors``,
    ``buckets`` and, as long, ``spans``; both None when no duration is known or wanted. By service,
    operation and step; of the ``series_max`` series with the most spans.
    """
    values = Parameters(*windows.reach)
    operation = "f.name" if by_operation else "''::text"
    bucket = BUCKET if with_durations else "NULL::integer"
    step = binned("f.start_time", values.add(windows.step_us, "bigint"), origin="$1::timestamptz")
    counted = (
        f"SELECT f.service_name, {operation} AS operation, {step} AS step, {bucket} AS bucket,"  # noqa: S608 -- placeholders and our own text
        f" count(*) AS spans, count(*) FILTER (WHERE f.status_code = {STATUS_ERROR}) AS errors"
        " FROM trace_spans AS f"
        " WHERE f.start_time >= $1::timestamptz AND f.start_time < $2::timestamptz"
        f" AND f.service_name = ANY ({values.add(list(services), 'text[]')})"
        f" AND f.kind = ANY ({values.add(list(kinds), 'integer[]')})"
        " GROUP BY 1, 2, 3, 4"
    )
    ranked = (
        "SELECT service_name, operation FROM counted GROUP BY 1, 2"  # noqa: S608 -- as above
        ' ORDER BY sum(spans) DESC, service_name COLLATE "C", operation COLLATE "C"'
        f" LIMIT {values.add(series_max, 'bigint')}"
    )
    return values.statement(
        f"WITH counted AS MATERIALIZED ({counted}), ranked AS ({ranked})"  # noqa: S608 -- as above
        " SELECT service_name, operation, step,"
        " sum(spans)::bigint AS calls, sum(errors)::bigint AS errors,"
        " array_agg(bucket) FILTER (WHERE bucket IS NOT NULL) AS buckets,"
        " array_agg(spans) FILTER (WHERE bucket IS NOT NULL) AS spans"
        " FROM counted JOIN ranked USING (service_name, operation)"
        " GROUP BY service_name, operation, step"
        ' ORDER BY service_name COLLATE "C", operation COLLATE "C", step'
    )
