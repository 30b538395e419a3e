"""OTLP/JSON becomes the same request in protobuf, or is refused by the name of a field."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert.json_scalars import NOT_HEX
from collector.convert.json_values import VALUES_MAX
from collector.convert.otlp_json import ITEMS_PER_TURN, LARGE_LIST, transcode
from collector.errors import MalformedCallError, TooManyItemsError, TooManyValuesError
from collector.restore.otlp_json import to_json
from collector.rows import Signal
from tests.strategies import REQUEST_TYPES, requests

ITEMS_MAX = 1_000_000


def protobuf_of(signal: Signal, body: bytes) -> bytes:
    """Transcode in one go."""
    steps = transcode(signal, body, items_max=ITEMS_MAX)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def span(**fields: Any) -> ExportTraceServiceRequest:
    """Return what one span's JSON becomes."""
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}
    wire = protobuf_of(Signal.TRACES, json.dumps(document).encode())
    return ExportTraceServiceRequest.FromString(wire)


def attribute(value: str) -> Any:
    """Return the AnyValue that the JSON text ``value`` becomes."""
    body = (
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"k","value":'
        + value
        + "}]}]}]}]}"
    )
    wire = protobuf_of(Signal.LOGS, body.encode(errors="surrogatepass"))
    request = ExportLogsServiceRequest.FromString(wire)
    return request.resource_logs[0].scope_logs[0].log_records[0].attributes[0].value


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_every_request_survives_json(signal: Signal, data: st.DataObject) -> None:
    """Every field of the three requests, as the official library writes it."""
    request = data.draw(requests(signal))

    wire = protobuf_of(signal, to_json(request))

    # As text, in which NaN equals NaN.
    assert str(REQUEST_TYPES[signal].FromString(wire)) == str(request)


def test_ids_are_hex_of_any_case_and_never_base64() -> None:
    """The one place where OTLP/JSON is not proto3 JSON."""
    ids = ["5b8efff798038103d269b633813fc60c", "5B8EFFF798038103D269B633813FC60C"]
    for text in ids:
        found = span(traceId=text).resource_spans[0].scope_spans[0].spans[0]
        assert found.trace_id == bytes.fromhex(ids[0])


@pytest.mark.parametrize(
    "text",
    [
        "5b8",
        "not hex at all..",
        "W47/95gDgQPSabYzgT/GDA==",
        "é",
        "xyzxyzx",
        "\ud800",
        "0x0123456789abcd",
    ],
)
def test_what_is_no_hex_becomes_an_id_that_cannot_be_valid(text: str) -> None:
    """It costs its item and not the request, and the text is kept."""
    found = span(traceId=text, spanId=text).resource_spans[0].scope_spans[0].spans[0]

    assert found.trace_id.startswith(NOT_HEX + text.encode(errors="surrogatepass"))
    assert len(found.trace_id) != 16
    assert len(found.span_id) != 8


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ('{"intValue":"42"}', 42),
        ('{"intValue":42}', 42),
        ('{"intValue":"-9223372036854775808"}', -(2**63)),
        ('{"intValue":9223372036854775807}', 2**63 - 1),
        ('{"intValue":"9007199254740993"}', 2**53 + 1),
        ('{"intValue":4.2e1}', 42),
        ('{"intValue":1.5447126603e18}', 1544712660300000000),
        ('{"intValue":"-0"}', 0),
    ],
)
def test_integers_are_numbers_or_decimal_strings(value: str, number: int) -> None:
    """All 64 bits of them, without a detour over doubles."""
    found = attribute(value)
    assert found.WhichOneof("value") == "int_value"
    assert found.int_value == number


@pytest.mark.parametrize(
    "number",
    ['"9223372036854775808"', "9223372036854775808", "1.5", "1e30", '""', '"0x10"', '"1_000"',
     '"' + "9" * 5_000 + '"', '" 1"', '"1.0"', "true", "[]", "{}", '"NaN"', '"\\u0661"'],
)  # fmt: skip
def test_what_is_no_64_bit_integer_is_refused_by_the_name_of_its_field(number: str) -> None:
    """The text says where, and repeats nothing of the value."""
    with pytest.raises(MalformedCallError) as caught:
        attribute(f'{{"intValue":{number}}}')

    text = str(caught.value)
    assert text.startswith(
        "the JSON field resourceLogs[0].scopeLogs[0].logRecords[0].attributes[0].value.intValue must"
    )
    assert len(text) < 200


