"""Spans to rows of ``trace_spans``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof

from collector.convert.attributes import AttributesJson, attribute_members, entries_json
from collector.convert.bounds import BIGINT_MAX, NO_SPAN_ID, NO_TRACE_ID
from collector.convert.memo import Memo
from collector.convert.notes import Notes
from collector.convert.output import Group, Output, Row, columns_of
from collector.convert.times import Window
from collector.convert.values import decode, decode_parts, hex_json, json_string, object_json
from collector.errors import QuarantineError
from collector.rows import PG_EPOCH_UNIX_US, Reason, SpanRow
from collector.wire.traces_pb2 import ScopeSpans, Span, Status

ATTRIBUTE_LEVEL, ENTRY_ATTRIBUTE_LEVEL = 4, 5
"""Request > ResourceSpans (1) > ScopeSpans (2) > Span (3) > KeyValue (4); below an event, 5."""

COLUMNS = columns_of(
    SpanRow,
    text="name attributes",
    own="start_time start_ns duration_ns trace_id span_id parent_span_id flags",
)

NO_STATUS: tuple[int, str | None] = (0, None)
"""Code and message of a span without a status: nearly every span."""


def kind_of(_member: str) -> str:
    """Return what ``survey`` calls the items of a leaf."""
    return "span"


def decode_items(_member: str, piece: bytes) -> Iterable[Span]:
    """Return the spans in a piece of a ScopeSpans.

    Raises:
        DecodeError: at least one does not decode.
    """
    return ScopeSpans.FromString(piece).spans


def row_maker(
    _member: str, group: Group, output: Output, memo: Memo, window: Window
) -> Callable[[Span], Row]:
    """Return the function that makes the row of one span of ``group``.

    It raises QuarantineError for a span that cannot have one. It is long because whatever every
    span has is done in place: calls would double its time.
    """
    notes, pairs = output.notes, memo.pairs
    raw = notes.raw
    low, high, received_at = window
    resource_id, scope_id = group.resource.resource_id, group.scope.scope_id
    service_name = group.resource.service_name

    def row_of(span: Span) -> Row:
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if start > output.latest_ns:
            output.latest_ns = start
        trace_id, span_id = span.trace_id, span.span_id
        if len(trace_id) != 16 or trace_id == NO_TRACE_ID:
            raise QuarantineError(Reason.INVALID_TRACE_ID)
        if len(span_id) != 8 or span_id == NO_SPAN_ID:
            raise QuarantineError(Reason.INVALID_SPAN_ID)
        output.has_identity = output.has_entropy = True
        parent_span_id = span.parent_span_id or None
        if parent_span_id and (len(parent_span_id) != 8 or parent_span_id == NO_SPAN_ID):
            raw["parent_span_id"] = hex_json(parent_span_id)
            parent_span_id = None
        duration = end - start
        if not start or not end or not 0 <= duration <= BIGINT_MAX:
            raw["end_time_unix_nano"] = str(end)
            duration = None
        if low <= start <= high:
            time, time_ns = start // 1_000 - PG_EPOCH_UNIX_US, start % 1_000
        else:
            time, time_ns = received_at, None
            if start:
                raw["start_time_unix_nano"] = str(start)
                time_ns = 0
        # A container is sliced, since iterating over it takes twice as long.
        members = attribute_members(span.attributes[:], pairs, ATTRIBUTE_LEVEL, notes)
        trace_state, events, links, status = span.trace_state, span.events, span.links, span.status
        code, message = _status(status[:], output) if status else NO_STATUS
        return (
            time,
            time_ns,
            duration,
            trace_id,
            span_id,
            parent_span_id,
            notes.text(span.name),
            span.kind,
            service_name,
            code,
            message,
            notes.text(trace_state) if trace_state else None,
            span.flags,
            "{" + ",".join(members.values()) + "}",
            _entries("events", events, _event_json, output, memo) if events else None,
            _entries("links", links, _link_json, output, memo) if links else None,
            span.dropped_attributes_count or None,
            span.dropped_events_count or None,
            span.dropped_links_count or None,
            resource_id,
            scope_id,
            output.take_raw() if raw else None,
        )

    return row_of


def _status(parts: Sequence[bytes], output: Output) -> tuple[int, str | None]:
    if parts == [b""]:  # SDKs send an empty message for "unset"
        return NO_STATUS
    status = decode_parts(Status, parts)
    message = output.notes.text(status.message)
    output.size_bytes += getsizeof(message)
    return status.code, message or None


def _entries(
    field: str,
    entries: Sequence[bytes],
    entry_json: Callable[[bytes, AttributesJson, Notes], str],
    output: Output,
    memo: Memo,
) -> str | None:
    text = entries_json(
        entries,
        entry_json,
        pairs=memo.pairs,
        level=ENTRY_ATTRIBUTE_LEVEL,
        notes=output.notes,
        field=field,
    )
    output.size_bytes += getsizeof(text)
    return text


def _event_json(raw: bytes, attributes_json: AttributesJson, notes: Notes) -> str:
    event = decode(Span.Event, raw)
    members: list[str] = []
    if event.time_unix_nano:
        members.append(f'"time_unix_nano":{event.time_unix_nano}')
    if event.name:
        members.append('"name":' + json_string(notes.text(event.name)))
    if event.attributes:
        members.append('"attributes":' + attributes_json(event.attributes[:]))
    if event.dropped_attributes_count:
        members.append(f'"dropped_attributes_count":{event.dropped_attributes_count}')
    return object_json(members)


def _link_json(raw: bytes, attributes_json: AttributesJson, notes: Notes) -> str:
    link = decode(Span.Link, raw)
    members: list[str] = []
    if link.trace_id:
        members.append('"trace_id":' + hex_json(link.trace_id))
    if link.span_id:
        members.append('"span_id":' + hex_json(link.span_id))
    if link.trace_state:
        members.append('"trace_state":' + json_string(notes.text(link.trace_state)))
    if link.attributes:
        members.append('"attributes":' + attributes_json(link.attributes[:]))
    if link.dropped_attributes_count:
        members.append(f'"dropped_attributes_count":{link.dropped_attributes_count}')
    if link.flags:
        members.append(f'"flags":{link.flags}')
    return object_json(members)
