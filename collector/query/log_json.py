"""Log records as JSON: the item that tails show, and every field for programs.

In both, a field that is not given is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.items import LogItem
from collector.query.display import rfc3339
from collector.query.page import Cursor

if TYPE_CHECKING:
    from collector.query.log_records import LogRecord


def log_item(record: LogRecord) -> LogItem:
    """Return a record as a tail shows it; nothing of it is cut."""
    item: LogItem = {"signal": "logs", "time": rfc3339(record.key.time, max(0, record.key.place))}
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


def log_json(record: LogRecord) -> dict[str, Any]:
    """Return all of a record; integers of 64 bits are texts, and ``key`` asks for its context."""
    observed = record.observed_time_unix_nano
    fields: dict[str, Any] = {
        "key": str(Cursor(tuple(record.key))),
        "time_unix_nano": str(record.time_unix_nano),
        "observed_time_unix_nano": None if observed is None else str(observed),
        "service": record.service,
        "severity": record.severity,
        "severity_number": record.severity_number or None,
        "severity_text": record.severity_text,
        "body": record.body,
        "event_name": record.event_name,
        "trace_id": record.trace_id and record.trace_id.hex(),
        "span_id": record.span_id and record.span_id.hex(),
        "flags": record.flags or None,
        "attributes": dict(record.attributes),
        "dropped_attributes_count": record.dropped_attributes_count or None,
        "resource": dict(record.resource),
        "scope": _scope(record),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _scope(record: LogRecord) -> dict[str, str] | None:
    named = {"name": record.scope_name, "version": record.scope_version}
    return {name: text for name, text in named.items() if text is not None} or None
