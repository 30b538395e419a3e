"""Stored data points as display items."""

from __future__ import annotations

import math
from typing import Any

from collector.items import JsonValue, PointItem
from collector.query.display import add_attributes, rfc3339

TIME, TIME_NS = "time", "time_ns"
COLUMNS = (
    "f.time", "f.time_ns", "f.value", "f.value_int", "f.count", "f.sum", "f.min", "f.max",
    "s.service_name", "s.attributes", "s.resource_id", "m.name AS metric", "m.type", "m.unit",
)  # fmt: skip


def item_of(row: Any) -> PointItem:
    """Return the item of a row of ``COLUMNS`` and ``resource``, the JSON of its resource."""
    item: PointItem = {
        "signal": "metrics",
        "time": rfc3339(row["time"], row["time_ns"]),
        "metric": row["metric"],
        "type": row["type"],
    }
    if row["service_name"] is not None:
        item["service"] = row["service_name"]
    if row["unit"] is not None:
        item["unit"] = row["unit"]
    if row["value_int"] is not None:
        item["value"] = row["value_int"]
    elif row["value"] is not None:
        item["value"] = _double(row["value"])
    if row["count"] is not None:
        item["count"] = row["count"]
    if row["sum"] is not None:
        item["sum"] = _double(row["sum"])
    if row["min"] is not None:
        item["min"] = _double(row["min"])
    if row["max"] is not None:
        item["max"] = _double(row["max"])
    add_attributes(item, row)
    return item


def _double(number: float) -> JsonValue:
    """Return a double as JSON can hold it; unlike jsonb, JSON itself lacks only these three."""
    if math.isfinite(number):
        return number
    return {"$double": repr(number).replace("inf", "Infinity").replace("nan", "NaN")}
