"""Log records to rows of ``logs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import getsizeof

from collector.convert.attributes import attribute_members
from collector.convert.bounds import NO_SPAN_ID, NO_TRACE_ID
from collector.convert.memo import Memo, Pairs
from collector.convert.notes import Notes
from collector.convert.output import Group, Output, Row, columns_of
from collector.convert.tags import read_varint
from collector.convert.times import Window, optional_time
from collector.convert.values import ValueWriter, decode, decode_nested, hex_json, object_json
from collector.errors import MalformedError
from collector.rows import PG_EPOCH_UNIX_US, LogRow
from collector.wire.common_pb2 import AnyValue, Resource
from collector.wire.logs_pb2 import LogRecord, ScopeLogs

BODY_LEVEL, ATTRIBUTE_LEVEL = 4, 4
"""Request > ResourceLogs (1) > ScopeLogs (2) > LogRecord (3) > AnyValue or KeyValue (4)."""

STRING_VALUE_TAG, KVLIST_VALUE_TAG = 0x0A, 0x32

COLUMNS = columns_of(
    LogRow,
    text="severity_text body_text event_name attributes",
    own="time time_ns observed_time observed_ns trace_id span_id flags",
)


def kind_of(_member: str) -> str:
    """Return what ``survey`` calls the items of a leaf."""
    return "log_record"


def decode_items(_member: str, piece: bytes) -> Iterable[LogRecord]:
    """Return the log records in a piece of a ScopeLogs.

    Raises:
        DecodeError: at least one does not decode.
    """
    return ScopeLogs.FromString(piece).log_records


def row_maker(
    _member: str, group: Group, output: Output, memo: Memo, window: Window
) -> Callable[[LogRecord], Row]:
    """Return the function that makes the row of one log record of ``group``.

    It raises QuarantineError for a record that cannot have one. It is long because whatever every
    record has is done in place: calls would double its time.
    """
    notes, pairs = output.notes, memo.pairs
    raw = notes.raw
    low, high, received_at = window
    resource_id, scope_id = group.resource.resource_id, group.scope.scope_id
    service_name = group.resource.service_name

    def row_of(record: LogRecord) -> Row:
        sent, observed = record.time_unix_nano, record.observed_time_unix_nano
        event_ns = sent or observed
        if event_ns > output.latest_ns:
            output.latest_ns = event_ns
            output.has_identity = True
        time_ns = sent % 1_000 if sent else None
        if low <= event_ns <= high:
            time = event_ns // 1_000 - PG_EPOCH_UNIX_US
        else:
            time = received_at
            if sent:
                raw["time_unix_nano"] = str(sent)
                time_ns = 0
        observed_time, observed_ns = optional_time(observed)
        body = record.body
        body_text, body_json = _body(body[:], output, pairs) if body else (None, None)
        trace_id, span_id = record.trace_id or None, record.span_id or None
        if trace_id or span_id:
            output.has_entropy = True
            if trace_id and (len(trace_id) != 16 or trace_id == NO_TRACE_ID):
                raw["trace_id"] = hex_json(trace_id)
                trace_id = None
            if span_id and (len(span_id) != 8 or span_id == NO_SPAN_ID):
                raw["span_id"] = hex_json(span_id)
                span_id = None
        members = attribute_members(record.attributes[:], pairs, ATTRIBUTE_LEVEL, notes)
        severity_text, event_name = record.severity_text, record.event_name
        return (
            time,
            time_ns,
            observed_time,
            observed_ns,
            service_name,
            record.severity_number,
            notes.text(severity_text) if severity_text else None,
            body_text,
            body_json,
            notes.text(event_name) if event_name else None,
            trace_id,
            span_id,
            record.flags,
            "{" + ",".join(members.values()) + "}",
            record.dropped_attributes_count or None,
            resource_id,
            scope_id,
            output.take_raw() if raw else None,
        )

    return row_of


def _body(parts: Sequence[bytes], output: Output, pairs: Pairs) -> tuple[str | None, str | None]:
    """Return the body's text, or else its JSON; no value at all is no body.

    Of several parts each must be a value of its own; see ``decode_parts``.

    A body that needs no repair also shows that the item is a log record.
    """
    if len(parts) > 1:
        for part in parts:
            decode_nested(AnyValue, part, "value", BODY_LEVEL, output.notes)
    text, json = _text_or_json(b"".join(parts), pairs, output.notes)
    if output.notes.repair is None and (text is not None or json is not None):
        output.has_identity = True
    if json is not None:
        output.size_bytes += getsizeof(json)
    return text, json


def _text_or_json(raw: bytes, pairs: Pairs, notes: Notes) -> tuple[str | None, str | None]:
    text = _only_field(raw, STRING_VALUE_TAG)
    if text is not None:
        return notes.text(text), None
    kvlist = _only_field(raw, KVLIST_VALUE_TAG)
    if kvlist is not None:
        return None, _kvlist_json(kvlist, pairs, notes)
    value = decode_nested(AnyValue, raw, "value", BODY_LEVEL, notes)
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return notes.text(value.string_value), None
    if kind is None or kind == "string_value_strindex":
        return None, None
    writer = ValueWriter(notes)
    json = writer.value(value, BODY_LEVEL)
    if writer.has_duplicates:
        notes.raw["body"] = writer.list_form(value)
    return None, json


def _only_field(raw: bytes, tag: int) -> bytes | None:
    """Return the content of a message that is one length-delimited field and nothing else."""
    if len(raw) < 2 or raw[0] != tag:
        return None
    try:
        length, start = read_varint(raw, 1)
    except (MalformedError, IndexError):
        return None
    return raw[start:] if start + length == len(raw) else None


def _kvlist_json(raw: bytes, pairs: Pairs, notes: Notes) -> str:
    """Return a structured body as JSON; its entries are looked up like attributes.

    A KeyValueList has the wire format of a Resource's first field, whose twin leaves KeyValues
    undecoded: a third of the time of decoding the body as a value.
    """
    entries = decode(Resource, raw).attributes[:]
    own = Notes()
    members = attribute_members(entries, pairs, BODY_LEVEL + 2, own, "body")
    if own.raw:
        notes.raw["body"] = f'{{"$kvlist":{own.raw["body"]}}}'
    notes.absorb(own)
    return object_json(members.values())
