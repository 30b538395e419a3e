"""collector.items: the names that items carry are those of OTLP's own enums."""

from __future__ import annotations

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.items import KIND_BY_NUMBER, METRIC_TYPES, SEVERITY_BY_NUMBER, STATUS_BY_CODE


def test_severities_are_those_of_otlp() -> None:
    """ERROR3 is one of the four numbers of ERROR."""
    expected = {
        number: name.removeprefix("SEVERITY_NUMBER_").rstrip("234")
        for name, number in SeverityNumber.items()
        if number
    }

    assert expected == SEVERITY_BY_NUMBER


def test_kinds_are_those_of_otlp() -> None:
    """Unspecified has no name."""
    expected = {
        number: name.removeprefix("SPAN_KIND_").lower()
        for name, number in Span.SpanKind.items()
        if number
    }

    assert expected == KIND_BY_NUMBER


def test_statuses_are_those_of_otlp() -> None:
    """Unset has a name, since most spans have that status."""
    expected = {
        number: name.removeprefix("STATUS_CODE_").lower()
        for name, number in Status.StatusCode.items()
    }

    assert expected == STATUS_BY_CODE


def test_metric_types_are_those_of_otlp() -> None:
    """They are the members of the oneof, in its order of birth."""
    members = {field.name for field in Metric.DESCRIPTOR.oneofs_by_name["data"].fields}

    assert set(METRIC_TYPES) == members
