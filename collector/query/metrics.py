"""Stored data points as display items."""

from __future__ import annotations

from typing import Any

from collector.items import PointItem
from collector.query.cutting import attributes
from collector.query.display import add_attributes, add_text, double, rfc3339, texts

TIME, TIME_NS = "time", "time_ns"
COLUMNS = (
    "f.time", "f.time_ns", "f.value", "f.value_int", "f.count", "f.sum", "f.min", "f.max",
    "s.service_name", "s.attributes", "s.resource_id", "m.name AS metric", "m.type", "m.unit",
)  # fmt: skip
SHOWN = (
    "f.time", "f.time_ns", "f.value", "f.value_int", "f.count", "f.sum", "f.min", "f.max",
    "f.service_name", "f.type", *texts("metric", "unit"),
    attributes("f.attributes", "attributes"),
)  # fmt: skip


def item_of(row: Any) -> PointItem:
    """Return the item of a row of ``SHOWN`` and ``resource``, the JSON of its resource."""
    item: PointItem = {
        "signal": "metrics",
        "time": rfc3339(row["time"], row["time_ns"]),
        "metric": "",
        "type": row["type"],
    }
    add_text(item, "service", row["service_name"])
    add_text(item, "metric", row["metric"])
    add_text(item, "unit", row["unit"])
    if row["value_int"] is not None:
        item["value"] = row["value_int"]
    elif row["value"] is not None:
        item["value"] = double(row["value"])
    if row["count"] is not None:
        item["count"] = row["count"]
    if row["sum"] is not None:
        item["sum"] = double(row["sum"])
    if row["min"] is not None:
        item["min"] = double(row["min"])
    if row["max"] is not None:
        item["max"] = double(row["max"])
    add_attributes(item, row)
    return item
