"""Small valid requests, of which the cases change one thing each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from collector.convert.tags import field_of
from collector.rows import Signal
from tests.factories import AttributeValue, ExportRequest, any_value, key_values

NOW = time.time_ns()
"""When every item happens that need not happen at another time: this process's start."""

HOUR_NS = 3_600 * 10**9
TRACE_ID, SPAN_ID = b"0123456789abcdef", b"catalogu"

Attributes: TypeAlias = Mapping[str, AttributeValue] | Sequence[KeyValue]
"""A list where keys repeat or have no value."""


def _pairs(attributes: Attributes) -> Sequence[KeyValue]:
    return key_values(attributes) if isinstance(attributes, Mapping) else attributes


class Around(NamedTuple):
    """What stands around the items of a request."""

    resource: Resource | None = Resource(attributes=key_values({"service.name": "catalogue"}))
    schema_url: str = ""
    scope: InstrumentationScope | None = InstrumentationScope(name="tests.catalogue")
    scope_schema_url: str = ""


SHOP = Around()


def of(attributes: Attributes) -> Around:
    """Return the surroundings of a resource with just these attributes."""
    return Around(Resource(attributes=_pairs(attributes)))


def span(attributes: Attributes = (), **fields: Any) -> Span:
    """Return a valid span of a millisecond."""
    usual: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "work",
        "start_time_unix_nano": NOW,
        "end_time_unix_nano": NOW + 1_000_123,
    }
    return Span(**(usual | fields), attributes=_pairs(attributes))


def record(
    attributes: Attributes = (), body: AttributeValue | AnyValue = "happened", **fields: Any
) -> LogRecord:
    """Return a valid log record."""
    usual: dict[str, Any] = {
        "time_unix_nano": NOW,
        "body": body if isinstance(body, AnyValue) else any_value(body),
    }
    return LogRecord(**(usual | fields), attributes=_pairs(attributes))


def point(attributes: Attributes = (), **fields: Any) -> NumberDataPoint:
    """Return a valid point of a gauge or a sum."""
    usual: dict[str, Any] = {"time_unix_nano": NOW, "start_time_unix_nano": NOW - 10**9}
    return NumberDataPoint(**(usual | fields), attributes=_pairs(attributes))


def gauge(*points: NumberDataPoint, name: str = "m", **fields: Any) -> Metric:
    """Return a gauge of these points, or of one."""
    return Metric(name=name, **fields, gauge=Gauge(data_points=points or [point(as_int=1)]))


def traces(*spans: Span, around: Around = SHOP) -> ExportTraceServiceRequest:
    """Return a request of these spans."""
    resource, schema_url, scope, scope_schema_url = around
    inner = ScopeSpans(scope=scope, spans=spans, schema_url=scope_schema_url)
    outer = ResourceSpans(resource=resource, scope_spans=[inner], schema_url=schema_url)
    return ExportTraceServiceRequest(resource_spans=[outer])


def logs(*records: LogRecord, around: Around = SHOP) -> ExportLogsServiceRequest:
    """Return a request of these log records."""
    resource, schema_url, scope, scope_schema_url = around
    inner = ScopeLogs(scope=scope, log_records=records, schema_url=scope_schema_url)
    outer = ResourceLogs(resource=resource, scope_logs=[inner], schema_url=schema_url)
    return ExportLogsServiceRequest(resource_logs=[outer])


def metrics(*those: Metric, around: Around = SHOP) -> ExportMetricsServiceRequest:
    """Return a request of these metrics."""
    resource, schema_url, scope, scope_schema_url = around
    inner = ScopeMetrics(scope=scope, metrics=those, schema_url=scope_schema_url)
    outer = ResourceMetrics(resource=resource, scope_metrics=[inner], schema_url=schema_url)
    return ExportMetricsServiceRequest(resource_metrics=[outer])


def one_item(signal: Signal, around: Around = SHOP) -> ExportRequest:
    """Return a request of one usual item of any signal."""
    if signal is Signal.TRACES:
        return traces(span(), around=around)
    return (
        logs(record(), around=around) if signal is Signal.LOGS else metrics(gauge(), around=around)
    )


def on_the_wire(*items: bytes) -> bytes:
    """Return a traces or logs request, or one of metrics, of items that exist as bytes only.

    What is around them is that of ``SHOP``, and stands in front of them.
    """
    assert SHOP.resource is not None
    assert SHOP.scope is not None
    scope = field_of(0x0A, SHOP.scope.SerializeToString())
    inner = scope + b"".join([field_of(0x12, item) for item in items])
    resource = field_of(0x0A, SHOP.resource.SerializeToString())
    return field_of(0x0A, resource + field_of(0x12, inner))


def span_bytes(extra: bytes = b"", **fields: Any) -> bytes:
    """Return a valid span and, behind it, fields that exist as bytes only."""
    return span(**fields).SerializeToString() + extra


def attribute_bytes(value: bytes, key: bytes = b"k") -> bytes:
    """Return a span's attribute whose AnyValue exists as bytes only."""
    return field_of(0x4A, field_of(0x0A, key) + field_of(0x12, value))
