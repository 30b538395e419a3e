"""Data points become rows of ``metric_data_points``; their metric and series become dimensions."""

from __future__ import annotations

import json
import math

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

from collector.rows import MetricRow, PointRow, Signal
from tests.factories import any_value, key_values
from tests.unit.convert.converting import (
    NOW,
    RETENTION_S,
    SPAN_ID,
    TRACE_ID,
    convert,
    metrics_of,
    pg_us,
    point_rows,
)

EMPTY = PointRow._make([0, *[None] * 6, 0, *[None] * 16])


def gauge(*points: NumberDataPoint) -> Metric:
    """Return a gauge with these points."""
    return Metric(name="g", gauge=Gauge(data_points=points))


def row_of(metric: Metric) -> PointRow:
    """Return the metric's one row, without its series and times."""
    [row] = point_rows(metric)
    return row._replace(series_id=0, time=None, time_ns=None, start_time=None, start_ns=None)  # pyright: ignore[reportArgumentType]


def metric_row_of(metric: Metric) -> MetricRow:
    """Return the dimension row of a metric."""
    [row] = convert(Signal.METRICS, metrics_of(metric)).dimensions.metrics.values()
    return row


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.5, -1e300, 5e-324, math.inf])
def test_double_value(value: float) -> None:
    """Zero is a value too."""
    assert row_of(gauge(NumberDataPoint(as_double=value))) == EMPTY._replace(value=value)


def test_odd_doubles_keep_their_bits() -> None:
    """float8 knows NaN and minus zero."""
    nan, minus_zero = point_rows(
        gauge(NumberDataPoint(as_double=math.nan), NumberDataPoint(as_double=-0.0))
    )

    assert nan.value is not None
    assert math.isnan(nan.value)
    assert minus_zero.value is not None
    assert math.copysign(1, minus_zero.value) == -1


@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_integer_value(value: int) -> None:
    """Zero is a value too, and no integer passes through a double."""
    assert row_of(gauge(NumberDataPoint(as_int=value))) == EMPTY._replace(value_int=value)


def test_no_recorded_value() -> None:
    """No value at all, and a flag that says why."""
    assert row_of(gauge(NumberDataPoint(flags=1))) == EMPTY._replace(flags=1)


def test_value_sent_twice_is_the_last() -> None:
    """A oneof with both members on the wire keeps the later one."""
    wire = NumberDataPoint(as_double=1.5).SerializeToString()
    point = NumberDataPoint.FromString(wire + NumberDataPoint(as_int=0).SerializeToString())

    assert row_of(gauge(point)) == EMPTY._replace(value_int=0)


# -- distributions -------------------------------------------------------------------------------


def test_histogram_with_every_field() -> None:
    """Counts and bounds are arrays, the optional ones may be 0."""
    point = HistogramDataPoint(
        count=3,
        sum=0.0,
        min=-0.5,
        max=2.5,
        bucket_counts=[1, 2, 2**63 - 1],
        explicit_bounds=[0.5, math.inf],
        flags=1,
    )
    metric = Metric(name="h", histogram=Histogram(data_points=[point]))

    assert row_of(metric) == EMPTY._replace(
        flags=1,
        count=3,
        sum=0.0,
        min=-0.5,
        max=2.5,
        bucket_counts=[1, 2, 2**63 - 1],
        explicit_bounds=[0.5, math.inf],
    )


def test_empty_histogram() -> None:
    """A count is always there; what is optional or an empty list is NULL."""
    metric = Metric(name="h", histogram=Histogram(data_points=[HistogramDataPoint()]))

    assert row_of(metric) == EMPTY._replace(count=0)


def test_exponential_histogram_with_every_field() -> None:
    """Each side has an offset and counts."""
    point = ExponentialHistogramDataPoint(
        count=4,
        sum=1.5,
        scale=-3,
        zero_count=1,
        zero_threshold=0.25,
        positive=ExponentialHistogramDataPoint.Buckets(offset=-2, bucket_counts=[1, 300]),
        negative=ExponentialHistogramDataPoint.Buckets(offset=7),
        min=-1.0,
        max=0.0,
    )
    metric = Metric(name="e", exponential_histogram=ExponentialHistogram(data_points=[point]))

    assert row_of(metric) == EMPTY._replace(
        count=4,
        sum=1.5,
        min=-1.0,
        max=0.0,
        scale=-3,
        zero_count=1,
        zero_threshold=0.25,
        positive_offset=-2,
        positive_bucket_counts=[1, 300],
        negative_offset=7,
    )


def test_exponential_histogram_without_buckets() -> None:
    """No buckets at all differ from buckets at offset 0."""
    nothing = ExponentialHistogramDataPoint()
    empty = ExponentialHistogramDataPoint(positive=ExponentialHistogramDataPoint.Buckets())
    metric = Metric(
        name="e", exponential_histogram=ExponentialHistogram(data_points=[nothing, empty])
    )

    rows = point_rows(metric)

    assert [row.positive_offset for row in rows] == [None, 0]
    assert [(row.scale, row.zero_count, row.zero_threshold) for row in rows] == [(0, 0, 0.0)] * 2


