"""tail.message: what a worker says of a flush is what the API reads, whatever was committed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NotRequired, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from collector.convert.request import Converter
from collector.errors import TailMessageError
from collector.items import (
    ATTRIBUTES_CHARACTERS_MAX,
    KIND_BY_NUMBER,
    METRIC_TYPES,
    SEVERITIES,
    TEXT_CHARACTERS_MAX,
    LogItem,
    PointItem,
    SpanItem,
)
from collector.query.filters import Filter
from collector.rows import ConvertedRequest, Signal
from collector.settings import ConvertSettings
from collector.tail import scissors
from collector.tail.message import Head, Pick, decode, encode
from collector.tail.reader import Shown
from tests.factories import ExportRequest, key_values, logs_request
from tests.strategies import NOW_UNIX_NANO, RETENTION, HostileRequest, hostile_requests, requests
from tests.unit.convert.converting import NOW, convert, logs_of, span_of, traces_of

PLENTY = 2**26
FIELDS = {
    signal: {
        name: get_origin(hint) is not NotRequired
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }
    for signal, kind in (
        (Signal.TRACES, SpanItem),
        (Signal.METRICS, PointItem),
        (Signal.LOGS, LogItem),
    )
}
"""The declared fields of an item, and whether each must be there."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
HEX = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
NUMBERS = {"duration_ns", "severity_number", "count"}
TEXTS = {
    "service", "name", "status", "status_message", "metric", "unit", "severity_text", "event",
}  # fmt: skip
DOUBLES = {"value", "sum", "min", "max"}
NAMES: dict[str, Iterable[str]] = {
    "kind": KIND_BY_NUMBER.values(),
    "severity": SEVERITIES,
    "type": METRIC_TYPES,
}


def picks_of(request: ConvertedRequest) -> list[Pick]:
    """Return all rows of a request."""
    return [(request, row) for row in request.rows]


def head_of(signal: Signal, items: int, first: int = 7) -> Head:
    """Return the head of a message about so many items."""
    return Head(signal, "f00d", first, items, 4_711, "7e.5")


def items_of(request: ConvertedRequest) -> list[Any]:
    """Return what a reader gets of a request."""
    head = head_of(request.signal, len(request.rows))
    return list(decode(encode(head, picks_of(request), PLENTY)).lines)


def check_item(signal: Signal, item: dict[str, Any]) -> None:
    """Fail unless an item is as ``collector.items`` and the contract of the tail have it."""
    fields = FIELDS[signal]
    assert set(item) <= set(fields), item
    assert set(item) >= {name for name, must in fields.items() if must}, item
    assert item["signal"] == signal
    assert TIME.fullmatch(item["time"])
    assert None not in item.values()
    assert item.get("cut", True) is True
    for name in ("attributes", "resource"):
        assert isinstance(item.get(name, {"a": 1}), dict)
        assert item.get(name) != {}
    for name in item.keys() & TEXTS:
        assert isinstance(item[name], str)
        assert len(item[name]) <= TEXT_CHARACTERS_MAX
    for name in item.keys() & HEX.keys():
        assert re.fullmatch(f"[0-9a-f]{{{HEX[name]}}}", item[name])
    for name in item.keys() & NUMBERS:
        assert type(item[name]) is int
    for name in item.keys() & DOUBLES:
        assert type(item[name]) in (int, float) or set(item[name]) == {"$double"}
    for name in item.keys() & NAMES.keys():
        assert item[name] in NAMES[name]


def check_request(signal: Signal, payload: bytes) -> int:
    """Convert a request, encode its rows, and check every line of the message."""
    converter = Converter(ConvertSettings(), retention_s=int(RETENTION.total_seconds()))
    request = converter.convert(signal, payload, digest=b"d" * 16, now_ns=NOW_UNIX_NANO)
    head = head_of(signal, len(request.rows))

    raw = encode(head, picks_of(request), PLENTY)
    message = decode(raw)

    assert message.head == head
    assert len(message.lines) == len(request.rows) == raw.count(b"\n")
    for line in message.lines:
        check_item(signal, dict(line))
    return len(message.lines)


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_every_request_becomes_items_of_the_contract(signal: Signal, data: st.DataObject) -> None:
    """One line for each row, all of it JSON, no field but those that are declared."""
    request: ExportRequest = data.draw(requests(signal))

    check_request(signal, request.SerializeToString())


@pytest.mark.parametrize("signal", Signal)
@given(data=st.data())
def test_hostile_text_becomes_items_too(signal: Signal, data: st.DataObject) -> None:
    """NUL and broken UTF-8 were repaired before; nothing of it breaks a line."""
    hostile: HostileRequest = data.draw(hostile_requests(signal))

    check_request(signal, hostile.wire)


