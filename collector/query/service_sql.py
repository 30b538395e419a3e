"""SQL of the questions about services."""

from __future__ import annotations

from typing import Final

from collector.items import STATUS_ERROR
from collector.query.statement import Parameters, Statement
from collector.query.steps import binned
from collector.query.time_range import TimeRange

SERVER: Final = 2
CONSUMER: Final = 5

BUCKETS_PER_DOUBLING: Final = 16
"""Durations are counted in buckets, each 2^(1/16) times as long as the one before."""

_ENTRY = f"(f.kind IN ({SERVER}, {CONSUMER}) OR f.parent_span_id IS NULL)"
"""A span with which work comes into a service."""

BUCKET = (
    "CASE WHEN f.duration_ns > 0"
    f" THEN floor(ln(f.duration_ns::double precision) / ln(2.0::double precision) * {BUCKETS_PER_DOUBLING})::integer"
    " WHEN f.duration_ns = 0 THEN -1 END"
)
"""Of a span's duration; -1 for nothing at all, NULL where there is none."""


def services(when: TimeRange) -> Statement:
    """Return the statement for the services of a range, by the days on which resources were used.

    Shape: rows of ``service_name``, ``first_seen``, ``last_seen``, ``resources``; by name.
    """
    values = Parameters()
    # A process touches last_seen once in a day, so a resource in use may show the day before.
    start = values.add(when.start, "timestamptz")
    return values.statement(
        "SELECT r.service_name, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen,"  # noqa: S608 -- placeholders
        " count(*) AS resources FROM resources AS r WHERE r.service_name IS NOT NULL"
        f" AND r.last_seen >= ({start} AT TIME ZONE 'UTC')::date - 1"
        ' GROUP BY r.service_name ORDER BY r.service_name COLLATE "C"'
    )


def operations(service: str, when: TimeRange, spans_max: int) -> Statement:
    """Return the statement for the operations among the newest spans of a service.

    Shape: rows of ``name``, ``kind``, ``spans``; by name and kind.
    """
    values = Parameters()
    condition = (
        f"f.service_name = {values.add(service, 'text')}"
        f" AND f.start_time >= {values.add(when.start, 'timestamptz')}"
        f" AND f.start_time < {values.add(when.end, 'timestamptz')}"
    )
    newest = (
        f"SELECT f.name, f.kind FROM trace_spans AS f WHERE {condition}"  # noqa: S608 -- placeholders
        f" ORDER BY f.start_time DESC LIMIT {values.add(spans_max, 'bigint')}"
    )
    return values.statement(
        "SELECT n.name, n.kind, count(*) AS spans"  # noqa: S608 -- as above
        f' FROM ({newest}) AS n GROUP BY n.name, n.kind ORDER BY n.name COLLATE "C", n.kind'
    )


def red(
    when: TimeRange,
    step_us: int | None,
    service: str | None,
    *,
    by_operation: bool,
    series_max: int,
) -> Statement:
    """Return the statement for rate, errors and durations of what services were asked to do.

    Counts are exact. Durations are counted in buckets, so that memory and sorting are bounded by
    what comes out and not by how many spans go in; ``None`` is the bucket of those without one.

    ``step_us``: None makes one step of the range.

    Shape: rows of ``service_name``, ``operation``, ``step`` (its start), ``requests``, ``errors``,
    ``longest``, and ``p50``, ``p95``, ``p99``, each a bucket of ``bucket_ns``; by service,
    operation and step. The ``series_max`` with the most requests.
    """
    values = Parameters(when.start, when.end)
    conditions = [
        "f.start_time >= $1::timestamptz",
        "f.start_time < $2::timestamptz",
        "f.service_name IS NOT NULL"
        if service is None
        else f"f.service_name = {values.add(service, 'text')}",
        _ENTRY,
    ]
    step = "$1::timestamptz"
    if step_us is not None:
        step = binned("f.start_time", values.add(step_us, "bigint"))
    operation = "f.name" if by_operation else "''::text"
    counted = (
        f"SELECT f.service_name, {operation} AS operation,"  # noqa: S608 -- placeholders and our own text
        f" {step} AS step, {BUCKET} AS bucket, count(*) AS spans,"
        f" count(*) FILTER (WHERE f.status_code = {STATUS_ERROR}) AS errors,"
        " max(f.duration_ns) AS longest"
        f" FROM trace_spans AS f WHERE {' AND '.join(conditions)} GROUP BY 1, 2, 3, 4"
    )
    ranked = (
        "SELECT service_name, operation FROM counted GROUP BY 1, 2"  # noqa: S608 -- as above
        ' ORDER BY sum(spans) DESC, service_name COLLATE "C", operation COLLATE "C"'
        f" LIMIT {values.add(series_max, 'bigint')}"
    )
    series = "PARTITION BY service_name, operation, step"
    running = (
        "SELECT *,"  # noqa: S608 -- as above
        f" sum(spans) FILTER (WHERE bucket IS NOT NULL) OVER ({series} ORDER BY bucket) AS upto,"
        f" sum(spans) FILTER (WHERE bucket IS NOT NULL) OVER ({series}) AS known"
        " FROM counted JOIN ranked USING (service_name, operation)"
    )
    quantiles = ", ".join(
        f"min(bucket) FILTER (WHERE upto * 100 >= known * {percent}) AS p{percent}"
        for percent in (50, 95, 99)
    )
    return values.statement(
        f"WITH counted AS MATERIALIZED ({counted}), ranked AS ({ranked}), running AS ({running})"  # noqa: S608 -- as above
        " SELECT service_name, operation, step, sum(spans)::bigint AS requests,"
        f" sum(errors)::bigint AS errors, max(longest) AS longest, {quantiles}"
        " FROM running GROUP BY service_name, operation, step"
        ' ORDER BY service_name COLLATE "C", operation COLLATE "C", step'
    )


def bucket_ns(bucket: int) -> float:
    """Return a duration in the middle of a bucket: 2.2 % from both of its ends."""
    return 0.0 if bucket < 0 else 2 ** ((bucket + 0.5) / BUCKETS_PER_DOUBLING)