def test_summary_with_quantiles() -> None:
    """Quantiles are an array of both numbers, whatever they are."""
    quantiles = [
        SummaryDataPoint.ValueAtQuantile(),
        SummaryDataPoint.ValueAtQuantile(quantile=1.5, value=math.nan),
    ]
    point = SummaryDataPoint(count=2, sum=3.5, quantile_values=quantiles, flags=1)

    row = row_of(Metric(name="s", summary=Summary(data_points=[point])))

    assert row._replace(quantiles=None) == EMPTY._replace(flags=1, count=2, sum=3.5)
    assert json.loads(row.quantiles or "") == [
        {"quantile": 0.0, "value": 0.0},
        {"quantile": 1.5, "value": {"$double": "NaN"}},
    ]


def test_empty_summary() -> None:
    """Its sum is not optional."""
    metric = Metric(name="s", summary=Summary(data_points=[SummaryDataPoint()]))

    assert row_of(metric) == EMPTY._replace(count=0, sum=0.0)


def test_numbers_beyond_bigint_go_to_raw() -> None:
    """Each one alone, a list of counts whole."""
    big = 2**64 - 1
    histogram = HistogramDataPoint(count=big, bucket_counts=[1, 2**63])
    exponential = ExponentialHistogramDataPoint(
        count=2**63,
        zero_count=big,
        positive=ExponentialHistogramDataPoint.Buckets(offset=1, bucket_counts=[big]),
        negative=ExponentialHistogramDataPoint.Buckets(bucket_counts=[0, 2**63]),
    )

    first = row_of(Metric(name="h", histogram=Histogram(data_points=[histogram])))
    second = row_of(
        Metric(name="e", exponential_histogram=ExponentialHistogram(data_points=[exponential]))
    )

    assert (first.count, first.bucket_counts) == (None, None)
    assert json.loads(first.raw or "") == {"count": big, "bucket_counts": [1, 2**63]}
    assert (second.count, second.zero_count, second.positive_offset) == (None, None, 1)
    assert json.loads(second.raw or "") == {
        "count": 2**63,
        "zero_count": big,
        "positive_bucket_counts": [big],
        "negative_bucket_counts": [0, 2**63],
    }


# -- exemplars and times -------------------------------------------------------------------------