def test_what_is_shown_of_a_span() -> None:
    """Each field has the value that was sent; attributes have their stored forms."""
    span = span_of(
        {"a": "b", "n": 3, "$x": 1.5, "nan": float("nan")},
        parent_span_id=b"\x09" * 8,
        kind=3,
        name='GET "/"\n\u2028',
    )
    request = traces_of(span)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message="boom"))
    request.resource_spans[0].resource.attributes.extend(key_values({"service.name": "shop"}))

    [item] = items_of(convert(Signal.TRACES, request))

    assert item == {
        "signal": "traces",
        "time": "2026-01-01T12:00:00.000000000Z",
        "service": "shop",
        "name": 'GET "/"\n\u2028',
        "kind": "client",
        "status": "error",
        "status_message": "boom",
        "trace_id": bytes(range(16)).hex(),
        "span_id": bytes(range(1, 9)).hex(),
        "parent_span_id": "09" * 8,
        "duration_ns": 1_000_000,
        "attributes": {"a": "b", "n": 3, "$$x": 1.5, "nan": {"$double": "NaN"}},
        "resource": {"service.name": "shop"},
    }


def test_a_log_record_without_anything_has_no_empty_fields() -> None:
    """Absent is absent, and not null."""
    [item] = items_of(convert(Signal.LOGS, logs_of(LogRecord(time_unix_nano=NOW))))

    assert item == {"signal": "logs", "time": "2026-01-01T12:00:00.000000000Z"}


def test_each_item_has_its_own_resource_though_each_is_sent_once() -> None:
    """Two services in one request."""
    request = logs_of(LogRecord(time_unix_nano=NOW), LogRecord(time_unix_nano=NOW))
    other = ResourceLogs()
    other.scope_logs.add().log_records.add(time_unix_nano=NOW)
    other.resource.attributes.extend(key_values({"service.name": "other"}))
    request.resource_logs[0].resource.attributes.extend(key_values({"service.name": "one"}))
    request.resource_logs.append(other)
    converted = convert(Signal.LOGS, request)

    raw = encode(head_of(Signal.LOGS, 3), picks_of(converted), PLENTY)

    assert [line["service"] for line in map(dict, decode(raw).lines)] == ["one", "one", "other"]
    assert [dict(line)["resource"] for line in decode(raw).lines] == [
        {"service.name": name} for name in ("one", "one", "other")
    ]
    assert raw.count(b'"service.name":"one"') == 1


def record_with(
    body: str = "", attributes: dict[str, Any] | None = None, resource: str = ""
) -> ConvertedRequest:
    """Return a converted request of one record."""
    request = logs_of(LogRecord(time_unix_nano=NOW, attributes=key_values(attributes or {})))
    if body:
        request.resource_logs[0].scope_logs[0].log_records[0].body.string_value = body
    if resource:
        request.resource_logs[0].resource.attributes.extend(key_values({"r": resource}))
    return convert(Signal.LOGS, request)


def test_a_long_text_is_cut_and_that_is_said() -> None:
    """The longest text is whole."""
    [whole] = items_of(record_with("é" * TEXT_CHARACTERS_MAX))
    [cut] = items_of(record_with("é" * (TEXT_CHARACTERS_MAX + 1)))

    assert whole["body"] == cut["body"] == "é" * TEXT_CHARACTERS_MAX
    assert "cut" not in whole
    assert cut["cut"] is True


