"""Stored spans as display items."""

from __future__ import annotations

from typing import Any

from collector.items import KIND_BY_NUMBER, STATUS_BY_CODE, SpanItem
from collector.query.cutting import attributes
from collector.query.display import add_attributes, add_text, rfc3339, texts

TIME, TIME_NS = "start_time", "start_ns"
COLUMNS = (
    "f.start_time", "f.start_ns", "f.service_name", "f.name", "f.kind", "f.status_code",
    "f.status_message", "f.trace_id", "f.span_id", "f.parent_span_id", "f.duration_ns",
    "f.attributes", "f.resource_id",
)  # fmt: skip
SHOWN = (
    "f.start_time", "f.start_ns", "f.service_name", "f.kind", "f.status_code", "f.trace_id",
    "f.span_id", "f.parent_span_id", "f.duration_ns", *texts("name", "status_message"),
    attributes("f.attributes", "attributes"),
)  # fmt: skip


def item_of(row: Any) -> SpanItem:
    """Return the item of a row of ``SHOWN`` and ``resource``, the JSON of its resource."""
    item: SpanItem = {
        "signal": "traces",
        "time": rfc3339(row["start_time"], row["start_ns"]),
        "name": "",
        "status": STATUS_BY_CODE.get(row["status_code"]) or str(row["status_code"]),
        "trace_id": row["trace_id"].hex(),
        "span_id": row["span_id"].hex(),
    }
    add_text(item, "service", row["service_name"])
    add_text(item, "name", row["name"])
    kind = KIND_BY_NUMBER.get(row["kind"])
    if kind is not None:
        item["kind"] = kind
    add_text(item, "status_message", row["status_message"])
    if row["parent_span_id"] is not None:
        item["parent_span_id"] = row["parent_span_id"].hex()
    if row["duration_ns"] is not None:
        item["duration_ns"] = row["duration_ns"]
    add_attributes(item, row)
    return item
