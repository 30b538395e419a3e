"""api.jaeger.summaries: what a list shows of a trace."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.api.jaeger.mapping import NO_SERVICE
from collector.api.jaeger.summaries import summary_of
from collector.rows import Signal
from tests.factories import key_values
from tests.round_trip import Arrivals

TRACE = b"t" * 16
FAILED = Status(code=Status.STATUS_CODE_ERROR)


def span(name: str, parent: str = "", **fields: Any) -> Span:
    """Return a span whose id is its name."""
    ids = {"span_id": name.encode().rjust(8, b"s"), "trace_id": TRACE}
    above = parent.encode().rjust(8, b"s") if parent else b""
    return Span(name=name, parent_span_id=above, **ids, **fields)


def of(service: str, *spans: Span) -> ResourceSpans:
    """Return spans of a service."""
    resource = Resource(attributes=key_values({"service.name": service} if service else {}))
    return ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])


def summary(*groups: ResourceSpans) -> dict[str, Any]:
    """Return what a list shows of spans that were sent."""
    request = ExportTraceServiceRequest(resource_spans=groups)
    converted = Arrivals().convert(Signal.TRACES, request.SerializeToString())
    return summary_of(converted.rows, converted.dimensions)


def test_a_summary_counts_spans_errors_and_orphans() -> None:
    """The root is the earliest span without a parent; services come by name."""
    groups = [
        of("shop", span("late", start_time_unix_nano=9), span("root", start_time_unix_nano=5)),
        of(
            "bank",
            span("pay", "root", start_time_unix_nano=6, end_time_unix_nano=70, status=FAILED),
        ),
        of("", span("lost", "nowhere", start_time_unix_nano=7)),
    ]

    assert summary(*groups) == {
        "traceId": TRACE.hex(),
        "rootServiceName": "shop",
        "rootOperationName": "root",
        "minStartTimeUnixNano": "5",
        "maxEndTimeUnixNano": "70",
        "spanCount": 4,
        "errorSpanCount": 1,
        "orphanSpanCount": 1,
        "services": [
            {"name": "bank", "spanCount": 1, "errorSpanCount": 1},
            {"name": "shop", "spanCount": 2},
            {"name": NO_SERVICE, "spanCount": 1},
        ],
    }


def test_a_trace_whose_root_has_not_come_has_none() -> None:
    """As Jaeger leaves out what it does not know."""
    found = summary(of("shop", span("child", "nowhere")))

    assert found == {
        "traceId": TRACE.hex(),
        "spanCount": 1,
        "orphanSpanCount": 1,
        "services": [{"name": "shop", "spanCount": 1}],
    }
