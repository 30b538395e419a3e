"""api.jaeger.storage_messages: what Jaeger asks a storage, and the messages that it gets."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from collector.api.jaeger import storage_messages
from collector.api.jaeger.searches import TRACES, TRACES_MAX
from collector.api.jaeger.storage_messages import (
    between_of,
    moment_of,
    otlp_messages,
    search_of,
    text_of_value,
    trace_ids_of,
)
from collector.errors import BadParameterError
from collector.items import NUMBER_BY_KIND
from collector.rows import Dimensions
from collector.wire.jaeger_storage_pb2 import (
    AnyValue,
    ArrayValue,
    GetTraceParams,
    GetTracesRequest,
    KeyValue,
    TraceQueryParameters,
)
from tests.converted import dimensions, resource_row, scope_row, span_row

NOW = 1_800_000_000 * 10**9
DAY_NS = 86_400 * 10**9
GO_ZERO = Timestamp(seconds=-62_135_596_800)
"""How Go writes a time that nobody has set."""


def query(**fields: Any) -> TraceQueryParameters:
    """Return a question of the last hour."""
    hour: dict[str, Any] = {
        "start_time_min": moment_of(NOW - 3_600 * 10**9 + 1),
        "start_time_max": moment_of(NOW),
    }
    return TraceQueryParameters(**{**hour, **fields})


def refused(**fields: Any) -> str:
    """Return the field that a question is refused for."""
    with pytest.raises(BadParameterError) as caught:
        search_of(query(**fields), NOW)
    return caught.value.name


def test_zeros_ask_for_nothing() -> None:
    """Jaeger fills in every field."""
    found = search_of(query(duration_min=Duration(), duration_max=Duration()), NOW)

    assert (found.service, found.operation, found.attributes) == ("", "", {})
    assert (found.duration_ns_min, found.duration_ns_max) == (None, None)
    assert (found.start_unix_nano, found.end_unix_nano) == (NOW - 3_600 * 10**9 + 1, NOW)
    assert found.limit == TRACES


@pytest.mark.parametrize("unset", [Timestamp(), GO_ZERO])
def test_a_range_without_an_end_reaches_to_what_may_be_stored(unset: Timestamp) -> None:
    """Spans may be a day ahead; without a beginning, it is Go's or that of unix."""
    assert between_of(moment_of(5), unset, NOW) == (5, NOW + DAY_NS)
    start, end = between_of(unset, moment_of(NOW), NOW)
    assert start <= 0
    assert end == NOW


def test_words_of_jaeger_become_fields() -> None:
    """Of its tags, kinds and errors; durations to the nanosecond."""
    tags = [
        KeyValue(key="span.kind", value=AnyValue(string_value="server")),
        KeyValue(key="error", value=AnyValue(bool_value=True)),
        KeyValue(key="http.status_code", value=AnyValue(int_value=200)),
    ]

    found = search_of(
        query(
            service_name="shop",
            operation_name="GET",
            attributes=tags,
            duration_min=Duration(nanos=1),
            duration_max=Duration(seconds=2, nanos=5),
            search_depth=7,
        ),
        NOW,
    )

    assert (found.service, found.operation, found.kind) == ("shop", "GET", NUMBER_BY_KIND["server"])
    assert found.is_error is True
    assert found.attributes == {"http.status_code": "200"}
    assert (found.duration_ns_min, found.duration_ns_max) == (1, 2_000_000_005)
    assert found.limit == 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (AnyValue(string_value="a"), "a"),
        (AnyValue(bool_value=False), "false"),
        (AnyValue(int_value=-(2**63)), str(-(2**63))),
        (AnyValue(double_value=123.0), "123"),
        (AnyValue(double_value=72.5), "72.5"),
        (AnyValue(double_value=float("inf")), "inf"),
        (AnyValue(bytes_value=b"\0\xff"), '{"$bytes": "AP8="}'),
    ],
)
def test_values_are_compared_as_texts(value: AnyValue, text: str) -> None:
    """Jaeger does so, and PostgreSQL's ``->>`` gives the same texts of stored values."""
    assert text_of_value("key", value) == text


def test_what_cannot_be_asked_is_named() -> None:
    """And never ignored."""
    array = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)]))

    assert refused(filter=[b""]) == "filter"
    assert refused(search_depth=-1) == refused(search_depth=TRACES_MAX + 1) == "search_depth"
    assert refused(attributes=[KeyValue(key="a", value=array)]) == "attributes.a"
    assert refused(attributes=[KeyValue(key="a")]) == "attributes.a"
    assert refused(duration_min=Duration(seconds=-1)) == "duration_min"
    assert refused(duration_max=Duration(seconds=300_000_000_000)) == "duration_max"
    assert refused(start_time_min=moment_of(NOW + 1)) == "start"


def test_ids_have_sixteen_bytes() -> None:
    """Hints of time beside them are not needed, and there is a bound."""
    asked = GetTracesRequest(query=[GetTraceParams(trace_id=bytes([n]) * 16) for n in (2, 1)])
    assert trace_ids_of(asked) == [b"\2" * 16, b"\1" * 16]

    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(BadParameterError, match="16 bytes"):
            trace_ids_of(GetTracesRequest(query=[GetTraceParams(trace_id=wrong)]))
    many = GetTracesRequest(query=[GetTraceParams(trace_id=bytes(16))] * (TRACES_MAX + 1))
    with pytest.raises(BadParameterError, match=str(TRACES_MAX)):
        trace_ids_of(many)


def test_spans_are_divided_among_messages_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, none empty; a span that is larger than a message goes alone."""
    shop, library = resource_row("shop"), scope_row()
    known: Dimensions = dimensions([shop], [library], [], [])
    rows = [span_row(n, time=0, trace="t", resource=shop, scope=library) for n in range(10)]
    [whole] = otlp_messages(rows, known)

    for limit in (1, len(whole) // 3):
        monkeypatch.setattr(storage_messages, "MESSAGE_BYTES", limit)
        messages = list(otlp_messages(rows, known))
        decoded = [TracesData.FromString(message) for message in messages]
        spans = [s for data in decoded for g in data.resource_spans for p in g.scope_spans for s in p.spans]  # fmt: skip

        assert [s.span_id for s in spans] == [row[4] for row in rows]
        assert len(messages) > 1
        assert all(messages)
        assert len(messages) == 10 or all(len(message) <= limit for message in messages)
