"""Spans become rows of ``trace_spans``."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from collector.rows import Reason, Signal, SpanRow
from tests.factories import key_values
from tests.unit.convert.converting import (
    DAY_S,
    NOW,
    RETENTION_S,
    SPAN_ID,
    TRACE_ID,
    convert,
    pg_us,
    span_of,
    span_row,
    traces_of,
)


def test_span_with_every_field() -> None:
    """Every field has its column."""
    span = span_of(
        {"http.method": "GET"},
        parent_span_id=b"parent!!",
        trace_state="a=1,b=2",
        flags=0x301,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=NOW + 123,
        end_time_unix_nano=NOW + 1_000_456,
        dropped_attributes_count=1,
        dropped_events_count=2**32 - 1,
        dropped_links_count=3,
        status=Status(code=Status.STATUS_CODE_ERROR, message="no"),
    )
    resource = Resource(attributes=key_values({"service.name": "shop"}))
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=resource,
                scope_spans=[ScopeSpans(scope=InstrumentationScope(name="lib"), spans=[span])],
            )
        ]
    )

    converted = convert(Signal.TRACES, request)

    [resource_id] = converted.dimensions.resources
    [scope_id] = converted.dimensions.scopes
    assert converted.rows == [
        SpanRow(
            start_time=pg_us(NOW),
            start_ns=123,
            duration_ns=1_000_333,
            trace_id=TRACE_ID,
            span_id=SPAN_ID,
            parent_span_id=b"parent!!",
            name="work",
            kind=3,
            service_name="shop",
            status_code=2,
            status_message="no",
            trace_state="a=1,b=2",
            flags=0x301,
            attributes='{"http.method":"GET"}',
            events=None,
            links=None,
            dropped_attributes_count=1,
            dropped_events_count=2**32 - 1,
            dropped_links_count=3,
            resource_id=resource_id,
            scope_id=scope_id,
            raw=None,
        )
    ]


def test_bare_span_has_defaults() -> None:
    """What the sender left out is NULL, 0, or an empty object."""
    row = span_row(span_of(name=""))

    assert (row.parent_span_id, row.name, row.kind, row.service_name) == (None, "", 0, None)
    assert (row.status_code, row.status_message, row.trace_state, row.flags) == (0, None, None, 0)
    assert (row.attributes, row.events, row.links) == ("{}", None, None)
    assert row.dropped_attributes_count is None
    assert row.raw is None


def test_row_is_a_plain_tuple() -> None:
    """A NamedTuple would take five times as long."""
    [row] = convert(Signal.TRACES, traces_of(span_of())).rows

    assert type(row) is tuple
    assert len(row) == len(SpanRow._fields)


@pytest.mark.parametrize("number", [99, -1, -(2**31)])
def test_enum_out_of_range_is_kept(number: int) -> None:
    """proto3 enums are open."""
    span = Span.FromString(span_of().SerializeToString() + b"\x30" + _varint(number))
    status = b"\x7a" + bytes([1 + len(_varint(number))]) + b"\x18" + _varint(number)

    row = span_row(Span.FromString(span.SerializeToString() + status))

    assert (row.kind, row.status_code) == (number, number)


def _varint(number: int) -> bytes:
    left, out = number & (2**64 - 1), bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    return bytes([*out, left])


def test_status_in_pieces_is_merged() -> None:
    """A singular message that comes twice is one message."""
    pieces = b"\x7a\x02\x18\x02" + b"\x7a\x04\x12\x02no"

    row = span_row(Span.FromString(span_of().SerializeToString() + pieces))

    assert (row.status_code, row.status_message) == (2, "no")


def test_events_and_links_are_objects_with_what_is_set() -> None:
    """OTLP's names, defaults left out, ids as hex of whatever length."""
    span = span_of(
        events=[
            Span.Event(),
            Span.Event(
                time_unix_nano=2**64 - 1,
                name='e"',
                attributes=key_values({"a": 1.0}),
                dropped_attributes_count=4,
            ),
        ],
        links=[
            Span.Link(trace_id=b"\x01", span_id=b""),
            Span.Link(
                trace_id=TRACE_ID,
                span_id=SPAN_ID,
                trace_state="t=1",
                attributes=key_values({"$b": b"\x00"}),
                dropped_attributes_count=5,
                flags=2**32 - 1,
            ),
        ],
    )

    row = span_row(span)

    assert row.raw is None
    assert json.loads(row.events or "") == [
        {},
        {
            "time_unix_nano": 2**64 - 1,
            "name": 'e"',
            "attributes": {"a": 1.0},
            "dropped_attributes_count": 4,
        },
    ]
    assert json.loads(row.links or "") == [
        {"trace_id": "01"},
        {
            "trace_id": TRACE_ID.hex(),
            "span_id": SPAN_ID.hex(),
            "trace_state": "t=1",
            "attributes": {"$$b": {"$bytes": "AA=="}},
            "dropped_attributes_count": 5,
            "flags": 2**32 - 1,
        },
    ]


