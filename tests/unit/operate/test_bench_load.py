"""The loads of the benchmark are valid, realistic and never the same twice."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.otlp_json import transcode
from collector.operate.bench.load import MESSAGES, LoadPlan
from collector.operate.bench.load.template import Template, field, mark, varint
from collector.rows import Signal

NOW_NS = 1_795_000_000_000_000_000


def plan(
    signal: Signal, *, items: int = 1_000, items_per_request: int = 100, seed: int = 1
) -> LoadPlan:
    """Return a small load."""
    return LoadPlan(signal, items, items_per_request, seed, NOW_NS)


def spans(requests: list[bytes]) -> list[Span]:
    """Return the spans of ``requests`` in their order."""
    return [
        span
        for request in requests
        for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def points(requests: list[bytes]) -> list[NumberDataPoint | HistogramDataPoint]:
    """Return the data points of ``requests`` in their order."""
    return [
        point
        for request in requests
        for resource_metrics in ExportMetricsServiceRequest.FromString(request).resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        for point in getattr(metric, metric.WhichOneof("data") or "").data_points
    ]


def log_count(requests: list[bytes]) -> int:
    """Return how many log records ``requests`` hold."""
    return sum(
        len(scope_logs.log_records)
        for request in requests
        for resource_logs in ExportLogsServiceRequest.FromString(request).resource_logs
        for scope_logs in resource_logs.scope_logs
    )


@pytest.mark.parametrize("signal", list(Signal))
def test_load_holds_the_planned_items(signal: Signal) -> None:
    """A load has exactly the planned items, the last request being shorter."""
    requests = plan(signal, items=250, items_per_request=100).requests()

    count = {
        Signal.TRACES: lambda: len(spans(requests)),
        Signal.METRICS: lambda: len(points(requests)),
        Signal.LOGS: lambda: log_count(requests),
    }[signal]()

    assert len(requests) == 3
    assert count == 250


@pytest.mark.parametrize("signal", list(Signal))
def test_no_two_requests_are_equal(signal: Signal) -> None:
    """Requests differ within a load and between seeds, also when they hold one item."""
    requests = plan(signal, items_per_request=1).requests()
    others = plan(signal, items_per_request=1, seed=2).requests()

    assert len({*requests, *others}) == len(requests) + len(others)


@pytest.mark.parametrize("signal", list(Signal))
def test_equal_plans_build_equal_bytes(signal: Signal) -> None:
    """A seed is enough to build a load again."""
    assert plan(signal).requests() == plan(signal).requests()


@pytest.mark.parametrize("signal", list(Signal))
def test_no_mark_is_left(signal: Signal) -> None:
    """Every hole of every template is filled."""
    assert not any(b"\x7f#" in request for request in plan(signal).requests())


def test_spans_are_as_large_as_published() -> None:
    """A span takes about 384 bytes on the wire and has eight attributes."""
    requests = plan(Signal.TRACES, items=5_120, items_per_request=512).requests()

    bytes_per_span = sum(map(len, requests)) / 5_120

    assert 370 <= bytes_per_span <= 400
    assert {len(span.attributes) for span in spans(requests)} == {8}


def test_spans_form_traces() -> None:
    """Eight spans share a trace: one root and seven children of it, ids unique."""
    found = spans(plan(Signal.TRACES, items=80).requests())

    traces = {span.trace_id for span in found}
    roots = [span for span in found if not span.parent_span_id]
    children = [span for span in found if span.parent_span_id]

    assert (len(traces), len(roots), len({span.span_id for span in found})) == (10, 10, 80)
    assert {span.parent_span_id for span in children} == {root.span_id for root in roots}


def test_most_points_belong_to_known_series() -> None:
    """Metric attribute sets repeat; about one point in 200 opens a series."""
    found = points(plan(Signal.METRICS, items=20_000, items_per_request=500).requests())

    fresh = [
        point
        for point in found
        if any(attribute.key == "container.id" for attribute in point.attributes)
    ]

    assert 50 <= len(fresh) <= 150
    assert len({point.time_unix_nano for point in found}) == len(found)


def test_histogram_counts_add_up() -> None:
    """A histogram's count is the sum of its buckets, one more than its bounds."""
    found = points(plan(Signal.METRICS).requests())

    histograms = [point for point in found if isinstance(point, HistogramDataPoint)]

    assert histograms
    for point in histograms:
        assert point.count == sum(point.bucket_counts)
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


def test_template_puts_each_value_into_its_own_hole() -> None:
    """Values land in the order of the marks, whatever the order of the fields on the wire."""
    marks = [mark(1, 8), mark(0, 16)]
    message = Span(trace_id=marks[1], span_id=marks[0], name="kept")

    filled = Span.FromString(Template(message, marks).fill(b"s" * 8, b"t" * 16))

    assert filled == Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="kept")


def test_template_refuses_a_mark_that_occurs_twice() -> None:
    """A mark that would be filled in one place only is a mistake of ours."""
    message: Message = Span(trace_id=mark(0, 16), span_id=b"x" * 8, name=mark(0, 16).decode())

    with pytest.raises(AssertionError, match="twice"):
        Template(message, [mark(0, 16)])


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_384, 2_097_152])
def test_field_is_what_protobuf_writes(length: int) -> None:
    """A length-delimited field of ours is byte-equal to protobuf's, at every size of its prefix."""
    text = "a" * length

    expected = KeyValue(key=text).SerializeToString() if length else b"\x0a\x00"

    assert field(1, text.encode()) == expected


def test_varint_of_a_full_word() -> None:
    """Ten bytes hold 64 bits."""
    assert len(varint(2**64 - 1)) == 10
    assert struct.unpack("B", varint(2**64 - 1)[-1:])[0] == 1


@pytest.mark.parametrize("signal", list(Signal))
def test_json_says_the_same(signal: Signal) -> None:
    """Read as the daemon reads it, a body in JSON is the message that protobuf would have been."""
    same = plan(signal, items=25, items_per_request=10)

    bodies = replace(same, json=True).requests()

    assert [read_json(signal, body) for body in bodies] == list(
        map(MESSAGES[signal].FromString, same.requests())
    )


def read_json(signal: Signal, body: bytes) -> Message:
    """Return the message that the daemon makes of ``body``."""
    steps = transcode(signal, body, items_max=1_000)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return MESSAGES[signal].FromString(end.value)
