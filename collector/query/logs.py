"""Stored log records as display items."""

from __future__ import annotations

from typing import Any

import orjson

from collector.items import SEVERITY_BY_NUMBER, TEXT_CHARACTERS_MAX, LogItem
from collector.query.cutting import attributes
from collector.query.display import add_attributes, add_text, rfc3339, texts

TIME, TIME_NS = "time", "time_ns"
COLUMNS = (
    "f.time", "f.time_ns", "f.service_name", "f.severity_number", "f.severity_text",
    "f.body_text", "f.body", "f.event_name", "f.trace_id", "f.span_id", "f.attributes",
    "f.resource_id",
)  # fmt: skip
SHOWN = (
    "f.time", "f.time_ns", "f.service_name", "f.severity_number", "f.trace_id", "f.span_id",
    *texts("severity_text", "body_text", "event_name"),
    f"left(f.body::text, {TEXT_CHARACTERS_MAX + 1}) AS body",
    attributes("f.attributes", "attributes"),
)  # fmt: skip


def item_of(row: Any) -> LogItem:
    """Return the item of a row of ``SHOWN`` and ``resource``, the JSON of its resource."""
    item: LogItem = {"signal": "logs", "time": rfc3339(row["time"], row["time_ns"])}
    add_text(item, "service", row["service_name"])
    number = row["severity_number"]
    if number:
        item["severity_number"] = number
        if number in SEVERITY_BY_NUMBER:
            item["severity"] = SEVERITY_BY_NUMBER[number]
    add_text(item, "severity_text", row["severity_text"])
    body = row["body"]
    if body is not None and len(body) <= TEXT_CHARACTERS_MAX:
        item["body"] = orjson.loads(body)
    else:
        add_text(item, "body", row["body_text"] if body is None else body)
    add_text(item, "event", row["event_name"])
    if row["trace_id"] is not None:
        item["trace_id"] = row["trace_id"].hex()
    if row["span_id"] is not None:
        item["span_id"] = row["span_id"].hex()
    add_attributes(item, row)
    return item
