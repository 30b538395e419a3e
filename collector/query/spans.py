"""Stored spans as a reader gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from collector.items import STATUS_ERROR, JsonValue
from collector.query.dimensions import Resource, Scope
from collector.query.time_range import unix_ns
from collector.rows import SpanRow


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened in a span. ``time_unix_nano`` is 0 when it was not given."""

    time_unix_nano: int
    name: str
    attributes: Mapping[str, JsonValue]
    dropped_attributes_count: int


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that this one names; ids as they were sent, of whatever length."""

    trace_id: bytes
    span_id: bytes
    trace_state: str
    attributes: Mapping[str, JsonValue]
    dropped_attributes_count: int
    flags: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stored span, whole.

    Attributes:
        start_unix_nano: the time it stands under: the receive time where the sender's was absurd.
        duration_ns: None: the end is absent, or before the start.
        parent_span_id: None: a root span.
        service: at most 255 characters of ``service.name``; None: its resource has none.
        kind: OTLP's number.
        status_code: OTLP's number.
        attributes: in their stored forms (``collector/items.py``).
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    name: str
    service: str | None
    kind: int
    start_unix_nano: int
    duration_ns: int | None
    status_code: int
    status_message: str
    trace_state: str
    flags: int
    attributes: Mapping[str, JsonValue]
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    dropped_attributes_count: int
    dropped_events_count: int
    dropped_links_count: int
    resource: Resource
    scope: Scope

    @property
    def end_unix_nano(self) -> int:
        """Its end; its start where the duration is not known."""
        return self.start_unix_nano + (self.duration_ns or 0)

    @property
    def is_error(self) -> bool:
        """Whether its status says so."""
        return self.status_code == STATUS_ERROR


def span_of(row: SpanRow, resource: Resource, scope: Scope) -> Span:
    """Return the span of a row."""
    return Span(
        trace_id=row.trace_id,
        span_id=row.span_id,
        parent_span_id=row.parent_span_id,
        name=row.name,
        service=row.service_name,
        kind=row.kind,
        start_unix_nano=unix_ns(row.start_time, row.start_ns),
        duration_ns=row.duration_ns,
        status_code=row.status_code,
        status_message=row.status_message or "",
        trace_state=row.trace_state or "",
        flags=row.flags,
        attributes=orjson.loads(row.attributes),
        events=tuple(map(event_of, orjson.loads(row.events or "[]"))),
        links=tuple(map(_link, orjson.loads(row.links or "[]"))),
        dropped_attributes_count=row.dropped_attributes_count or 0,
        dropped_events_count=row.dropped_events_count or 0,
        dropped_links_count=row.dropped_links_count or 0,
        resource=resource,
        scope=scope,
    )


def event_of(entry: Mapping[str, Any]) -> SpanEvent:
    """Return an event as it stands in the column ``events``."""
    return SpanEvent(
        entry.get("time_unix_nano", 0),
        entry.get("name", ""),
        entry.get("attributes", {}),
        entry.get("dropped_attributes_count", 0),
    )


def _link(entry: dict[str, Any]) -> SpanLink:
    return SpanLink(
        bytes.fromhex(entry.get("trace_id", "")),
        bytes.fromhex(entry.get("span_id", "")),
        entry.get("trace_state", ""),
        entry.get("attributes", {}),
        entry.get("dropped_attributes_count", 0),
        entry.get("flags", 0),
    )
