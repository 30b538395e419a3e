"""What otlpg's dashboards show: panels and their SQL. ``generate.py`` makes the JSON of them.

Every query of facts has a time range, which chooses the partitions that are read, and no table is
asked for more than it is shown.
"""

from __future__ import annotations

from typing import NamedTuple

SERVICE = "service_name IN (${service:sqlstring})"
SERVED = "kind IN (2, 5)"  # servers and consumers: the spans that do the work
PER_SECOND = "($__interval_ms / 1000.0)"


class Panel(NamedTuple):
    """One panel; ``width`` and ``height`` are in Grafana's grid of 24."""

    title: str
    sql: str
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False
    about: str = ""


class Variable(NamedTuple):
    """A choice above the panels: from SQL, from a list, or a text."""

    name: str
    label: str
    sql: str = ""
    choices: str = ""
    many: bool = False


class Dashboard(NamedTuple):
    """A file of the folder ``dashboards``."""

    uid: str
    title: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    trace: bool = False
    """Begins with the trace of the variable ``trace``, from the Jaeger data source."""


SERVICES = Variable(
    "service", "Service", many=True,
    sql="SELECT DISTINCT service_name FROM resources WHERE service_name IS NOT NULL ORDER BY 1",
)  # fmt: skip

OVERVIEW = Dashboard(
    "otlpg-overview", "otlpg: overview", (SERVICES,),
    (
        Panel("Requests per second", f"""
SELECT $__timeGroupAlias(start_time, $__interval), service_name AS metric,
       count(*) / {PER_SECOND} AS value
FROM trace_spans
WHERE $__timeFilter(start_time) AND {SERVICE} AND {SERVED}
GROUP BY 1, 2 ORDER BY 1
""", unit="reqps", width=8, about="Spans of servers and consumers."),
        Panel("Share of errors", f"""
SELECT $__timeGroupAlias(start_time, $__interval), service_name AS metric,
       count(*) FILTER (WHERE status_code = 2)::float8 / count(*) AS value
FROM trace_spans
WHERE $__timeFilter(start_time) AND {SERVICE} AND {SERVED}
GROUP BY 1, 2 ORDER BY 1
""", unit="percentunit", width=8),
        Panel("Duration", f"""
SELECT $__timeGroupAlias(start_time, $__interval),
       percentile_cont(0.50) WITHIN GROUP (ORDER BY duration_ns) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ns) AS p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ns) AS p99
FROM trace_spans
WHERE $__timeFilter(start_time) AND {SERVICE} AND {SERVED}
GROUP BY 1 ORDER BY 1
""", unit="ns", width=8),
        Panel("Operations", f"""
SELECT service_name AS service, name AS operation, count(*) AS calls,
       round(100.0 * count(*) FILTER (WHERE status_code = 2) / count(*), 2) AS "errors %",
       percentile_cont(0.50) WITHIN GROUP (ORDER BY duration_ns) / 1e6 AS "p50 ms",
       percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ns) / 1e6 AS "p99 ms"
FROM trace_spans
WHERE $__timeFilter(start_time) AND {SERVICE} AND {SERVED}
GROUP BY 1, 2 ORDER BY calls DESC LIMIT 50
""", kind="table"),
        Panel("Traces with errors", """
SELECT start_time AS time, root_service AS service, root_name AS operation, span_count AS spans,
       error_count AS errors, encode(trace_id, 'hex') AS trace
FROM traces
WHERE $__timeFilter(start_time) AND error_count > 0
  AND day BETWEEN $__timeFrom()::date - 1 AND $__timeTo()::date + 1
  AND services && ARRAY[${service:sqlstring}]::text[]
ORDER BY start_time DESC LIMIT 50
""", kind="table"),
        Panel("Slowest traces", """
SELECT start_time AS time, root_service AS service, root_name AS operation, span_count AS spans,
       extract(epoch FROM end_time - start_time) * 1000 AS ms, encode(trace_id, 'hex') AS trace
FROM traces
WHERE $__timeFilter(start_time)
  AND day BETWEEN $__timeFrom()::date - 1 AND $__timeTo()::date + 1
  AND services && ARRAY[${service:sqlstring}]::text[]
ORDER BY end_time - start_time DESC NULLS LAST LIMIT 20
""", kind="table", width=24),
    ),
)  # fmt: skip

