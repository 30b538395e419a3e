"""Rows of ``metric_sql`` to what ``metric_types`` declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from collector.items import JsonValue
from collector.query.metric_types import (
    TEMPORALITY_BY_NUMBER,
    Exemplar,
    Metric,
    Point,
    Series,
)
from collector.query.time_range import unix_ns


def metric_of(row: Any) -> Metric:
    """Return the metric of a row of ``metrics_page``."""
    has_monotonic = row["type"] == "sum"
    return Metric(
        name=row["name"],
        description=row["description"] or "",
        unit=row["unit"],
        type=row["type"],
        temporality=temporality_of(None if row["temporality"] < 0 else row["temporality"]),
        is_monotonic=row["monotonic"] if has_monotonic else None,
        services=tuple(row["services"] or ()),
        services_total=row["services_total"] or 0,
        series_total=row["series"],
    )


def series_of(row: Any) -> Series:
    """Return the series of a row of ``series_page`` or ``newest_series``."""
    return Series(
        series_id=row["series_id"],
        name=row["name"],
        type=row["type"],
        unit=row["unit"] or "",
        temporality=temporality_of(row["temporality"]),
        is_monotonic=row["monotonic"],
        service=row["service_name"],
        attributes=orjson.loads(row["attributes"]),
        resource=orjson.loads(row["resource"] or "{}"),
        scope_name=row["scope_name"] or "",
        scope_version=row["scope_version"] or "",
    )


def temporality_of(number: int | None) -> str | None:
    """Return its name; a number that OTLP does not know is written out."""
    return None if number is None else TEMPORALITY_BY_NUMBER.get(number, str(number))


def point_of(row: Any) -> Point:
    """Return the data point of a row of ``points``."""
    start = row["start_time"]
    return Point(
        time_unix_nano=unix_ns(row["time"], row["time_ns"]),
        start_time_unix_nano=None if start is None else unix_ns(start, row["start_ns"]),
        is_recorded=not row["flags"] & 1,
        value=row["value"] if row["value_int"] is None else row["value_int"],
        count=row["count"],
        sum=row["sum"],
        min=row["min"],
        max=row["max"],
        explicit_bounds=_tuple(row["explicit_bounds"]),
        bucket_counts=_tuple(row["bucket_counts"]),
        scale=row["scale"],
        zero_count=row["zero_count"],
        zero_threshold=row["zero_threshold"],
        positive_offset=row["positive_offset"],
        positive_bucket_counts=_tuple(row["positive_bucket_counts"]),
        negative_offset=row["negative_offset"],
        negative_bucket_counts=_tuple(row["negative_bucket_counts"]),
        quantiles=None if row["quantiles"] is None else orjson.loads(row["quantiles"]),
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def exemplars_of(row: Any, series: Series) -> list[Exemplar]:
    """Return the exemplars of a row of ``exemplars``."""
    return [_exemplar(entry, series) for entry in orjson.loads(row["exemplars"])]


def _exemplar(entry: Mapping[str, JsonValue], series: Series) -> Exemplar:
    """Return one exemplar. Spec: ``convert/metrics.py`` writes its fields."""
    value: JsonValue = entry.get("as_int", entry.get("as_double"))
    if not isinstance(value, int | float | None):
        value = float(value["$double"])
    return Exemplar(
        series_id=series.series_id,
        time_unix_nano=entry.get("time_unix_nano", 0),
        value=value,
        trace_id=_id(entry.get("trace_id")),
        span_id=_id(entry.get("span_id")),
        attributes=entry.get("filtered_attributes", {}),
        labels=series.attributes,
        service=series.service,
    )


def _id(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
