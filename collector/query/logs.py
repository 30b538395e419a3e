"""Stored log records as display items."""

from __future__ import annotations

from typing import Any

import orjson

from collector.items import SEVERITY_BY_NUMBER, LogItem
from collector.query.display import add_attributes, rfc3339

TIME, TIME_NS = "time", "time_ns"
COLUMNS = (
    "f.time", "f.time_ns", "f.service_name", "f.severity_number", "f.severity_text",
    "f.body_text", "f.body", "f.event_name", "f.trace_id", "f.span_id", "f.attributes",
    "f.resource_id",
)  # fmt: skip


def item_of(row: Any) -> LogItem:
    """Return the item of a row of ``COLUMNS`` and ``resource``, the JSON of its resource."""
    item: LogItem = {"signal": "logs", "time": rfc3339(row["time"], row["time_ns"])}
    if row["service_name"] is not None:
        item["service"] = row["service_name"]
    number = row["severity_number"]
    if number:
        item["severity_number"] = number
        if number in SEVERITY_BY_NUMBER:
            item["severity"] = SEVERITY_BY_NUMBER[number]
    if row["severity_text"] is not None:
        item["severity_text"] = row["severity_text"]
    if row["body_text"] is not None:
        item["body"] = row["body_text"]
    elif row["body"] is not None:
        item["body"] = orjson.loads(row["body"])
    if row["event_name"] is not None:
        item["event"] = row["event_name"]
    if row["trace_id"] is not None:
        item["trace_id"] = row["trace_id"].hex()
    if row["span_id"] is not None:
        item["span_id"] = row["span_id"].hex()
    add_attributes(item, row)
    return item