LOGS_WHERE = f"""WHERE $__timeFilter(time) AND {SERVICE} AND severity_number >= $severity
  AND coalesce(body_text, body::text, event_name, '') ILIKE '%' || ${{search:sqlstring}} || '%'"""

LOGS = Dashboard(
    "otlpg-logs", "otlpg: logs",
    (
        SERVICES,
        Variable("severity", "Severity from", choices="all : 0,info : 9,warn : 13,error : 17"),
        Variable("search", "Search"),
    ),
    (
        Panel("Records", f"""
SELECT $__timeGroupAlias(time, $__interval),
       CASE WHEN severity_number >= 21 THEN 'fatal' WHEN severity_number >= 17 THEN 'error'
            WHEN severity_number >= 13 THEN 'warn' WHEN severity_number >= 9 THEN 'info'
            WHEN severity_number >= 1 THEN 'debug' ELSE 'none' END AS metric,
       count(*) AS value
FROM logs
{LOGS_WHERE}
GROUP BY 1, 2 ORDER BY 1
""", width=24, height=6, stacked=True),
        Panel("Newest records", f"""
SELECT time, service_name AS service, severity_text AS severity,
       left(coalesce(body_text, body::text, event_name), 2000) AS body,
       encode(trace_id, 'hex') AS trace, attributes::text AS attributes
FROM logs
{LOGS_WHERE}
ORDER BY time DESC LIMIT 500
""", kind="table", width=24, height=18),
    ),
)  # fmt: skip

OF_METRIC = """FROM metrics m
    JOIN metric_series s USING (metric_id)
    JOIN metric_data_points p USING (series_id)
    WHERE m.name = ${metric:sqlstring} AND s.service_name IN (${service:sqlstring})
      AND $__timeFilter(p.time) AND p.flags & 1 = 0"""

METRICS = Dashboard(
    "otlpg-metrics", "otlpg: metrics",
    (
        Variable("metric", "Metric", sql="SELECT DISTINCT name FROM metrics ORDER BY 1"),
        SERVICES,
    ),
    (
        Panel("Value", f"""
SELECT $__timeGroupAlias(time, $__interval), service_name AS metric, avg(value) AS value
FROM (
    SELECT p.time, s.service_name, coalesce(p.value, p.value_int) AS value
    {OF_METRIC}
) AS points
WHERE value <> 'NaN'
GROUP BY 1, 2 ORDER BY 1
""", about="Mean over series of gauges and sums, as they were sent."),
        Panel("Increase per second", f"""
WITH points AS (
    SELECT p.time, s.service_name, p.start_time, m.temporality,
           coalesce(p.count, p.value, p.value_int) AS value,
           lag(coalesce(p.count, p.value, p.value_int)) OVER (
               PARTITION BY p.series_id, p.start_time, p.start_ns ORDER BY p.time, p.time_ns
           ) AS previous
    {OF_METRIC} AND (m.monotonic OR p.count IS NOT NULL)
)
SELECT $__timeGroupAlias(time, $__interval), service_name AS metric,
       sum(CASE WHEN temporality = 1 OR value < previous THEN value
                ELSE value - coalesce(previous, value) END) / {PER_SECOND} AS value
FROM points
GROUP BY 1, 2 ORDER BY 1
""", about="Of counters, and of measurements in histograms. A count that fell began again at 0."),
        Panel("Mean of a histogram", f"""
WITH points AS (
    SELECT p.time, s.service_name, m.temporality, p.count, p.sum,
           lag(p.count) OVER series AS count_before, lag(p.sum) OVER series AS sum_before
    {OF_METRIC} AND p.count IS NOT NULL
    WINDOW series AS (PARTITION BY p.series_id, p.start_time, p.start_ns ORDER BY p.time, p.time_ns)
)
SELECT $__timeGroupAlias(time, $__interval), service_name AS metric,
       sum(CASE WHEN temporality = 1 THEN sum ELSE sum - coalesce(sum_before, sum) END)
       / nullif(sum(CASE WHEN temporality = 1 THEN count ELSE count - coalesce(count_before, count) END), 0)
       AS value
FROM points
GROUP BY 1, 2 ORDER BY 1
"""),
        Panel("Series", f"""
SELECT * FROM (
    SELECT DISTINCT ON (p.series_id) s.service_name AS service, m.type, m.unit,
           s.attributes::text AS attributes, p.time AS last,
           coalesce(p.value, p.value_int, p.sum) AS value, p.count
    {OF_METRIC}
    ORDER BY p.series_id, p.time DESC
) AS newest
ORDER BY service, attributes LIMIT 200
""", kind="table"),
    ),
)  # fmt: skip

