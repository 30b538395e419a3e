"""The JSON forms of DESIGN section 4."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.convert.values import double_json, json_string, key_json
from collector.rows import Signal, SpanRow
from tests.factories import AttributeValue, any_value
from tests.unit.convert.converting import convert, converter, span_of, span_row, traces_of
from tests.unit.convert.work import characters_returned


def attributes_of(attributes: dict[str, AttributeValue] | list[KeyValue]) -> Any:
    """Return the attributes column of a span, decoded; numbers as the text that they have."""
    return json.loads(span_row(span_of(attributes)).attributes, parse_float=str)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("text", "text"),
        ("", ""),
        ('a "quote"\\ \n\x01\x7f', 'a "quote"\\ \n\x01\x7f'),
        ("é😀\uffff\u202e", "é😀\uffff\u202e"),
        ("NaN", "NaN"),
        (True, True),
        (False, False),
        (0, 0),
        (-1, -1),
        (300, 300),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (1.5, "1.5"),
        (100.0, "100.0"),
        (0.0, "0.0"),
        (-1.0, "-1.0"),
        (1e-5, "1e-05"),
        (999_999_999_999_999.9, "999999999999999.9"),
        (1e-15, "1e-15"),
        (b"", {"$bytes": ""}),
        (b"\x00\xff\x10", {"$bytes": "AP8Q"}),
        ([], []),
        ([1, "a", None, [True]], [1, "a", None, [True]]),
        ({}, {}),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        (None, None),
    ],
)
def test_value_has_its_form(value: AttributeValue, stored: Any) -> None:
    """Every type of value is told apart from every other in jsonb."""
    assert attributes_of({"key": value}) == {"key": stored}
    assert attributes_of({"key": [value]}) == {"key": [stored]}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (-0.0, "-0.0"),
        (1e15, "1000000000000000.0"),
        (-1e300, "-1e+300"),
        (5e-324, "5e-324"),
        (9.9e-16, "9.9e-16"),
    ],
)
def test_double_that_jsonb_would_change_is_tagged(number: float, text: str) -> None:
    """NaN, infinities, minus zero and extremes of size become text that gives them back."""
    assert attributes_of({"key": number}) == {"key": {"$double": text}}
    assert struct.pack("d", float(text)) == struct.pack("d", number)


@given(st.floats(allow_nan=False))
def test_double_comes_back_exactly(number: float) -> None:
    """What is written gives the same bits, and never looks like an integer."""
    value: Any = orjson.loads(double_json(number))

    back = float(value["$double"]) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownArgumentType]

    assert struct.pack("d", back) == struct.pack("d", number)
    assert isinstance(value, (dict, float))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_string_comes_back_exactly(text: str) -> None:
    """Strings and keys survive; nothing but what JSON demands is escaped."""
    assert orjson.loads(json_string(text)) == text
    assert orjson.loads("{" + key_json(text) + "0}") == {
        ("$" + text if text.startswith("$") else text): 0
    }


@pytest.mark.parametrize("key", ["$", "$double", "$$bytes", "$kvlist"])
def test_key_that_looks_like_ours_is_doubled(key: str) -> None:
    """No sender can write our tags, in attributes or inside a kvlist."""
    assert attributes_of({key: {key: 1}}) == {"$" + key: {"$" + key: 1}}


@pytest.mark.parametrize("key", ["", "a.b", "__proto__", 'quote"\\', "k" * 70_000])
def test_odd_key_is_kept(key: str) -> None:
    """Keys are any text."""
    assert attributes_of({key: 1}) == {key: 1}


def test_key_value_without_value_is_null() -> None:
    """A KeyValue may lack its value; the spec calls that valid."""
    assert attributes_of([KeyValue(key="a"), KeyValue(key="b", value=AnyValue())]) == {
        "a": None,
        "b": None,
    }


def test_profiles_only_fields_count_as_absent() -> None:
    """An index into a table that this signal does not have says nothing."""
    indexed = KeyValue(key="a", value=AnyValue(string_value_strindex=3))

    assert attributes_of([indexed, KeyValue(key="b", key_strindex=2)]) == {"a": None, "b": None}


def test_value_sent_twice_is_the_last() -> None:
    """A oneof with two members on the wire keeps the later one, as protobuf says."""
    first = KeyValue(key="a", value=AnyValue(string_value="first")).SerializeToString()
    second = KeyValue(value=AnyValue(int_value=2)).SerializeToString()

    row = span_row(Span.FromString(span_of().SerializeToString() + _attribute(first + second)))

    assert json.loads(row.attributes) == {"a": 2}


def test_array_sent_twice_is_joined() -> None:
    """The same member of a oneof twice is merged, as protobuf says."""
    pieces = [
        KeyValue(key="a", value=any_value(part)).SerializeToString() for part in ([1], [2, 3])
    ]

    row = span_row(Span.FromString(span_of().SerializeToString() + _attribute(b"".join(pieces))))

    assert json.loads(row.attributes) == {"a": [1, 2, 3]}


def _attribute(key_value: bytes) -> bytes:
    return b"\x4a" + bytes([len(key_value)]) + key_value


# -- duplicate keys ------------------------------------------------------------------------------


def test_last_of_two_equal_keys_wins_and_raw_keeps_both() -> None:
    """The column is a map; ``raw`` has the list that was sent."""
    pairs = [
        KeyValue(key="a", value=any_value(1)),
        KeyValue(key="$b", value=any_value({"x": 1.0})),
        KeyValue(key="a", value=any_value("2")),
    ]

    row = span_row(span_of(pairs))

    assert json.loads(row.attributes) == {"a": "2", "$$b": {"x": 1.0}}
    assert row.raw is not None
    assert json.loads(row.raw) == {
        "attributes": [["a", 1], ["$b", {"$kvlist": [["x", 1.0]]}], ["a", "2"]]
    }


def test_equal_keys_deep_inside_reach_raw() -> None:
    """Every object is checked, also those in arrays."""
    twice = KeyValueList(values=[KeyValue(key="k", value=any_value(n)) for n in (1, 2)])
    deep = AnyValue(array_value=ArrayValue(values=[AnyValue(kvlist_value=twice)]))

    row = span_row(span_of([KeyValue(key="a", value=deep)]))

    assert json.loads(row.attributes) == {"a": [{"k": 2}]}
    assert row.raw is not None
    assert json.loads(row.raw) == {"attributes": [["a", [{"$kvlist": [["k", 1], ["k", 2]]}]]]}


def test_equal_keys_of_an_event_put_all_events_into_raw() -> None:
    """``raw`` has the whole array once more, attributes in list form."""
    span = span_of(
        events=[
            Span.Event(name="plain", time_unix_nano=5),
            Span.Event(
                attributes=[KeyValue(key="k", value=any_value(n)) for n in (1, 2)],
            ),
        ]
    )

    row = span_row(span)

    assert json.loads(row.events or "") == [
        {"name": "plain", "time_unix_nano": 5},
        {"attributes": {"k": 2}},
    ]
    assert json.loads(row.raw or "")["events"] == [
        {"name": "plain", "time_unix_nano": 5},
        {"attributes": [["k", 1], ["k", 2]]},
    ]


def test_second_sight_of_equal_keys_is_noticed_too() -> None:
    """A value with duplicate keys inside is never remembered as if it were regular."""
    twice = KeyValueList(values=[KeyValue(key="k", value=any_value(n)) for n in (1, 2)])
    span = span_of([KeyValue(key="a", value=AnyValue(kvlist_value=twice))])

    one = converter()

    rows = [convert(Signal.TRACES, traces_of(span), by=one).rows[0] for _ in range(3)]

    assert all(SpanRow(*row).raw for row in rows)


@pytest.mark.parametrize("twice", [False, True], ids=["map form", "list form too"])
def test_depth_copies_no_text(twice: bool) -> None:
    """A long text that nests deep is joined once per form, not once per level."""
    value = any_value("x" * 10_000)
    for _ in range(14):
        value = AnyValue(array_value=ArrayValue(values=[value]))
        value = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=value)]))
    pairs = [KeyValue(key="k", value=value)] * (1 + twice)
    request = traces_of(span_of(pairs))

    assert characters_returned(lambda: convert(Signal.TRACES, request)) < 200_000
