"""A log row with everything in it, and one with nothing."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.restore.logs import log_record_of, restore_logs
from collector.rows import PG_EPOCH_UNIX_US, Dimensions, LogRow, ResourceRow, ScopeRow
from tests.factories import AttributeValue, any_value, key_values

BARE = LogRow(
    time=820_454_400_000_000,
    time_ns=None,
    observed_time=None,
    observed_ns=None,
    service_name=None,
    severity_number=0,
    severity_text=None,
    body_text=None,
    body=None,
    event_name=None,
    trace_id=None,
    span_id=None,
    flags=0,
    attributes="{}",
    dropped_attributes_count=None,
    resource_id=1,
    scope_id=2,
    raw=None,
)
TIME = (820_454_400_000_000 + PG_EPOCH_UNIX_US) * 1_000


def test_bare_row_is_a_bare_record() -> None:
    """The fallback in ``time`` is not taken for the sender's."""
    assert log_record_of(BARE) == LogRecord()


def test_every_column_comes_back() -> None:
    """Each column that can be NULL is given here, and each field of the record is expected."""
    row = BARE._replace(
        time_ns=999,
        observed_time=820_454_400_000_001,
        observed_ns=0,
        service_name="shop",
        severity_number=25,
        severity_text="FATAL5",
        body_text="text",
        event_name="placed",
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        flags=1,
        attributes='{"a": [1]}',
        dropped_attributes_count=2,
    )

    assert log_record_of(row) == LogRecord(
        time_unix_nano=TIME + 999,
        observed_time_unix_nano=TIME + 1_000,
        severity_number=25,  # pyright: ignore[reportArgumentType] -- enums are open
        severity_text="FATAL5",
        body=any_value("text"),
        attributes=key_values({"a": [1]}),
        dropped_attributes_count=2,
        flags=1,
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        event_name="placed",
    )


def test_raw_wins_over_columns() -> None:
    """Clamped times, invalid ids and repeated keys are as they came."""
    row = BARE._replace(
        time_ns=0,
        body='{"a": 2}',
        attributes='{"a": 2}',
        raw='{"time_unix_nano": 18446744073709551615, "observed_time_unix_nano": 1,'
        ' "trace_id": "00", "span_id": "0000000000000000", "attributes": [["a", 1], ["a", 2]],'
        ' "body": {"$kvlist": [["a", 1], ["a", 2]]}}',
    )

    record = log_record_of(row)

    assert record.time_unix_nano == 2**64 - 1
    assert record.observed_time_unix_nano == 1
    assert (record.trace_id, record.span_id) == (b"\0", bytes(8))
    assert [pair.value.int_value for pair in record.attributes] == [1, 2]
    assert [pair.value.int_value for pair in record.body.kvlist_value.values] == [1, 2]


@pytest.mark.parametrize(
    ("body_text", "body", "value"),
    [("", None, ""), (None, "1", 1), (None, "[]", []), (None, '{"$bytes": "AA=="}', b"\0")],
)
def test_a_body_has_its_own_kind(
    body_text: str | None, body: str | None, value: AttributeValue
) -> None:
    """A string body stands in ``body_text``, even an empty one; all others in ``body``."""
    assert log_record_of(BARE._replace(body_text=body_text, body=body)).body == any_value(value)


def test_an_empty_body_is_not_an_empty_string() -> None:
    """A body with nothing set says the same as no body."""
    assert log_record_of(BARE._replace(body="null")).body == AnyValue()


def test_records_come_back_in_groups() -> None:
    """Each resource comes once, under it each of its scopes once."""
    dimensions = Dimensions(
        {1: ResourceRow(1, None, None, None, "{}", "https://r", None, None, None, b"d" * 16)},
        {
            2: ScopeRow(2, "a", None, "{}", None, None, None, b"d" * 16),
            3: ScopeRow(3, "b", None, "{}", "https://s", None, None, b"d" * 16),
        },
        {},
        {},
    )
    rows = [BARE._replace(flags=flags, scope_id=2 + flags % 2) for flags in range(4)]

    request = restore_logs(rows, dimensions)

    [group] = request.resource_logs
    assert group.schema_url == "https://r"
    found = [
        (scope.scope.name, scope.schema_url, [record.flags for record in scope.log_records])
        for scope in group.scope_logs
    ]
    assert found == [("a", "", [0, 2]), ("b", "https://s", [1, 3])]
