"""JSON forms back to OTLP values, by example; the property tests do the rest."""

from __future__ import annotations

import math

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

from collector.restore import values
from collector.restore.equality import comparable
from tests.factories import AttributeValue, any_value

FORMS: list[tuple[str, AttributeValue]] = [
    ("null", None),
    ('"1"', "1"),
    ("true", True),
    ("1", 1),
    ("-9223372036854775808", -(2**63)),
    ("1.0", 1.0),
    ("1.50", 1.5),
    ('{"$double": "NaN"}', math.nan),
    ('{"$double": "-Infinity"}', -math.inf),
    ('{"$double": "-0.0"}', -0.0),
    ('{"$double": "5e-324"}', 5e-324),
    ('{"$bytes": "AP8="}', b"\x00\xff"),
    ('{"$bytes": ""}', b""),
    ("[]", []),
    ('[1, 1.0, null, ["a"], {}]', [1, 1.0, None, ["a"], {}]),
    ('{"a": {"": 1}}', {"a": {"": 1}}),
    ('{"$$double": "NaN"}', {"$double": "NaN"}),
    ('{"$$": 1}', {"$": 1}),
    ('{"$$$a": 1, "b": 2}', {"$$a": 1, "b": 2}),
    ('{"$kvlist": []}', {}),
    ('{"$kvlist": [["$bytes", 1]]}', {"$bytes": 1}),
    ('[{"$kvlist": [["a", {"$double": "inf"}]]}]', [{"a": math.inf}]),
]


@pytest.mark.parametrize(("text", "value"), FORMS)
def test_any_value_has_the_kind_its_form_says(text: str, value: AttributeValue) -> None:
    """Each JSON form means one value of one kind."""
    restored = values.any_value(values.load(text))

    assert comparable(AnyValue(kvlist_value=_wrapped(restored))) == comparable(
        AnyValue(kvlist_value=_wrapped(any_value(value)))
    )


def _wrapped(value: AnyValue) -> KeyValueList:
    return KeyValueList(values=[KeyValue(key="k", value=value)])


def test_list_form_keeps_repeated_keys_in_order() -> None:
    """What an object could not hold comes back from ``raw``, with ``$`` as it was sent."""
    pairs = values.key_values([["a", 1], ["$a", None], ["a", {"$kvlist": [["b", 1], ["b", 2]]}]])

    assert [pair.key for pair in pairs] == ["a", "$a", "a"]
    assert [pair.value.int_value for pair in pairs[2].value.kvlist_value.values] == [1, 2]


def test_raw_wins_over_the_column() -> None:
    """The column holds the last of two equal keys, ``raw`` the list."""
    pairs = values.attribute_list('{"a": 2}', {"attributes": [["a", 1], ["a", 2]]})

    assert [pair.value.int_value for pair in pairs] == [1, 2]


@pytest.mark.parametrize(
    ("time", "below", "unix_nano"),
    [
        (None, None, 0),
        (820_454_400_000_000, None, 0),
        (820_454_400_000_000, 7, 1_767_139_200_000_000_007),
        (-946_684_800_000_000, 1, 1),
        (17_500_059_273_709_551, 615, 2**64 - 1),
    ],
)
def test_times_come_back_to_the_nanosecond(
    time: int | None, below: int | None, unix_nano: int
) -> None:
    """A NULL in ``*_ns`` means that there was no time, whatever the fallback next to it says."""
    assert values.unix_nano(time, below) == unix_nano


@pytest.mark.parametrize("form", [1.5, {"$double": "1.5"}, "1.5"])
def test_doubles_are_read_tagged_or_not(form: object) -> None:
    """A double in a JSON column is a number, or a tagged text."""
    assert values.double(form) == 1.5


def test_ids_are_hex_of_any_length() -> None:
    """An invalid id comes back with the length it was sent with."""
    assert values.identifier("00ff") == b"\x00\xff"
    assert values.identifier(None) == b""
