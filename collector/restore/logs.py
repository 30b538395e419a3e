"""Rows of ``logs`` back to log records: the inverse of ``convert/logs.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from collector.restore.dimensions import ScopeGroups
from collector.restore.values import (
    Raw,
    any_value,
    attribute_list,
    identifier,
    load,
    load_raw,
    open_enum,
    unix_nano,
)
from collector.rows import Dimensions, LogRow


def restore_logs(
    rows: Iterable[tuple[Any, ...]], dimensions: Dimensions
) -> ExportLogsServiceRequest:
    """Return the request that ``convert`` would turn into these rows again.

    Shape: tuples in ``LogRow`` order in, one log record per row out, grouped by resource and scope.

    Raises:
        KeyError: a row refers to a dimension that ``dimensions`` does not hold.
    """
    request = ExportLogsServiceRequest()
    groups = ScopeGroups[ResourceLogs, ScopeLogs](
        dimensions,
        lambda resource, url: request.resource_logs.add(resource=resource, schema_url=url),
        lambda group, scope, url: group.scope_logs.add(scope=scope, schema_url=url),
    )
    for values in rows:
        row = LogRow._make(values)
        groups.get(row.resource_id, row.scope_id).log_records.append(log_record_of(row))
    return request


def log_record_of(row: LogRow) -> LogRecord:
    """Return one log record, every field as it was sent.

    ``time`` is also the fallback of a record without one; only ``time_ns`` tells them apart.
    """
    raw = load_raw(row.raw)
    return LogRecord(
        time_unix_nano=raw.get("time_unix_nano", unix_nano(row.time, row.time_ns)),
        observed_time_unix_nano=raw.get(
            "observed_time_unix_nano", unix_nano(row.observed_time, row.observed_ns)
        ),
        severity_number=open_enum(row.severity_number),
        severity_text=row.severity_text or "",
        body=_body(row, raw),
        attributes=attribute_list(row.attributes, raw),
        dropped_attributes_count=row.dropped_attributes_count or 0,
        flags=row.flags,
        trace_id=identifier(raw.get("trace_id")) or row.trace_id or b"",
        span_id=identifier(raw.get("span_id")) or row.span_id or b"",
        event_name=row.event_name or "",
    )


def _body(row: LogRow, raw: Raw) -> AnyValue | None:
    if "body" in raw:
        return any_value(raw["body"])
    if row.body_text is not None:
        return AnyValue(string_value=row.body_text)
    return None if row.body is None else any_value(load(row.body))
