"""The metrics of a round: each type of OTLP, one data point of each.

Everything that makes a series stays the same for ever; the round is in values, times and exemplars.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

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
    return [
        _rounds(number, began_unix_nano, now_unix_nano, exemplar),
        _gauge(number, now_unix_nano, exemplar),
        _histogram(number, began_unix_nano, now_unix_nano, exemplar),
        _exponential(number, now_unix_nano, exemplar),
        _summary(number, began_unix_nano, now_unix_nano),
    ]


def _rounds(number: int, began: int, now: int, exemplar: Exemplar) -> Metric:
    point = NumberDataPoint(
        attributes=ATTRIBUTES,
        start_time_unix_nano=began,
        time_unix_nano=now,
        as_int=number,
        exemplars=[exemplar],
    )
    return Metric(
        name=ROUNDS,
        description="Rounds that this run has begun.",
        unit="{round}",
        sum=Sum(
            data_points=[point],
            aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE,
            is_monotonic=True,
        ),
    )


def _gauge(number: int, now: int, exemplar: Exemplar) -> Metric:
    point = NumberDataPoint(
        attributes=ATTRIBUTES, time_unix_nano=now, as_double=number / 3, exemplars=[exemplar]
    )
    return Metric(name=GAUGE, description="A third of it.", gauge=Gauge(data_points=[point]))


def _histogram(number: int, began: int, now: int, exemplar: Exemplar) -> Metric:
    point = HistogramDataPoint(
        attributes=ATTRIBUTES,
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=3 * number,
        sum=0.3 * number,
        min=0.01,
        max=2.5,
        bucket_counts=[number, 0, 2 * number],
        explicit_bounds=[0.05, 0.5],
        exemplars=[exemplar],
    )
    return Metric(
        name=HISTOGRAM,
        description="Made up.",
        unit="s",
        histogram=Histogram(
            data_points=[point], aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE
        ),
    )


def _exponential(number: int, now: int, exemplar: Exemplar) -> Metric:
    point = ExponentialHistogramDataPoint(
        attributes=ATTRIBUTES,
        start_time_unix_nano=now - 1_000_000_000,
        time_unix_nano=now,
        count=7,
        sum=number + 0.25,
        scale=3,
        zero_count=1,
        zero_threshold=1e-6,
        positive=ExponentialHistogramDataPoint.Buckets(offset=-2, bucket_counts=[1, 0, 2]),
        negative=ExponentialHistogramDataPoint.Buckets(offset=4, bucket_counts=[3]),
        exemplars=[exemplar],
    )
    return Metric(
        name=EXPONENTIAL,
        description="Made up.",
        unit="By",
        exponential_histogram=ExponentialHistogram(
            data_points=[point], aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA
        ),
    )


def _summary(number: int, began: int, now: int) -> Metric:
    point = SummaryDataPoint(
        attributes=ATTRIBUTES,
        start_time_unix_nano=began,
        time_unix_nano=now,
        count=number,
        sum=number / 8,
        quantile_values=[
            SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=value)
            for quantile, value in ((0.5, 0.1), (0.99, 0.5))
        ],
    )
    return Metric(name=SUMMARY, description="Made up.", summary=Summary(data_points=[point]))
