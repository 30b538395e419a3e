"""Promise 8's notion of "the same", by example."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.restore.equality import comparable
from tests.equality import assert_same_items
from tests.factories import key_values, trace_request


def _request(*spans: Span, resource: Resource | None = None) -> ExportTraceServiceRequest:
    group = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[group])


def _span(*pairs: KeyValue) -> Span:
    return Span(span_id=b"12345678", attributes=pairs)


def test_grouping_and_order_do_not_matter() -> None:
    """Spans in groups of their own, in reverse order, say the same as spans in shared groups."""
    request = trace_request(items=9)
    split = ExportTraceServiceRequest()
    for group in request.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                alone = ScopeSpans(scope=scope.scope, spans=[span], schema_url=scope.schema_url)
                split.resource_spans.add(
                    resource=group.resource, scope_spans=[alone], schema_url=group.schema_url
                )
    split.resource_spans.reverse()

    assert len(split.resource_spans) == 9
    assert_same_items(split, request)


def test_an_item_too_few_or_too_many_differs() -> None:
    """Requests are multisets: once is not twice."""
    one, two = _request(_span()), _request(_span(), _span())

    with pytest.raises(AssertionError, match="1 items came that should not, 0 did not"):
        assert_same_items(two, one)
    with pytest.raises(AssertionError, match="0 items came that should not, 1 did not"):
        assert_same_items(one, two)


def test_the_difference_names_the_field() -> None:
    """A reader sees the expected and the actual line of the field that differs."""
    wanted, found = trace_request(items=5), trace_request(items=5)
    found.resource_spans[0].scope_spans[0].spans[0].name = "POST /cart"

    with pytest.raises(AssertionError) as caught:
        assert_same_items(found, wanted)

    assert '-  "name": "POST /checkout",' in str(caught.value)
    assert '+  "name": "POST /cart",' in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(Span(), Span(status=Status()), id="empty status"),
        pytest.param(
            _span(KeyValue(key="a")), _span(KeyValue(key="a", value=AnyValue())), id="value"
        ),
        pytest.param(
            Span(attributes=key_values({"a": 1, "b": 2})),
            Span(attributes=key_values({"b": 2, "a": 1})),
            id="order of keys",
        ),
        pytest.param(
            Span(attributes=key_values({"a": float("nan")})),
            Span(attributes=key_values({"a": -float("nan")})),
            id="NaN",
        ),
        pytest.param(
            _span(KeyValue(key="a", key_strindex=3, value=AnyValue(string_value_strindex=4))),
            _span(KeyValue(key="a")),
            id="fields of profiles",
        ),
        pytest.param(
            ExponentialHistogramDataPoint(),
            ExponentialHistogramDataPoint(positive=ExponentialHistogramDataPoint.Buckets()),
            id="empty buckets",
        ),
    ],
)
def test_same(one: Span, other: Span) -> None:
    """What promise 8 calls the same compares equal."""
    assert one != other or "nan" in str(one)
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            Span(attributes=key_values({"a": 0.0})),
            Span(attributes=key_values({"a": -0.0})),
            id="negative zero",
        ),
        pytest.param(NumberDataPoint(as_double=0.0), NumberDataPoint(as_double=-0.0), id="value"),
        pytest.param(NumberDataPoint(as_double=1.0), NumberDataPoint(as_int=1), id="oneof"),
        pytest.param(NumberDataPoint(as_int=0), NumberDataPoint(), id="presence in a oneof"),
        pytest.param(HistogramDataPoint(sum=0.0), HistogramDataPoint(), id="optional presence"),
        pytest.param(
            Span(attributes=key_values({"a": 1})),
            Span(attributes=key_values({"a": 1.0})),
            id="integer and double",
        ),
        pytest.param(
            Span(attributes=key_values({"a": True})),
            Span(attributes=key_values({"a": 1})),
            id="bool and integer",
        ),
        pytest.param(
            Span(attributes=key_values({"a": None})), Span(), id="empty value and no attribute"
        ),
        pytest.param(
            Span(attributes=key_values({"a": []})),
            Span(attributes=key_values({"a": {}})),
            id="array and kvlist",
        ),
        pytest.param(
            _span(*key_values({"a": 1}), *key_values({"a": 2})),
            _span(*key_values({"a": 2}), *key_values({"a": 1})),
            id="order of repeated keys",
        ),
        pytest.param(
            _span(*key_values({"a": 2}), *key_values({"a": 2})),
            _span(*key_values({"a": 2})),
            id="repeated key",
        ),
    ],
)
def test_not_same(one: Span, other: Span) -> None:
    """What promise 8 keeps apart does not compare equal."""
    assert comparable(one) != comparable(other)


def test_missing_resource_is_an_empty_one() -> None:
    """A request without a resource and one with an empty resource say the same."""
    assert_same_items(_request(_span()), _request(_span(), resource=Resource()))


def test_metrics_without_points_hold_no_items() -> None:
    """A metric counts only through its points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="a")
    metric.gauge.SetInParent()

    assert_same_items(request, ExportMetricsServiceRequest())


def test_nested_lists_compare_as_maps_at_every_depth() -> None:
    """A kvlist inside an array inside an attribute compares as a map too."""

    def span(*order: str) -> Span:
        inner = KeyValueList(values=[KeyValue(key=key) for key in order])
        array = ArrayValue(values=[AnyValue(kvlist_value=inner)])
        return _span(KeyValue(key="a", value=AnyValue(array_value=array)))

    assert comparable(span("x", "y")) == comparable(span("y", "x"))
    assert comparable(span("x", "y", "x")) != comparable(span("y", "x", "x"))
