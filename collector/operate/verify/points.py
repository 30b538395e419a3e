"""The metrics of a round: each type of OTLP, one data point of each.

Everything that makes a series stays the same for ever; the round is in values, times and exemplars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
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

ROUNDS: Final = "otlpg.verify.rounds"
GAUGE: Final = "otlpg.verify.gauge"
HISTOGRAM: Final = "otlpg.verify.histogram"
EXPONENTIAL: Final = "otlpg.verify.exponential_histogram"
SUMMARY: Final = "otlpg.verify.summary"
METRIC_NAMES: Final = (ROUNDS, GAUGE, HISTOGRAM, EXPONENTIAL, SUMMARY)

ATTRIBUTES: Final = (KeyValue(key="verify", value=AnyValue(string_value="always the same")),)


_Point: TypeAlias = (
    NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint
)


class _Round(NamedTuple):
    """What the values of a round are made of. Units: both times are in Unix nanoseconds."""

    number: int
    began: int
    """When the run began, and with it what is cumulative."""
    now: int


def metrics_of(
    *,
    number: int,
    began_unix_nano: int,
    now_unix_nano: int,
    exemplar_attributes: Iterable[KeyValue],
    trace_id: bytes,
    span_id: bytes,
) -> list[Metric]:
    """Return one metric of each type, with one data point at ``now_unix_nano``."""
    exemplar = Exemplar(
        time_unix_nano=now_unix_nano - 1,
        as_double=number + 0.5,
        filtered_attributes=exemplar_attributes,
        trace_id=trace_id,
        span_id=span_id,
    )
    this = _Round(number, began_unix_nano, now_unix_nano)
    return [_metric(declared, point_of(this), this.now, exemplar) for declared, point_of in _SERIES]


def _metric(declared: Metric, point: _Point, now: int, exemplar: Exemplar) -> Metric:
    """Return the metric as declared, with ``point`` and what every point has."""
    point.attributes.extend(ATTRIBUTES)
    point.time_unix_nano = now
    if not isinstance(point, SummaryDataPoint):  # the one type that has no exemplars
        point.exemplars.append(exemplar)
    metric = Metric()
    metric.CopyFrom(declared)
    data = metric.WhichOneof("data")
    assert data is not None, "each of _SERIES has one"
    getattr(metric, data).data_points.append(point)
    return metric


def _rounds(this: _Round) -> _Point:
    return NumberDataPoint(start_time_unix_nano=this.began, as_int=this.number)


def _gauge(this: _Round) -> _Point:
    return NumberDataPoint(as_double=this.number / 3)


def _histogram(this: _Round) -> _Point:
    return HistogramDataPoint(
        start_time_unix_nano=this.began,
        count=3 * this.number,
        sum=0.3 * this.number,
        min=0.01,
        max=2.5,
        bucket_counts=[this.number, 0, 2 * this.number],
        explicit_bounds=[0.05, 0.5],
    )


def _exponential(this: _Round) -> _Point:
    return ExponentialHistogramDataPoint(
        start_time_unix_nano=this.now - 1_000_000_000,
        count=7,
        sum=this.number + 0.25,
        scale=3,
        zero_count=1,
        zero_threshold=1e-6,
        positive=ExponentialHistogramDataPoint.Buckets(offset=-2, bucket_counts=[1, 0, 2]),
        negative=ExponentialHistogramDataPoint.Buckets(offset=4, bucket_counts=[3]),
    )


def _summary(this: _Round) -> _Point:
    return SummaryDataPoint(
        start_time_unix_nano=this.began,
        count=this.number,
        sum=this.number / 8,
        quantile_values=[
            SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=value)
            for quantile, value in ((0.5, 0.1), (0.99, 0.5))
        ],
    )


_SERIES: Final[tuple[tuple[Metric, Callable[[_Round], _Point]], ...]] = (
    (
        Metric(
            name=ROUNDS,
            description="Rounds that this run has begun.",
            unit="{round}",
            sum=Sum(aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE, is_monotonic=True),
        ),
        _rounds,
    ),
    (Metric(name=GAUGE, description="A third of it.", gauge=Gauge()), _gauge),
    (
        Metric(
            name=HISTOGRAM,
            description="Made up.",
            unit="s",
            histogram=Histogram(aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE),
        ),
        _histogram,
    ),
    (
        Metric(
            name=EXPONENTIAL,
            description="Made up.",
            unit="By",
            exponential_histogram=ExponentialHistogram(
                aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA
            ),
        ),
        _exponential,
    ),
    (Metric(name=SUMMARY, description="Made up.", summary=Summary()), _summary),
)
"""Each metric but for its data point, and what makes the values of that."""
