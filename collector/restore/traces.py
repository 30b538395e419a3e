"""Rows of ``trace_spans`` back to spans: the inverse of ``convert/traces.py``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.restore.dimensions import ScopeGroups
from collector.restore.values import (
    Json,
    Raw,
    attribute_list,
    identifier,
    key_values,
    load,
    load_raw,
    open_enum,
    unix_nano,
)
from collector.rows import Dimensions, SpanRow


def restore_traces(
    rows: Iterable[tuple[Any, ...]], dimensions: Dimensions
) -> ExportTraceServiceRequest:
    """Return the request that ``convert`` would turn into these rows again.

    Shape: tuples in ``SpanRow`` order in, one span per row out, grouped by resource and scope.

    Raises:
        KeyError: a row refers to a dimension that ``dimensions`` does not hold.
    """
    request = ExportTraceServiceRequest()
    groups = ScopeGroups[ResourceSpans, ScopeSpans](
        dimensions,
        lambda resource, url: request.resource_spans.add(resource=resource, schema_url=url),
        lambda group, scope, url: group.scope_spans.add(scope=scope, schema_url=url),
    )
    for values in rows:
        row = SpanRow._make(values)
        groups.get(row.resource_id, row.scope_id).spans.append(span_of(row))
    return request


def span_of(row: SpanRow) -> Span:
    """Return one span, every field as it was sent."""
    raw = load_raw(row.raw)
    start, end = times_of(row, raw)
    return Span(
        trace_id=row.trace_id,
        span_id=row.span_id,
        parent_span_id=parent_of(row, raw),
        trace_state=row.trace_state or "",
        flags=row.flags,
        name=row.name,
        kind=open_enum(row.kind),
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=attribute_list(row.attributes, raw),
        dropped_attributes_count=row.dropped_attributes_count or 0,
        events=map(_event, events_of(row, raw)),
        dropped_events_count=row.dropped_events_count or 0,
        links=map(_link, links_of(row, raw)),
        dropped_links_count=row.dropped_links_count or 0,
        status=_status(row),
    )


def times_of(row: SpanRow, raw: Raw) -> tuple[int, int]:
    """Return start and end as they were sent, in nanoseconds since 1970; 0 for one that was not.

    ``raw`` has the end when it is before the start, and each of them when it was clamped.
    """
    start = raw.get("start_time_unix_nano", unix_nano(row.start_time, row.start_ns))
    if "end_time_unix_nano" in raw:
        return start, raw["end_time_unix_nano"]
    return start, 0 if row.duration_ns is None else start + row.duration_ns


def parent_of(row: SpanRow, raw: Raw) -> bytes:
    """Return the parent's id as it was sent, of whatever length; empty for a root."""
    return identifier(raw.get("parent_span_id")) or row.parent_span_id or b""


def events_of(row: SpanRow, raw: Raw) -> list[dict[str, Json]]:
    """Return the events, with OTLP's own field names; what is not there was not given."""
    return _entries("events", row.events, raw)


def links_of(row: SpanRow, raw: Raw) -> list[dict[str, Json]]:
    """Return the links, likewise; their ids are hex, of whatever length was sent."""
    return _entries("links", row.links, raw)


def _entries(field: str, column: str | None, raw: Raw) -> list[dict[str, Json]]:
    if field in raw:
        return raw[field]
    return [] if column is None else load(column)


def _status(row: SpanRow) -> Status | None:
    if not row.status_code and not row.status_message:
        return None
    return Status(code=open_enum(row.status_code), message=row.status_message or "")


def _event(entry: dict[str, Json]) -> Span.Event:
    return Span.Event(
        time_unix_nano=entry.get("time_unix_nano", 0),
        name=entry.get("name", ""),
        attributes=key_values(entry.get("attributes", [])),
        dropped_attributes_count=entry.get("dropped_attributes_count", 0),
    )


def _link(entry: dict[str, Json]) -> Span.Link:
    return Span.Link(
        trace_id=identifier(entry.get("trace_id")),
        span_id=identifier(entry.get("span_id")),
        trace_state=entry.get("trace_state", ""),
        attributes=key_values(entry.get("attributes", [])),
        dropped_attributes_count=entry.get("dropped_attributes_count", 0),
        flags=entry.get("flags", 0),
    )
