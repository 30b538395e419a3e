"""Data points of every metric type to rows of ``metric_data_points``, and their series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof
from typing import Any, Literal, TypeAlias

from collector.convert.attributes import AttributesJson, entries_json
from collector.convert.bounds import BIGINT_MAX
from collector.convert.dimensions import ROW_EFFORT, series_row
from collector.convert.memo import Memo, row_bytes
from collector.convert.notes import REPLACEMENT, Notes
from collector.convert.output import DICT_SLOT_BYTES, SMALL_INT_MAX, Group, Output, Row, columns_of
from collector.convert.times import Window, optional_time
from collector.convert.values import decode, double_json, hex_json, object_json
from collector.rows import PG_EPOCH_UNIX_US, PointRow
from collector.wire.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)

Point: TypeAlias = (
    NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint
)

ATTRIBUTE_LEVEL, EXEMPLAR_ATTRIBUTE_LEVEL = 6, 7
"""Request > ResourceMetrics (1) > ScopeMetrics (2) > Metric (3) > Gauge (4) > point (5) > KeyValue."""

FLOAT_BYTES, INT_BYTES = 24, 32

COLUMNS = columns_of(
    PointRow,
    text="",
    own="time time_ns start_time start_ns value value_int count sum min max zero_count",
)

DATA = {
    "gauge": Gauge,
    "sum": Sum,
    "histogram": Histogram,
    "exponential_histogram": ExponentialHistogram,
    "summary": Summary,
}
KINDS = {
    "gauge": "number_point",
    "sum": "number_point",
    "histogram": "histogram_point",
    "exponential_histogram": "exponential_point",
    "summary": "summary_point",
}


def kind_of(member: str) -> str:
    """Return what ``survey`` calls the items of a leaf."""
    return KINDS[member]


def decode_items(member: str, piece: bytes) -> Iterable[Point]:
    """Return the data points in a piece of a metric's data.

    Raises:
        DecodeError: at least one does not decode.
    """
    return DATA[member].FromString(piece).data_points


def row_maker(
    member: str, group: Group, output: Output, memo: Memo, window: Window
) -> Callable[[Any], Row]:
    """Return the function that makes the row of one data point of ``group.metric``.

    It raises QuarantineError for a point that cannot have one.
    """
    raw = output.notes.raw
    low, high, received_at = window
    distribution_of = DISTRIBUTIONS[member]
    has_exemplars = member != "summary"
    find_series = _series_finder(group, output, memo)
    assert group.metric is not None
    has_name = group.metric.name != ""
    # Another signal's bytes make names that are no text, and points without a time.
    is_repaired = group.is_metric_repaired and REPLACEMENT in group.metric.name
    has_clean_name = has_name and not is_repaired

    def row_of(point: Any) -> Row:
        sent, start = point.time_unix_nano, point.start_time_unix_nano
        if sent > output.latest_ns:
            output.latest_ns = sent
        series_id = find_series(point.attributes[:])
        if low <= sent <= high:
            time, time_ns = sent // 1_000 - PG_EPOCH_UNIX_US, sent % 1_000
        else:
            time, time_ns = received_at, None
            if sent:
                raw["time_unix_nano"] = str(sent)
                time_ns = 0
        start_time, start_ns = optional_time(start) if start else (None, None)
        columns = distribution_of(point, output)
        exemplars = point.exemplars if has_exemplars else None
        if start:
            output.has_entropy = True
        if has_clean_name or (has_name and sent):
            output.has_identity = True
        return (
            series_id,
            time,
            time_ns,
            start_time,
            start_ns,
            *columns,
            _exemplars(exemplars, output, memo) if exemplars else None,
            output.take_raw() if raw else None,
        )

    return row_of


def _series_finder(group: Group, output: Output, memo: Memo) -> Callable[[Sequence[bytes]], int]:
    """Return the function from undecoded attributes to the id of their series in this group."""
    resource, scope, metric = group.resource, group.scope, group.metric
    assert metric is not None
    of_group = memo.series_of((metric.metric_id, resource.resource_id, scope.scope_id))
    of_request, notes = output.dimensions.series, output.notes

    def find_series(attributes: Sequence[bytes]) -> int:
        key = tuple(attributes)
        row = of_group.get(key)
        is_shared = row is not None
        if row is None:
            level = ATTRIBUTE_LEVEL
            row = series_row(metric, resource, scope, attributes, level, memo.pairs, notes)
            memo.remember(of_group, key, row, notes)
            notes.effort += ROW_EFFORT
        series_id = row[0]
        if series_id not in of_request:
            of_request[series_id] = row
            output.size_bytes += DICT_SLOT_BYTES if is_shared else row_bytes(row)
        return series_id

    return find_series


# -- the columns from value to quantiles, by type of metric ---------------------------------------

Columns: TypeAlias = tuple[Any, ...]
_COUNT_TO_QUANTILES: Columns = (None,) * 14
_SCALE_TO_QUANTILES: Columns = (None,) * 8
_MIN_TO_NEGATIVE_COUNTS: Columns = (None,) * 11


def _number(point: NumberDataPoint, _: Output) -> Columns:
    # Both 0.0 for a field that is not set: only a zero needs the look at the oneof.
    value, value_int = point.as_double or None, point.as_int or None
    if value is None and value_int is None:
        which = point.WhichOneof("value")
        if which == "as_double":
            value = point.as_double
        elif which == "as_int":
            value_int = 0
    return (value, value_int, point.flags, *_COUNT_TO_QUANTILES)


def _histogram(point: HistogramDataPoint, output: Output) -> Columns:
    return (
        None,
        None,
        point.flags,
        _bigint(point.count, "count", output),
        _optional(point, "sum"),
        _optional(point, "min"),
        _optional(point, "max"),
        _counts(point.bucket_counts[:], "bucket_counts", output),
        _bounds(point.explicit_bounds[:], output),
        *_SCALE_TO_QUANTILES,
    )


def _exponential(point: ExponentialHistogramDataPoint, output: Output) -> Columns:
    positive_offset, positive = _buckets(point, "positive", output)
    negative_offset, negative = _buckets(point, "negative", output)
    return (
        None,
        None,
        point.flags,
        _bigint(point.count, "count", output),
        _optional(point, "sum"),
        _optional(point, "min"),
        _optional(point, "max"),
        None,
        None,
        point.scale,
        _bigint(point.zero_count, "zero_count", output),
        point.zero_threshold,
        positive_offset,
        positive,
        negative_offset,
        negative,
        None,
    )


def _summary(point: SummaryDataPoint, output: Output) -> Columns:
    quantiles = _quantiles(point) if point.quantile_values else None
    output.size_bytes += getsizeof(quantiles)
    count = _bigint(point.count, "count", output)
    return (None, None, point.flags, count, point.sum, *_MIN_TO_NEGATIVE_COUNTS, quantiles)


DISTRIBUTIONS: dict[str, Callable[[Any, Output], Columns]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def _bigint(number: int, name: str, output: Output) -> int | None:
    """Return an unsigned 64-bit number, or None when only ``raw`` can hold it."""
    if number <= BIGINT_MAX:
        return number
    output.notes.raw[name] = str(number)
    return None


def _optional(
    point: HistogramDataPoint | ExponentialHistogramDataPoint, name: Literal["sum", "min", "max"]
) -> float | None:
    return getattr(point, name) if point.HasField(name) else None


def _counts(counts: list[int], name: str, output: Output) -> list[int] | None:
    if not counts:
        return None
    if max(counts) > BIGINT_MAX:
        output.notes.raw[name] = str(counts)
        return None
    large = sum(map(SMALL_INT_MAX.__lt__, counts))
    output.size_bytes += getsizeof(counts) + INT_BYTES * large
    return counts


def _bounds(bounds: list[float], output: Output) -> list[float] | None:
    if not bounds:
        return None
    output.size_bytes += getsizeof(bounds) + FLOAT_BYTES * len(bounds)
    return bounds


def _buckets(
    point: ExponentialHistogramDataPoint, name: Literal["positive", "negative"], output: Output
) -> tuple[int | None, list[int] | None]:
    if not point.HasField(name):
        return None, None
    buckets = getattr(point, name)
    return buckets.offset, _counts(buckets.bucket_counts[:], f"{name}_bucket_counts", output)


def _quantiles(point: SummaryDataPoint) -> str:
    pairs = [
        f'{{"quantile":{double_json(entry.quantile)},"value":{double_json(entry.value)}}}'
        for entry in point.quantile_values
    ]
    return "[" + ",".join(pairs) + "]"


# -- exemplars -----------------------------------------------------------------------------------


def _exemplars(exemplars: Sequence[bytes], output: Output, memo: Memo) -> str | None:
    text = entries_json(
        exemplars,
        _exemplar_json,
        pairs=memo.pairs,
        level=EXEMPLAR_ATTRIBUTE_LEVEL,
        notes=output.notes,
        field="exemplars",
    )
    output.size_bytes += getsizeof(text)
    return text


def _exemplar_json(raw: bytes, attributes_json: AttributesJson, _: Notes) -> str:
    exemplar = decode(Exemplar, raw)
    members: list[str] = []
    if exemplar.time_unix_nano:
        members.append(f'"time_unix_nano":{exemplar.time_unix_nano}')
    which = exemplar.WhichOneof("value")
    if which == "as_double":
        members.append('"as_double":' + double_json(exemplar.as_double))
    elif which == "as_int":
        members.append(f'"as_int":{exemplar.as_int}')
    if exemplar.trace_id:
        members.append('"trace_id":' + hex_json(exemplar.trace_id))
    if exemplar.span_id:
        members.append('"span_id":' + hex_json(exemplar.span_id))
    if exemplar.filtered_attributes:
        members.append('"filtered_attributes":' + attributes_json(exemplar.filtered_attributes[:]))
    return object_json(members)