def test_a_long_body_that_is_no_text_becomes_the_beginning_of_its_json() -> None:
    """As PostgreSQL writes it, a space behind each comma, so that the stored item is the same."""
    record = LogRecord(time_unix_nano=NOW)
    for _ in range(TEXT_CHARACTERS_MAX // 3 + 1):
        record.body.array_value.values.append(AnyValue(int_value=1))

    [item] = items_of(convert(Signal.LOGS, logs_of(record)))

    assert item["body"] == ("[" + "1, " * TEXT_CHARACTERS_MAX)[:TEXT_CHARACTERS_MAX]
    assert item["cut"] is True


@pytest.mark.parametrize("place", ["attributes", "resource"])
def test_long_attributes_are_left_out_and_that_is_said(place: str) -> None:
    """A member is left out whole; the longest that is shown is as long as PostgreSQL writes it."""
    around = len('{"r": ""}')

    def item_with(length: int) -> dict[str, Any]:
        text = "x" * (length - around)
        made = record_with(resource=text) if place == "resource" else record_with("", {"r": text})
        return dict(items_of(made)[0])

    whole, cut = item_with(ATTRIBUTES_CHARACTERS_MAX), item_with(ATTRIBUTES_CHARACTERS_MAX + 1)

    assert len(whole[place]["r"]) == ATTRIBUTES_CHARACTERS_MAX - around
    assert "cut" not in whole
    assert place not in cut
    assert cut["cut"] is True


def test_the_largest_attributes_go_and_the_small_ones_stay() -> None:
    """By those people filter; how many of the largest go is what it takes, and no more."""
    half = ATTRIBUTES_CHARACTERS_MAX // 2
    made = record_with(
        "",
        {
            "a": 1,
            "prompt": "x" * 100_000,
            "trace": "y" * half,
            "answer": "z" * (half - 10),
            "b": "ok",
        },
    )

    [item] = items_of(made)

    assert item["attributes"] == {"a": 1, "b": "ok", "answer": "z" * (half - 10)}
    assert item["cut"] is True


def test_cutting_takes_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is too long beyond that, all attributes go without a look, and a text its end."""
    monkeypatch.setattr(scissors, "EFFORT_MAX", 500)  # two of 100 000 characters are 392
    long = {"a": 1, "prompt": "x" * 100_000}
    made = [record_with("", long) for _ in range(3)]
    picks = [(request, row) for request in made for row in request.rows]

    lines = decode(encode(head_of(Signal.LOGS, 3), picks, PLENTY)).lines

    assert [line.get("attributes") for line in lines] == [{"a": 1}, {"a": 1}, None]
    assert [line.get("cut") for line in lines] == [True] * 3


@given(
    sizes=st.lists(st.integers(0, 3_000), min_size=1, max_size=12),
    letter=st.sampled_from(["x", "é", "☃", "😀", '"', "\x01"]),
    bytes_max=st.integers(0, 20_000),
    resources=st.booleans(),
)
def test_a_message_is_never_longer_than_it_may_be(
    sizes: list[int], letter: str, bytes_max: int, resources: bool
) -> None:
    """In bytes, whatever the letters; what stands first in the flush is what is shown."""
    made = [record_with(letter * size, resource=letter * size * resources) for size in sizes]
    picks = [(request, row) for request in made for row in request.rows]
    head = head_of(Signal.LOGS, len(picks))
    head_bytes = len(encode(head, (), 0))
    whole = decode(encode(head, picks, PLENTY)).lines

    raw = encode(head, picks, bytes_max)

    shown = decode(raw).lines
    assert len(raw) <= bytes_max + head_bytes
    assert shown == whole[: len(shown)]
    if bytes_max >= len(encode(head, picks, PLENTY)) + len(picks) * 64:
        assert shown == whole


def test_a_greeting_has_no_lines() -> None:
    """It tells the number of the next item."""
    greeting = Head(Signal.TRACES, "f00d", 12, 0, None)

    message = decode(encode(greeting, (), 16_384))

    assert message.head == greeting
    assert message.lines == []


GOOD_HEAD = b'[1,"logs","f00d",0,1,null,"7e.5",false,{"1":{}}]'
GOOD_LINE = b'{"signal":"logs","time":"2026-01-01T12:00:00.000000000Z","resource":"1"}'


def test_the_example_of_the_next_test_is_a_message() -> None:
    """Or it would show nothing."""
    assert decode(GOOD_HEAD + b"\n" + GOOD_LINE).head == Head(
        Signal.LOGS, "f00d", 0, 1, None, "7e.5"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"hello",
        b"{}",
        b"[]",
        b"1",
        b"\xff\xfe",
        b"[1]",
        b'[1,"logs"]',
        b'[2,"logs","f00d",0,1,null,"7e.5",false,{}]',
        b'["1","logs","f00d",0,1,null,"7e.5",false,{}]',
        b'[1,"profiles","f00d",0,1,null,"7e.5",false,{}]',
        b'[1,["logs"],"f00d",0,1,null,"7e.5",false,{}]',
        b'[1,"logs",5,0,1,null,"7e.5",false,{}]',
        b'[1,"logs",null,0,1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",-1,1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,-1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",1.5,1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",1e999,1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d","7",1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,true,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,1,"9","7e.5",false,{}]',
        b'[1,"logs","f00d",0,1,null,"7e.5",false,{},{}]',
        b'[1,"logs","f00d",0,1,null,{}]',
        b'[1,"logs","f00d",0,1,null,5,false,{}]',
        b'[1,"logs","f00d",0,1,null,"7e.5",0,{}]',
        b'[1,"logs","f00d",0,1,null,[]]\n' + GOOD_LINE,
        b'[1,"logs","f00d",0,1,null,null]\n' + GOOD_LINE,
        b'[1,"logs","f00d",0,1,null,"7e.5",false,{}]\n' + GOOD_LINE,
        b'[1,"traces","f00d",0,1,null,"7e.5",false,{"1":{}}]\n' + GOOD_LINE,
        GOOD_HEAD + b"\n",
        GOOD_HEAD + b"\n[]",
        GOOD_HEAD + b"\n7",
        GOOD_HEAD + b"\n{}",
        GOOD_HEAD + b'\n{"resource":"1"}',
        GOOD_HEAD + b'\n{"resource":0,"signal":"logs","time":""}',
        GOOD_HEAD + b'\n{"resource":["1"],"signal":"logs","time":""}',
        GOOD_HEAD + b'\n{"resource":"1","signal":"logs","time":5}',
        b'[1,"logs","f00d",9007199254740992,1,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,18446744073709551615,null,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,1,18446744073709551615,"7e.5",false,{}]',
        b'[1,"logs","f00d",0,1,null,"7e.5",false,{"1":[5]}]\n' + GOOD_LINE,
        GOOD_HEAD + b'\n{"resource":"1","signal":"logs","time":"","service":5}',
        GOOD_HEAD + b'\n{"resource":"1","signal":"logs","time":"","severity_number":"17"}',
        GOOD_HEAD + b'\n{"resource":"1","signal":"logs","time":"","trace_id":null}',
        GOOD_HEAD + b'\n{"resource":"1","signal":"logs","time":"","attributes":[]}',
        GOOD_HEAD + b"\n" + GOOD_LINE[:-1],
        GOOD_HEAD + b"\n" + b"[" * 100_000,
        GOOD_HEAD + b"\n" + GOOD_LINE[:-1] + b',"body":' + b"[" * 260 + b"]" * 260 + b"}",
        GOOD_HEAD[:-4] + b'{"a":' + b"[" * 260 + b"]" * 260 + b"}}]\n" + GOOD_LINE,
    ],
)
def test_what_is_no_message_is_told_as_one_error(raw: bytes) -> None:
    """Anybody who can reach Redis may publish anything."""
    with pytest.raises(TailMessageError):
        decode(raw)


def test_a_version_of_any_length_is_told_in_brief() -> None:
    """It goes to the log."""
    with pytest.raises(TailMessageError) as caught:
        decode(b'["' + b"x" * 100_000 + b'",{}]')

    assert len(str(caught.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**64 - 1) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(head=st.lists(json_values, max_size=9), lines=st.lists(json_values, max_size=2))
def test_any_json_is_a_message_or_that_error(head: list[Any], lines: list[Any]) -> None:
    """Nothing else leaves ``decode``."""
    raw = b"\n".join(orjson.dumps(part) for part in ([1, "logs", *head], *lines))

    try:
        message = decode(raw)
    except TailMessageError:
        return
    assert message.head.first >= 0


MADE = encode(
    Head(Signal.LOGS, "f00d", 3, 40, 4_711, "7e.5"),
    picks_of(convert(Signal.LOGS, logs_request(items=12))),
    PLENTY,
)
"""A message of a real worker."""

QUESTIONS = [
    Filter.parse(text)
    for text in ("checkout -cart", "service:c* severity:>info", "@a:1 body:x", "trace:0af7 @b:>2.5")
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a real message, a few parts or values of which are something else."""
    raw = MADE
    for _ in range(draw(st.integers(1, 4))):
        values = [found.span(1) for found in re.finditer(rb'":("[^"]*"|\d+)', raw)]
        low = draw(st.integers(0, len(raw)))
        place = low, draw(st.integers(low, min(len(raw), low + 40)))
        low, high = draw(st.sampled_from([place, *values]))
        depth = draw(st.sampled_from([1, 120, 300, 1_100]))
        part = draw(
            st.one_of(
                st.sampled_from([b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth]),
                st.sampled_from([b"", raw[low:high] * 2, b"null", b"1e999", b'"', b"\n", b"-1"]),
                st.binary(max_size=6),
            )
        )  # fmt: skip
        raw = raw[:low] + part + raw[high:]
    return raw


@given(raw=mutated())
def test_a_message_that_was_changed_is_one_that_readers_can_have_or_that_error(raw: bytes) -> None:
    """It can be written for them, and asked about; no feed ends over it."""
    try:
        message = decode(raw)
    except TailMessageError:
        return
    for item in message.lines:
        assert orjson.loads(Shown.of(item, 0, Signal.LOGS, None, b"f00d").data)
        for question in QUESTIONS:
            question.matches(item)


@given(raw=st.binary(max_size=60))
def test_any_bytes_are_a_message_or_that_error(raw: bytes) -> None:
    """As above, and not even JSON."""
    try:
        message = decode(raw)
    except TailMessageError:
        return
    assert message.head.first >= 0