def test_exemplars_are_objects_with_what_is_set() -> None:
    """OTLP's names; the value keeps its type, and 0 is a value."""
    exemplars = [
        Exemplar(),
        Exemplar(as_double=0.0, trace_id=TRACE_ID, span_id=SPAN_ID),
        Exemplar(as_int=0, time_unix_nano=5, filtered_attributes=key_values({"a": "b"})),
    ]

    row = row_of(gauge(NumberDataPoint(as_int=1, exemplars=exemplars)))

    assert json.loads(row.exemplars or "") == [
        {},
        {"as_double": 0.0, "trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex()},
        {"as_int": 0, "time_unix_nano": 5, "filtered_attributes": {"a": "b"}},
    ]


def test_equal_keys_of_an_exemplar_put_all_exemplars_into_raw() -> None:
    """``raw`` has the whole array once more."""
    twice = [KeyValue(key="k", value=any_value(n)) for n in (1, 2)]

    row = row_of(gauge(NumberDataPoint(exemplars=[Exemplar(filtered_attributes=twice)])))

    assert json.loads(row.raw or "") == {
        "exemplars": [{"filtered_attributes": [["k", 1], ["k", 2]]}]
    }


def test_times() -> None:
    """The point's time chooses the partition; the start may be as old as the process."""
    old = NOW - 2 * RETENTION_S * 10**9 + 5
    usual, clamped, absent = point_rows(
        gauge(
            NumberDataPoint(time_unix_nano=NOW + 1, start_time_unix_nano=old),
            NumberDataPoint(time_unix_nano=old, start_time_unix_nano=2**64 - 1),
            NumberDataPoint(),
        )
    )

    assert (usual.time, usual.time_ns) == (pg_us(NOW), 1)
    assert (usual.start_time, usual.start_ns, usual.raw) == (pg_us(old), 5, None)
    assert (clamped.time, clamped.time_ns) == (pg_us(NOW), 0)
    assert (clamped.start_time, clamped.start_ns) == (pg_us(2**64 - 1), 615)
    assert json.loads(clamped.raw or "") == {"time_unix_nano": old}
    assert absent[1:5] == (pg_us(NOW), None, None, None)


# -- metrics and series --------------------------------------------------------------------------


def test_metric_of_each_type() -> None:
    """Temporality and monotonicity only where the type has them."""
    delta, cumulative = AGGREGATION_TEMPORALITY_DELTA, AGGREGATION_TEMPORALITY_CUMULATIVE
    number, histogram = NumberDataPoint(), HistogramDataPoint()
    metrics = [
        Metric(gauge=Gauge(data_points=[number])),
        Metric(sum=Sum(data_points=[number], aggregation_temporality=delta)),
        Metric(sum=Sum(data_points=[number], is_monotonic=True)),
        Metric(histogram=Histogram(data_points=[histogram], aggregation_temporality=cumulative)),
        Metric(
            exponential_histogram=ExponentialHistogram(
                data_points=[ExponentialHistogramDataPoint()]
            )
        ),
        Metric(summary=Summary(data_points=[SummaryDataPoint()])),
    ]

    rows = [metric_row_of(metric) for metric in metrics]

    assert [(row.type, row.temporality, row.monotonic) for row in rows] == [
        ("gauge", None, None),
        ("sum", 1, False),
        ("sum", 0, True),
        ("histogram", 2, None),
        ("exponential_histogram", 0, None),
        ("summary", None, None),
    ]
    assert len({row.metric_id for row in rows}) == len(rows)


def test_metric_with_every_field() -> None:
    """Metadata has the form of attributes, sorted."""
    metric = gauge(NumberDataPoint())
    metric.description, metric.unit = "what", "By"
    metric.metadata.extend(key_values({"b": 1, "a": [2.0]}))

    row = metric_row_of(metric)

    assert (row.name, row.description, row.unit) == ("g", "what", "By")
    assert row.metadata == '{"a":[2.0],"b":1}'


def test_metric_without_data_is_nothing() -> None:
    """It has no points, and points are the items."""
    converted = convert(Signal.METRICS, metrics_of(Metric(name="m"), Metric(gauge=Gauge())))

    assert (converted.items, converted.rows) == (0, [])
    assert converted.dimensions.metrics == {}


def test_data_sent_twice_is_merged_or_replaced() -> None:
    """The same member twice is one; another member makes the first void, as protobuf says."""
    one = gauge(NumberDataPoint(as_int=1)).SerializeToString()
    two = gauge(NumberDataPoint(as_int=2)).SerializeToString()
    other = Metric(sum=Sum(data_points=[NumberDataPoint(as_int=3)])).SerializeToString()

    merged = point_rows(Metric.FromString(one + two))
    converted = convert(Signal.METRICS, _request_of(one + other + two))

    assert [row.value_int for row in merged] == [1, 2]
    assert [PointRow(*row).value_int for row in converted.rows] == [2]
    assert [row.type for row in converted.dimensions.metrics.values()] == ["gauge"]


def _request_of(metric: bytes) -> bytes:
    for tag in (b"\x12", b"\x12", b"\x0a"):
        metric = tag + bytes([len(metric)]) + metric
    return metric


def test_points_of_one_series_share_it() -> None:
    """Whatever the order of their attributes."""
    points = [
        NumberDataPoint(attributes=key_values({"a": 1, "b": {"x": 1, "y": 2}})),
        NumberDataPoint(attributes=key_values({"b": {"y": 2, "x": 1}, "a": 1})),
        NumberDataPoint(attributes=key_values({"a": 1})),
    ]

    converted = convert(Signal.METRICS, metrics_of(gauge(*points)))

    ids = [PointRow(*row).series_id for row in converted.rows]
    assert ids[0] == ids[1] != ids[2]
    assert set(converted.dimensions.series) == set(ids)
    assert converted.dimensions.series[ids[0]].attributes == '{"a":1,"b":{"x":1,"y":2}}'


def test_series_refers_to_its_dimensions() -> None:
    """Metric, resource and scope are found by id in the same request."""
    request = metrics_of(gauge(NumberDataPoint()))
    request.resource_metrics[0].resource.attributes.extend(key_values({"service.name": "s"}))

    dimensions = convert(Signal.METRICS, request).dimensions

    [series] = dimensions.series.values()
    assert series.metric_id in dimensions.metrics
    assert series.resource_id in dimensions.resources
    assert series.scope_id in dimensions.scopes
    assert series.service_name == "s"


def test_equal_keys_of_a_point_make_a_series_of_their_own() -> None:
    """The list form is part of the series, and so of its id."""
    twice = [KeyValue(key="k", value=any_value(n)) for n in (1, 2)]
    points = [NumberDataPoint(attributes=twice), NumberDataPoint(attributes=twice[1:])]

    converted = convert(Signal.METRICS, metrics_of(gauge(*points)))

    first, second = (
        converted.dimensions.series[PointRow(*row).series_id] for row in converted.rows
    )
    assert first.attributes == second.attributes == '{"k":2}'
    assert (first.raw, second.raw) == ('{"attributes":[["k",1],["k",2]]}', None)
    assert first.series_id != second.series_id
    assert all(PointRow(*row).raw is None for row in converted.rows)