@pytest.mark.parametrize("number", [-1, 2**32, "-1", "4294967296", 0.5])
def test_unsigned_integers_have_their_own_bounds(number: Any) -> None:
    """A negative count would become a huge one."""
    with pytest.raises(MalformedCallError, match=r"spans\[0\]\.droppedEventsCount"):
        span(droppedEventsCount=number)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ('{"doubleValue":1}', 1.0),
        ('{"doubleValue":"1.5e3"}', 1500.0),
        ('{"doubleValue":"Infinity"}', math.inf),
        ('{"doubleValue":"-Infinity"}', -math.inf),
        ('{"doubleValue":5e-324}', 5e-324),
        ('{"doubleValue":-0.0}', -0.0),
    ],
)
def test_doubles_are_numbers_or_words(value: str, number: float) -> None:
    """As proto3 JSON has them."""
    found = attribute(value).double_value
    assert found == number
    assert math.copysign(1, found) == math.copysign(1, number)


def test_nan_is_a_word() -> None:
    """The only double that equals nothing."""
    assert math.isnan(attribute('{"doubleValue":"NaN"}').double_value)


@pytest.mark.parametrize("value", ['"nan"', '"1,5"', '"0x1p3"', '" 1"', "true", "[1]", '"inf"'])
def test_other_words_are_no_doubles(value: str) -> None:
    """Python's float() would take some of them."""
    with pytest.raises(MalformedCallError, match="doubleValue must be a number"):
        attribute(f'{{"doubleValue":{value}}}')


@pytest.mark.parametrize(
    "number", ["1e400", "-1e400", "9" * 400, "9" * 5_000, '"1e400"', '"' + "9" * 400 + '"']
)
@pytest.mark.parametrize("key", ["k", "\\ud800"])
def test_a_number_that_no_double_holds_is_refused(key: str, number: str) -> None:
    """Whichever parser reads the body: one of them is for lone surrogates only."""
    body = f'{{"kvlistValue":{{"values":[{{"key":"{key}","value":{{"doubleValue":{number}}}}}]}}}}'

    with pytest.raises(MalformedCallError, match=r"not valid JSON|doubleValue must be"):
        attribute(body)


@pytest.mark.parametrize("number", ["18446744073709551616", "9" * 300, "-9223372036854775809"])
def test_long_integers_are_doubles_beside_a_lone_surrogate_too(number: str) -> None:
    """Both parsers read the same numbers."""
    plain = attribute(f'{{"doubleValue":{number}}}')
    beside = attribute(f'{{"doubleValue":{number},"\\ud800":"of an unknown field"}}')

    assert plain.double_value == float(number)
    assert beside == plain


@pytest.mark.parametrize("text", ["+/8=", "-_8", "+/8", "-_8="])
def test_bytes_come_in_either_alphabet(text: str) -> None:
    """With and without padding."""
    assert attribute(f'{{"bytesValue":"{text}"}}').bytes_value == b"\xfb\xff"


@pytest.mark.parametrize("text", ["a", "a===", "é", "YQ=a", "aaaaa"])
def test_other_text_is_no_base64(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(MalformedCallError, match="bytesValue must be base64"):
        attribute(f'{{"bytesValue":"{text}"}}')


def test_unknown_names_are_ignored_and_so_is_null() -> None:
    """snake_case is unknown in OTLP/JSON, whatever protobuf's own library takes."""
    found = span(
        trace_id="5b8efff798038103d269b633813fc60c",
        name=None,
        kind=None,
        events=None,
        future={"a": [1, {"b": None}]},
        startTimeUnixNano="7",
    )

    (only,) = found.resource_spans[0].scope_spans[0].spans
    assert (only.trace_id, only.name, only.start_time_unix_nano) == (b"", "", 7)


def test_names_of_enum_values_are_refused() -> None:
    """OTLP/JSON has integers only."""
    with pytest.raises(MalformedCallError, match=r"spans\[0\]\.kind must be an integer"):
        span(kind="SPAN_KIND_SERVER")

    assert span(kind=99).resource_spans[0].scope_spans[0].spans[0].kind == 99


def test_the_last_of_two_equal_names_counts() -> None:
    """As in protobuf, and as in every JSON library that senders use."""
    assert attribute('{"intValue":1,"intValue":2}').int_value == 2
    assert attribute('{"intValue":1,"stringValue":"a"}').string_value == "a"


@pytest.mark.parametrize("value", ['{"stringValue":"\\ud800"}', '{"stringValue":"\\udc00\\ud800"}'])
def test_lone_surrogates_go_on_as_bytes_to_be_repaired(value: str) -> None:
    """Convert repairs them like any other invalid UTF-8, and keeps the original."""
    body = ('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + value + "}]}]}]}").encode()

    wire = protobuf_of(Signal.LOGS, body)

    assert b"\xed" in wire


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"{", b'{"a":}', b"{'a':1}", b'{"a":1,}', b"{}{}", b"// c\n{}", b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0", b'{"a":NaN}', b'{"a":"\\ud800",}', b'{"a":"\\ud800","b":NaN}',
        b'"\\ud800', b"[" * 100_000, b'{"a":"\\ud800","b":' + b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"\xff":1}', b'{"a":"\x01"}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """In fixed words."""
    with pytest.raises(MalformedCallError, match=r"^the body is not valid JSON$"):
        protobuf_of(Signal.TRACES, body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"str"', b"1", b"true"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    """Valid JSON, and no request."""
    with pytest.raises(MalformedCallError, match=r"^the body must be an object$"):
        protobuf_of(Signal.TRACES, body)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"resourceSpans":{}}', "resourceSpans must be an array"),
        ('{"resourceSpans":[null]}', "resourceSpans[0] must be an object"),
        ('{"resourceSpans":[{"resource":[]}]}', "resourceSpans[0].resource must be an object"),
        (
            '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":1}]}]}]}',
            "resourceSpans[0].scopeSpans[0].spans[0].name must be a string",
        ),
        (
            '{"resourceSpans":[{},{"schemaUrl":false}]}',
            "resourceSpans[1].schemaUrl must be a string",
        ),
    ],
)
def test_a_wrong_kind_of_value_is_refused_by_the_name_of_its_field(body: str, where: str) -> None:
    """All the way from the root, around items as well as in them."""
    with pytest.raises(MalformedCallError) as caught:
        protobuf_of(Signal.TRACES, body.encode())

    assert str(caught.value) == f"the JSON field {where}"


