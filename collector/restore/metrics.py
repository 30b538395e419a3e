"""Rows of ``metric_data_points`` back to metrics: the inverse of ``convert/metrics.py``.

All metric types share one row; ``metrics.type`` says which point it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    SummaryDataPoint,
)

from collector.restore.dimensions import ScopeGroups
from collector.restore.values import (
    Json,
    Raw,
    attribute_list,
    double,
    identifier,
    key_values,
    load,
    load_raw,
    open_enum,
    unix_nano,
)
from collector.rows import Dimensions, MetricRow, PointRow


def restore_metrics(
    rows: Iterable[tuple[Any, ...]], dimensions: Dimensions
) -> ExportMetricsServiceRequest:
    """Return the request that ``convert`` would turn into these rows again.

    Shape: tuples in ``PointRow`` order in, one data point per row out, grouped by resource, scope
    and metric.

    Raises:
        KeyError: a row refers to a dimension that ``dimensions`` does not hold.
    """
    request = ExportMetricsServiceRequest()
    groups = ScopeGroups[ResourceMetrics, ScopeMetrics](
        dimensions,
        lambda resource, url: request.resource_metrics.add(resource=resource, schema_url=url),
        lambda group, scope, url: group.scope_metrics.add(scope=scope, schema_url=url),
    )
    metrics: dict[tuple[int, int, int], Metric] = {}
    for values in rows:
        row = PointRow._make(values)
        series = dimensions.series[row.series_id]
        metric_row = dimensions.metrics[series.metric_id]
        key = (series.resource_id, series.scope_id, series.metric_id)
        metric = metrics.get(key)
        if metric is None:
            metric = groups.get(series.resource_id, series.scope_id).metrics.add()
            metric.CopyFrom(metric_of(metric_row))
            metrics[key] = metric
        _add_point(metric, row, attribute_list(series.attributes, load_raw(series.raw)))
    return request


def metric_of(row: MetricRow) -> Metric:
    """Return the metric, of its type and without data points.

    Raises:
        ValueError: the row's type is none of OTLP's five; it was not written by ``convert``.
    """
    metric = Metric(
        name=row.name,
        description=row.description or "",
        unit=row.unit or "",
        metadata=attribute_list(row.metadata, load_raw(row.raw), "metadata"),
    )
    temporality = open_enum(row.temporality or 0)
    match row.type:
        case "gauge":
            metric.gauge.SetInParent()
        case "sum":
            metric.sum.SetInParent()
            metric.sum.aggregation_temporality = temporality
            metric.sum.is_monotonic = bool(row.monotonic)
        case "histogram":
            metric.histogram.SetInParent()
            metric.histogram.aggregation_temporality = temporality
        case "exponential_histogram":
            metric.exponential_histogram.SetInParent()
            metric.exponential_histogram.aggregation_temporality = temporality
        case "summary":
            metric.summary.SetInParent()
        case unknown:
            raise ValueError(f"the metric {row.metric_id} is of the unknown type {unknown!r}")
    return metric


def _add_point(metric: Metric, row: PointRow, attributes: list[KeyValue]) -> None:
    """Append the point, made of those columns that its metric's type uses."""
    raw = load_raw(row.raw)
    match metric.WhichOneof("data"):
        case "gauge":
            metric.gauge.data_points.append(_number_point(row, raw, attributes))
        case "sum":
            metric.sum.data_points.append(_number_point(row, raw, attributes))
        case "histogram":
            metric.histogram.data_points.append(_histogram_point(row, raw, attributes))
        case "exponential_histogram":
            points = metric.exponential_histogram.data_points
            points.append(_exponential_point(row, raw, attributes))
        case _:
            metric.summary.data_points.append(_summary_point(row, raw, attributes))


# -- points of one type each ---------------------------------------------------------------------


def _number_point(row: PointRow, raw: Raw, attributes: list[KeyValue]) -> NumberDataPoint:
    point = NumberDataPoint(
        attributes=attributes,
        start_time_unix_nano=_start(row, raw),
        time_unix_nano=_time(row, raw),
        exemplars=_exemplars(row, raw),
        flags=row.flags,
    )
    if row.value is not None:
        point.as_double = row.value
    elif row.value_int is not None:
        point.as_int = row.value_int
    return point


def _histogram_point(row: PointRow, raw: Raw, attributes: list[KeyValue]) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=_start(row, raw),
        time_unix_nano=_time(row, raw),
        count=raw.get("count", row.count or 0),
        sum=row.sum,
        min=row.min,
        max=row.max,
        bucket_counts=raw.get("bucket_counts", row.bucket_counts or []),
        explicit_bounds=row.explicit_bounds or [],
        exemplars=_exemplars(row, raw),
        flags=row.flags,
    )


def _exponential_point(
    row: PointRow, raw: Raw, attributes: list[KeyValue]
) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=_start(row, raw),
        time_unix_nano=_time(row, raw),
        count=raw.get("count", row.count or 0),
        sum=row.sum,
        min=row.min,
        max=row.max,
        scale=row.scale or 0,
        zero_count=raw.get("zero_count", row.zero_count or 0),
        zero_threshold=0.0 if row.zero_threshold is None else row.zero_threshold,
        positive=ExponentialHistogramDataPoint.Buckets(
            offset=row.positive_offset or 0,
            bucket_counts=raw.get("positive_bucket_counts", row.positive_bucket_counts or []),
        ),
        negative=ExponentialHistogramDataPoint.Buckets(
            offset=row.negative_offset or 0,
            bucket_counts=raw.get("negative_bucket_counts", row.negative_bucket_counts or []),
        ),
        exemplars=_exemplars(row, raw),
        flags=row.flags,
    )


def _summary_point(row: PointRow, raw: Raw, attributes: list[KeyValue]) -> SummaryDataPoint:
    return SummaryDataPoint(
        attributes=attributes,
        start_time_unix_nano=_start(row, raw),
        time_unix_nano=_time(row, raw),
        count=raw.get("count", row.count or 0),
        sum=0.0 if row.sum is None else row.sum,
        quantile_values=[
            SummaryDataPoint.ValueAtQuantile(
                quantile=double(entry.get("quantile", 0.0)), value=double(entry.get("value", 0.0))
            )
            for entry in load(row.quantiles or "[]")
        ],
        flags=row.flags,
    )


def _start(row: PointRow, raw: Raw) -> int:
    return raw.get("start_time_unix_nano", unix_nano(row.start_time, row.start_ns))


def _time(row: PointRow, raw: Raw) -> int:
    return raw.get("time_unix_nano", unix_nano(row.time, row.time_ns))


def _exemplars(row: PointRow, raw: Raw) -> list[Exemplar]:
    entries: list[dict[str, Json]] = (
        raw["exemplars"] if "exemplars" in raw else load(row.exemplars or "[]")
    )
    return [_exemplar(entry) for entry in entries]


def _exemplar(entry: dict[str, Json]) -> Exemplar:
    exemplar = Exemplar(
        filtered_attributes=key_values(entry.get("filtered_attributes", [])),
        time_unix_nano=entry.get("time_unix_nano", 0),
        span_id=identifier(entry.get("span_id")),
        trace_id=identifier(entry.get("trace_id")),
    )
    if "as_double" in entry:
        exemplar.as_double = double(entry["as_double"])
    elif "as_int" in entry:
        exemplar.as_int = entry["as_int"]
    return exemplar