# -- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace_id", [b"", b"\x01", bytes(16), b"a" * 15, b"a" * 17, b"a" * 32])
def test_span_with_invalid_trace_id_is_quarantined(trace_id: bytes) -> None:
    """Padding or cutting an id would make spans of different traces meet."""
    converted = convert(Signal.TRACES, traces_of(span_of(trace_id=trace_id), span_of()))

    assert (converted.items, len(converted.rows), converted.quarantined) == (2, 1, 1)
    assert converted.item_indexes == [1]
    [letter] = converted.dead_letters
    assert (letter.outcome, letter.reason) == ("quarantined", Reason.INVALID_TRACE_ID)
    assert ExportTraceServiceRequest.FromString(letter.payload) == traces_of(
        span_of(trace_id=trace_id)
    )


@pytest.mark.parametrize("span_id", [b"", b"\x01", bytes(8), b"a" * 7, b"a" * 9])
def test_span_with_invalid_span_id_is_quarantined(span_id: bytes) -> None:
    """As above."""
    converted = convert(Signal.TRACES, traces_of(span_of(span_id=span_id), span_of()))

    assert (len(converted.rows), converted.quarantined) == (1, 1)
    assert converted.dead_letters[0].reason == Reason.INVALID_SPAN_ID


@pytest.mark.parametrize("parent", [bytes(8), b"short", b"far too long"])
def test_invalid_parent_goes_to_raw(parent: bytes) -> None:
    """The span is good; only who started it is unknown."""
    row = span_row(span_of(parent_span_id=parent))

    assert row.parent_span_id is None
    assert json.loads(row.raw or "") == {"parent_span_id": parent.hex()}


def test_equal_spans_are_two_rows() -> None:
    """A repeated span inside one request is no retry."""
    assert len(convert(Signal.TRACES, traces_of(span_of(), span_of())).rows) == 2


# -- times ---------------------------------------------------------------------------------------


def test_span_without_times_stands_under_the_receive_time() -> None:
    """0 means "not given"; ``*_ns`` NULL says so."""
    row = span_row(span_of(start_time_unix_nano=0, end_time_unix_nano=0))

    assert (row.start_time, row.start_ns, row.duration_ns) == (pg_us(NOW), None, None)
    assert json.loads(row.raw or "") == {"end_time_unix_nano": 0}


@pytest.mark.parametrize("offset_ns", [-RETENTION_S * 10**9, DAY_S * 10**9, -1, 1])
def test_time_inside_the_window_is_kept(offset_ns: int) -> None:
    """Both ends belong to the window."""
    start = NOW + offset_ns

    row = span_row(span_of(start_time_unix_nano=start, end_time_unix_nano=start))

    assert (row.start_time, row.start_ns) == (pg_us(start), start % 1_000)
    assert (row.duration_ns, row.raw) == (0, None)


@pytest.mark.parametrize(
    "start", [1, NOW - RETENTION_S * 10**9 - 1, NOW + DAY_S * 10**9 + 1, 2**63, 2**64 - 2]
)
def test_time_outside_the_window_goes_to_raw(start: int) -> None:
    """The row stands under the receive time; length and the sent integer are exact."""
    row = span_row(span_of(start_time_unix_nano=start, end_time_unix_nano=start + 1))

    assert (row.start_time, row.start_ns, row.duration_ns) == (pg_us(NOW), 0, 1)
    assert json.loads(row.raw or "") == {"start_time_unix_nano": start}


@pytest.mark.parametrize(
    ("start", "end"), [(NOW, NOW - 1), (NOW, 0), (0, NOW), (1, 2**63 + 1), (1, 2**64 - 1)]
)
def test_duration_that_says_nothing_is_null(start: int, end: int) -> None:
    """End before start, a time that is missing, or longer than a bigint: the end is in ``raw``."""
    row = span_row(span_of(start_time_unix_nano=start, end_time_unix_nano=end))

    assert row.duration_ns is None
    assert json.loads(row.raw or "")["end_time_unix_nano"] == end


def test_longest_duration_is_a_bigint() -> None:
    """2^63 - 1 nanoseconds fit."""
    row = span_row(span_of(start_time_unix_nano=1, end_time_unix_nano=2**63))

    assert row.duration_ns == 2**63 - 1
