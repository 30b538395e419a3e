"""Log records become rows of ``logs``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.rows import LogRow, Signal
from tests.factories import AttributeValue, any_value, key_values
from tests.unit.convert.converting import (
    DAY_S,
    NOW,
    SPAN_ID,
    TRACE_ID,
    convert,
    log_row,
    logs_of,
    pg_us,
)


def test_record_with_every_field() -> None:
    """Every field has its column."""
    record = LogRecord(
        time_unix_nano=NOW + 7,
        observed_time_unix_nano=NOW + 1_008,
        severity_number=-5,  # pyright: ignore[reportArgumentType] -- enums are open
        severity_text="oops",
        body=any_value("hello"),
        attributes=key_values({"a": 1}),
        dropped_attributes_count=2,
        flags=0x101,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        event_name="click",
    )

    row = log_row(record)

    assert row == LogRow(
        time=pg_us(NOW),
        time_ns=7,
        observed_time=pg_us(NOW) + 1,
        observed_ns=8,
        service_name=None,
        severity_number=-5,
        severity_text="oops",
        body_text="hello",
        body=None,
        event_name="click",
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        flags=0x101,
        attributes='{"a":1}',
        dropped_attributes_count=2,
        resource_id=row.resource_id,
        scope_id=row.scope_id,
        raw=None,
    )


def test_bare_record_has_defaults() -> None:
    """What the sender left out is NULL, 0, or an empty object."""
    row = log_row(LogRecord(time_unix_nano=NOW))

    assert (row.observed_time, row.observed_ns) == (None, None)
    assert (row.severity_number, row.severity_text, row.event_name) == (0, None, None)
    assert (row.body_text, row.body, row.attributes) == (None, None, "{}")
    assert (row.trace_id, row.span_id, row.flags, row.raw) == (None, None, 0, None)


# -- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a", "é😀\n", "x" * 127, "x" * 128, "x" * 100_000])
def test_string_body_is_text(text: str) -> None:
    """Also the empty one: a body that is an empty string is a body."""
    row = log_row(LogRecord(time_unix_nano=NOW, body=any_value(text)))

    assert (row.body_text, row.body) == (text, None)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (1, 1),
        (True, True),
        (1.5, 1.5),
        (b"\x00", {"$bytes": "AA=="}),
        ([1, [2]], [1, [2]]),
        ({}, {}),
        ({"$a": {"b": None}}, {"$$a": {"b": None}}),
    ],
)
def test_other_body_is_json(body: AttributeValue, stored: Any) -> None:
    """In the forms of attribute values."""
    row = log_row(LogRecord(time_unix_nano=NOW, body=any_value(body)))

    assert row.body_text is None
    assert json.loads(row.body or "") == stored


@pytest.mark.parametrize("body", [AnyValue(), AnyValue(string_value_strindex=1)])
def test_body_without_value_is_no_body(body: AnyValue) -> None:
    """Nothing set says nothing."""
    row = log_row(LogRecord(time_unix_nano=NOW, body=body))

    assert (row.body_text, row.body) == (None, None)


def test_body_with_equal_keys_goes_to_raw_too() -> None:
    """A body is one value in list form."""
    pairs = [KeyValue(key="k", value=any_value(n)) for n in (1, 2)]
    body = AnyValue(kvlist_value=KeyValueList(values=pairs))

    row = log_row(LogRecord(time_unix_nano=NOW, body=body))

    assert json.loads(row.body or "") == {"k": 2}
    assert json.loads(row.raw or "") == {"body": {"$kvlist": [["k", 1], ["k", 2]]}}


def test_body_in_pieces_is_merged() -> None:
    """Of two strings in one oneof the last wins, as protobuf says."""
    wire = LogRecord(time_unix_nano=NOW, body=any_value("first")).SerializeToString()
    wire += LogRecord(body=any_value("second")).SerializeToString()
    request = b"\x12" + bytes([len(wire)]) + wire
    request = b"\x12" + bytes([len(request)]) + request
    request = b"\x0a" + bytes([len(request)]) + request

    [row] = convert(Signal.LOGS, request).rows

    assert LogRow(*row).body_text == "second"


# -- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace_id", [bytes(16), b"\x01", b"a" * 17])
@pytest.mark.parametrize("span_id", [bytes(8), b"\x01", b"a" * 9])
def test_invalid_ids_go_to_raw(trace_id: bytes, span_id: bytes) -> None:
    """The record is good; it just belongs to no trace."""
    row = log_row(LogRecord(time_unix_nano=NOW, trace_id=trace_id, span_id=span_id))

    assert (row.trace_id, row.span_id) == (None, None)
    assert json.loads(row.raw or "") == {"trace_id": trace_id.hex(), "span_id": span_id.hex()}


# -- times ---------------------------------------------------------------------------------------


def test_time_falls_back_to_the_observed_time() -> None:
    """``time_ns`` NULL tells the fallback from a time that was sent."""
    row = log_row(LogRecord(observed_time_unix_nano=NOW - 1))

    assert (row.time, row.time_ns) == (pg_us(NOW - 1), None)
    assert (row.observed_time, row.observed_ns) == (pg_us(NOW - 1), 999)
    assert row.raw is None


def test_time_falls_back_to_the_receive_time() -> None:
    """Without any time there is only when it came."""
    row = log_row(LogRecord(body=any_value("x")))

    assert (row.time, row.time_ns, row.observed_time) == (pg_us(NOW), None, None)
    assert row.raw is None


@pytest.mark.parametrize("sent", [1, NOW + DAY_S * 10**9 + 1, 2**64 - 1])
def test_time_outside_the_window_goes_to_raw(sent: int) -> None:
    """The row stands under the receive time."""
    row = log_row(LogRecord(time_unix_nano=sent, observed_time_unix_nano=NOW))

    assert (row.time, row.time_ns) == (pg_us(NOW), 0)
    assert json.loads(row.raw or "") == {"time_unix_nano": sent}


@pytest.mark.parametrize("observed", [1, 2**64 - 1])
def test_observed_time_outside_the_window_stays_in_its_column(observed: int) -> None:
    """It chooses no partition unless it stands in for the time, so nothing forces it away."""
    row = log_row(LogRecord(observed_time_unix_nano=observed))

    assert (row.time, row.time_ns) == (pg_us(NOW), None)
    assert (row.observed_time, row.observed_ns) == (pg_us(observed), observed % 1_000)
    assert row.raw is None


def test_rows_are_plain_tuples() -> None:
    """As wide as the table."""
    [row] = convert(Signal.LOGS, logs_of(LogRecord(time_unix_nano=NOW))).rows

    assert type(row) is tuple
    assert len(row) == len(LogRow._fields)