def test_values_may_nest_as_deep_as_protobuf_lets_them_and_no_deeper() -> None:
    """A request that nests deeper would be refused by every decoder."""

    def nested(levels: int) -> str:
        return '{"arrayValue":{"values":[' * levels + '{"intValue":1}' + "]}}" * levels

    assert attribute(nested(45)).WhichOneof("value") == "array_value"
    with pytest.raises(MalformedCallError, match="nested at most"):
        attribute(nested(60))


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        (Signal.TRACES, '{"resourceSpans":[{"scopeSpans":[{"spans":[%s]}]}]}'),
        (Signal.LOGS, '{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}'),
        (
            Signal.METRICS,
            '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[%s]}}]}]}]}',
        ),
    ],
)
def test_long_requests_leave_turns_for_others(signal: Signal, body: str) -> None:
    """A turn after each two hundred items, wherever they stand."""
    items = 10 * ITEMS_PER_TURN

    turns = sum(
        1
        for _ in transcode(signal, (body % ",".join(["{}"] * items)).encode(), items_max=ITEMS_MAX)
    )

    assert turns >= 10


def test_packed_and_empty_lists() -> None:
    """Numbers of a histogram, as strings and as numbers."""
    body = (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":['
        b'{"bucketCounts":["1",2],"explicitBounds":[0.5],"min":0}, {"bucketCounts":[]}]}}]}]}]}'
    )

    request = ExportMetricsServiceRequest.FromString(protobuf_of(Signal.METRICS, body))

    first, second = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points
    assert (list(first.bucket_counts), list(first.explicit_bounds)) == ([1, 2], [0.5])
    assert first.HasField("min")
    assert not second.bucket_counts


def test_the_cap_on_items_holds_while_they_are_encoded() -> None:
    """The first item too many ends it; all of them together would be counted afterwards only."""
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}'

    steps = transcode(Signal.LOGS, body % b",".join([b"{}"] * 3_000), items_max=500)

    for _ in range(500 // ITEMS_PER_TURN):
        next(steps)
    with pytest.raises(TooManyItemsError, match="more than 500 items"):
        next(steps)


def test_a_text_of_too_many_values_is_refused_unparsed() -> None:
    """Two bytes on the wire would take two hundred."""
    body = b'{"x":[%s]}' % b",".join([b"{}"] * VALUES_MAX)

    with pytest.raises(TooManyValuesError):
        list(transcode(Signal.LOGS, body, items_max=ITEMS_MAX))


def test_a_large_item_leaves_turns_for_others_and_comes_out_the_same() -> None:
    """Its attributes are encoded in turns of their own, and in their order."""
    attributes = [{"key": str(n), "value": {"intValue": n}} for n in range(LARGE_LIST + 1)]
    record = {"severityText": "x", "attributes": attributes, "body": {"boolValue": True}}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()

    turns = sum(1 for _ in transcode(Signal.LOGS, body, items_max=1))
    [log] = (
        ExportLogsServiceRequest.FromString(protobuf_of(Signal.LOGS, body))
        .resource_logs[0]
        .scope_logs[0]
        .log_records
    )

    assert turns == (LARGE_LIST + 1) // ITEMS_PER_TURN
    assert [pair.value.int_value for pair in log.attributes] == list(range(LARGE_LIST + 1))
    assert (log.severity_text, log.body.bool_value) == ("x", True)
