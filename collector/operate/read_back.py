"""What PostgreSQL holds of one run of ``otlpg send-test``, read with plain SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from collector.errors import CommandError
from collector.rows import PG_EPOCH_UNIX_US
from collector.store.failures import translate
from collector.store.migrate import check_schema
from collector.store.pool import DRIVER_ERRORS, connect

if TYPE_CHECKING:
    from collector.operate.send_test import Sent
    from collector.settings import DatabaseSettings

AROUND_US = 3_600_000_000
"""The sample's items lie within this of its start; a range of time chooses the partitions."""

SPANS = """
SELECT encode(s.trace_id, 'hex') AS trace_id, encode(s.span_id, 'hex') AS span_id,
       encode(s.parent_span_id, 'hex') AS parent_span_id, s.service_name, s.name, s.kind,
       s.status_code, s.status_message, s.duration_ns, s.attributes, s.events, s.links
FROM trace_spans AS s
JOIN resources AS r USING (resource_id)
WHERE r.service_instance_id = $1
  AND s.start_time BETWEEN $2 AND $3
ORDER BY s.start_time, s.start_ns
"""

POINTS = """
SELECT s.service_name, m.name, m.type, m.unit, m.temporality, m.monotonic, s.attributes,
       p.value, p.value_int, p.count, p.sum, p.min, p.max,
       p.bucket_counts, p.explicit_bounds, p.scale, p.positive_bucket_counts, p.quantiles,
       jsonb_array_length(p.exemplars) AS exemplars
FROM metric_data_points AS p
JOIN metric_series AS s USING (series_id)
JOIN metrics AS m USING (metric_id)
JOIN resources AS r USING (resource_id)
WHERE r.service_instance_id = $1
  AND p.time BETWEEN $2 AND $3
ORDER BY m.type, m.name, s.attributes::text
"""

LOG_RECORDS = """
SELECT l.service_name, l.severity_number, l.severity_text, l.body_text, l.body, l.event_name,
       encode(l.trace_id, 'hex') AS trace_id, l.attributes
FROM logs AS l
JOIN resources AS r USING (resource_id)
WHERE r.service_instance_id = $1
  AND l.time BETWEEN $2 AND $3
ORDER BY l.time, l.time_ns
"""


JSON_COLUMNS = frozenset({"attributes", "events", "links", "body", "quantiles"})


class Found(NamedTuple):
    """The rows of one run, as JSON-able maps of column to value; ids are hex."""

    spans: list[dict[str, Any]]
    points: list[dict[str, Any]]
    log_records: list[dict[str, Any]]


async def read_back(database: DatabaseSettings, sent: Sent) -> Found:
    """Return what is stored of ``sent``. It was acknowledged, so it is there already.

    Raises:
        StoreError: PostgreSQL is not reachable.
        CommandError: this role may not read, what is stored is not what was sent, or the database
            is not one of otlpg.
    """
    around_us = sent.started_ns // 1000 - PG_EPOCH_UNIX_US
    window = (sent.run_id, around_us - AROUND_US, around_us + AROUND_US)
    connection = await connect(database)
    try:
        await check_schema(connection)
        spans, points, log_records = [
            [_decoded(dict(row)) for row in await connection.fetch(query, *window)]
            for query in (SPANS, POINTS, LOG_RECORDS)
        ]
    except DRIVER_ERRORS as error:
        failure = translate(error)
        if failure.is_about_rights:
            raise CommandError(
                "all of it was acknowledged, but this role may not read it back: "
                f"{error}; read as a role of otlpg_read, or add --no-read to send only"
            ) from error
        raise failure from error
    finally:
        await connection.close()
    found = Found(spans, points, log_records)
    _compare(sent, found)
    return found


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its JSON columns decoded."""
    return {
        name: orjson.loads(value) if name in JSON_COLUMNS and value is not None else value
        for name, value in row.items()
    }


def _compare(sent: Sent, found: Found) -> None:
    for name, expected, rows in (
        ("spans", sent.spans, found.spans),
        ("data points", sent.points, found.points),
        ("log records", sent.log_records, found.log_records),
    ):
        if len(rows) != expected:
            raise CommandError(
                f"{expected} {name} were acknowledged, but this database holds {len(rows)}; "
                f"does the daemon at {sent.endpoint} write to another one?"
            )
