"""Stored spans as display items."""

from __future__ import annotations

from typing import Any

from collector.items import KIND_BY_NUMBER, STATUS_BY_CODE, SpanItem
from collector.query.display import add_attributes, rfc3339

TIME, TIME_NS = "start_time", "start_ns"
COLUMNS = (
    "f.start_time", "f.start_ns", "f.service_name", "f.name", "f.kind", "f.status_code",
    "f.status_message", "f.trace_id", "f.span_id", "f.parent_span_id", "f.duration_ns",
    "f.attributes", "f.resource_id",
)  # fmt: skip


def item_of(row: Any) -> SpanItem:
    """Return the item of a row of ``COLUMNS`` and ``resource``, the JSON of its resource."""
    item: SpanItem = {
        "signal": "traces",
        "time": rfc3339(row["start_time"], row["start_ns"]),
        "name": row["name"],
        "status": STATUS_BY_CODE.get(row["status_code"]) or str(row["status_code"]),
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
    }
    if row["service_name"] is not None:
        item["service"] = row["service_name"]
    kind = KIND_BY_NUMBER.get(row["kind"])
    if kind is not None:
        item["kind"] = kind
    if row["status_message"] is not None:
        item["status_message"] = row["status_message"]
    if row["parent_span_id"] is not None:
        item["parent_span_id"] = row["parent_span_id"].hex()
    if row["duration_ns"] is not None:
        item["duration_ns"] = row["duration_ns"]
    add_attributes(item, row)
    return item
