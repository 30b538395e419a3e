"""How the convert tests convert: one converter, one moment, and rows with names."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.extract import Extractor
from collector.convert.framing import Walk
from collector.convert.letters import UNLIMITED
from collector.convert.request import Converter
from collector.convert.tags import field_of
from collector.rows import PG_EPOCH_UNIX_US, ConvertedRequest, LogRow, PointRow, Signal, SpanRow
from collector.settings import ConvertSettings
from tests.factories import AttributeValue, ExportRequest, key_values

NOW = 1_767_268_800_000_000_000
"""2026-01-01 12:00 UTC, when every request of these tests arrives."""

DAY_S = 86_400
RETENTION_S = 30 * DAY_S
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(1, 9))
NOT_UTF8 = b"\xff\xfe"


def pg_us(unix_ns: int) -> int:
    """Return the rows' form of a time."""
    return unix_ns // 1_000 - PG_EPOCH_UNIX_US


def converter(**settings: Any) -> Converter:
    """Return a new converter with these settings."""
    return Converter(ConvertSettings(**settings), retention_s=RETENTION_S)


def convert(
    signal: Signal, request: ExportRequest | bytes, *, by: Converter | None = None
) -> ConvertedRequest:
    """Return what a request becomes now."""
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    return (by or converter()).convert(signal, payload, digest=b"d" * 16, now_ns=NOW)


def item_payload(signal: Signal, payload: bytes, index: int) -> bytes:
    """Return item number ``index`` of a request as a request of one item."""
    walk = Walk(signal, payload, items_max=UNLIMITED, large_bytes=UNLIMITED)
    for _ in walk.steps():
        pass
    return Extractor(payload, walk.leaves).cut([index])


def traces_of(*spans: Span) -> ExportTraceServiceRequest:
    """Return a request with these spans, without resource and scope."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return request


def logs_of(*records: LogRecord) -> ExportLogsServiceRequest:
    """Return a request with these log records, without resource and scope."""
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.extend(records)
    return request


def metrics_of(*metrics: Metric) -> ExportMetricsServiceRequest:
    """Return a request with these metrics, without resource and scope."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend(metrics)
    return request


def span_of(
    attributes: dict[str, AttributeValue] | list[KeyValue] | None = None, **fields: Any
) -> Span:
    """Return a valid span of a millisecond that starts now."""
    usual: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "work",
        "start_time_unix_nano": NOW,
        "end_time_unix_nano": NOW + 1_000_000,
    }
    pairs = attributes if isinstance(attributes, list) else key_values(attributes or {})
    return Span(**(usual | fields), attributes=pairs)


def span_row(span: Span) -> SpanRow:
    """Return the one row of a request of one span."""
    [row] = convert(Signal.TRACES, traces_of(span)).rows
    return SpanRow(*row)


def log_row(record: LogRecord) -> LogRow:
    """Return the one row of a request of one log record."""
    [row] = convert(Signal.LOGS, logs_of(record)).rows
    return LogRow(*row)


def point_rows(metric: Metric) -> list[PointRow]:
    """Return the rows of a request of one metric."""
    return [PointRow(*row) for row in convert(Signal.METRICS, metrics_of(metric)).rows]


def on_the_wire(*items: bytes) -> bytes:
    """Return a traces or logs request of items that only exist as bytes."""
    scope = b"".join([field_of(0x12, item) for item in items])
    return field_of(0x0A, field_of(0x12, scope))


def valid_span(extra: bytes = b"") -> bytes:
    """Return a span with valid ids and ``extra`` fields."""
    return field_of(0x0A, TRACE_ID) + field_of(0x12, SPAN_ID) + extra