LEDGER_DAYS = """WHERE $__timeFilter(received_at)
  AND (day BETWEEN $__timeFrom()::date - 1 AND $__timeTo()::date + 1 OR day = '1970-01-01')"""

INGEST = Dashboard(
    "otlpg-ingest", "otlpg: ingest health", (),
    (
        Panel("Items committed per second", f"""
SELECT $__timeGroupAlias(received_at, $__interval), sum(items) / {PER_SECOND} AS items
FROM ingest_ledger
{LEDGER_DAYS}
GROUP BY 1 ORDER BY 1
""", unit="ops", width=8, about="Of requests in the ledger, which remembers those of 24 hours."),
        Panel("Requests per second", f"""
SELECT $__timeGroupAlias(received_at, $__interval), count(*) / {PER_SECOND} AS requests,
       sum(seen - 1) / {PER_SECOND} AS repeated
FROM ingest_ledger
{LEDGER_DAYS}
GROUP BY 1 ORDER BY 1
""", unit="reqps", width=8, about="Repeated ones were stored once."),
        Panel("Dead letters", """
SELECT $__timeGroupAlias(received_at, $__interval), outcome || ': ' || reason AS metric,
       count(*) AS value
FROM dead_letters
WHERE $__timeFilter(received_at)
GROUP BY 1, 2 ORDER BY 1
""", width=8, stacked=True, about="`otlpg dead-letters list` shows them."),
        Panel("Leaves", """
SELECT l.parent AS "table", l.leaf, l.starts_at, l.ends_at,
       greatest(c.reltuples, 0)::bigint AS "rows, about", pg_total_relation_size(c.oid) AS bytes
FROM otlpg_leaves() AS l
JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(l.leaf))
ORDER BY bytes DESC LIMIT 100
""", kind="table"),
        Panel("Resources by newest day", """
SELECT last_seen, service_name AS service, count(*) AS resources
FROM resources
GROUP BY 1, 2 ORDER BY 1 DESC, 3 DESC LIMIT 100
""", kind="table"),
    ),
)  # fmt: skip

TRACE = Dashboard(
    "otlpg-trace", "otlpg: trace", (Variable("trace", "Trace"),),
    (
        Panel("Its log records", """
SELECT time, service_name AS service, severity_text AS severity,
       left(coalesce(body_text, body::text, event_name), 2000) AS body
FROM logs
WHERE $__timeFilter(time)
  AND trace_id = decode(left(regexp_replace(${trace:sqlstring}, '[^0-9a-fA-F]', '', 'g'), 32), 'hex')
ORDER BY time LIMIT 500
""", kind="table", width=24),
    ),
    trace=True,
)  # fmt: skip

DASHBOARDS = (OVERVIEW, LOGS, METRICS, INGEST, TRACE)
