"""Stored log records as the items that tails show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.items import LogItem
from collector.query.display import rfc3339

if TYPE_CHECKING:
    from collector.query.log_records import LogRecord


def log_item(record: LogRecord) -> LogItem:
    """Return a record as a tail shows it; nothing of it is cut."""
    item: LogItem = {
        "signal": "logs",
        "time": rfc3339(record.place.time, max(0, record.place.place)),
    }
    if record.service is not None:
        item["service"] = record.service
    if record.severity_number:
        item["severity_number"] = record.severity_number
    if record.severity is not None:
        item["severity"] = record.severity
    if record.severity_text is not None:
        item["severity_text"] = record.severity_text
    if record.body is not None:
        item["body"] = record.body
    if record.event_name is not None:
        item["event"] = record.event_name
    if record.trace_id is not None:
        item["trace_id"] = record.trace_id.hex()
    if record.span_id is not None:
        item["span_id"] = record.span_id.hex()
    if record.attributes:
        item["attributes"] = dict(record.attributes)
    if record.resource:
        item["resource"] = dict(record.resource)
    return item
