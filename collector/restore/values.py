"""JSON forms back to OTLP values: the inverse of ``convert/values.py``.

One decoder reads both forms of ``rows.py``: the map form of the columns (``{"key": value}``) and
the list form of ``raw`` (``[[key, value], ..]``, nested as ``{"$kvlist": ..}``). They cannot be
mixed up: in the map form a key of the sender that begins with ``$`` is doubled, so an object whose
only key is ``$double``, ``$bytes`` or ``$kvlist`` is always ours.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.rows import PG_EPOCH_UNIX_US

Json: TypeAlias = Any
"""What JSON text decodes to: None, bool, int, float, str, or lists and dicts of these."""

Raw: TypeAlias = dict[str, Json]
"""A row's decoded ``raw``, by protobuf field name; empty when the row has none."""

DOUBLE: Final = "$double"
BYTES: Final = "$bytes"
KVLIST: Final = "$kvlist"
"""Tags of values that JSON cannot say: the text of a double, base64, a list of pairs."""


def load(text: str) -> Json:
    """Return what ``text`` says; ``1`` stays an integer and ``1.0`` a double.

    PostgreSQL's jsonb keeps that difference too, since numeric keeps the digits of a fraction.
    """
    return orjson.loads(text)


def load_raw(text: str | None) -> Raw:
    """Return a row's ``raw`` as a dict, empty when the columns say it all."""
    return {} if text is None else load(text)


def any_value(value: Json) -> AnyValue:
    """Return the AnyValue that has this JSON form; ``null`` is the value with nothing set."""
    if value is None:
        return AnyValue()
    if isinstance(value, dict):
        return _tagged_or_kvlist(cast("dict[str, Json]", value))
    return _OF_TYPE[type(value)](value)


def _array(values: list[Json]) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=map(any_value, values)))


_OF_TYPE: dict[type, Callable[[Json], AnyValue]] = {
    str: lambda value: AnyValue(string_value=value),
    bool: lambda value: AnyValue(bool_value=value),
    int: lambda value: AnyValue(int_value=value),
    float: lambda value: AnyValue(double_value=value),
    list: _array,
}
_OF_TAG: dict[str, Callable[[Json], AnyValue]] = {
    DOUBLE: lambda text: AnyValue(double_value=float(text)),
    BYTES: lambda text: AnyValue(bytes_value=b64decode(text, validate=True)),
    KVLIST: lambda pairs: AnyValue(kvlist_value=KeyValueList(values=key_values(pairs))),
}


def _tagged_or_kvlist(value: dict[str, Json]) -> AnyValue:
    found = tagged(value)
    if found is not None:
        tag, content = found
        return _OF_TAG[tag](content)
    return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))


def tagged(value: dict[str, Json]) -> tuple[str, Json] | None:
    """Return the tag of an object that is ours, and what it holds; None for a sender's map."""
    if len(value) == 1:
        [(key, content)] = value.items()
        if key in _OF_TAG:
            return key, content
    return None


def pairs_of(attributes: Json) -> list[tuple[str, Json]]:
    """Return the attributes of a map form or of a list form, each value in its JSON form.

    Shape: one pair per entry, in the order of the JSON, its key as it was sent; list form keeps
    duplicate keys.
    """
    if isinstance(attributes, list):
        return cast("list[tuple[str, Json]]", attributes)
    entries = cast("dict[str, Json]", attributes)
    return [(key.removeprefix("$"), value) for key, value in entries.items()]


def key_values(attributes: Json) -> list[KeyValue]:
    """Return the same as an attribute list."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs_of(attributes)]


def attribute_pairs(column: str, raw: Raw) -> list[tuple[str, Json]]:
    """Return the attributes of a row: the list in ``raw`` where keys repeat, else the column."""
    return pairs_of(raw["attributes"] if "attributes" in raw else load(column))


def attribute_list(column: str, raw: Raw, field: str = "attributes") -> list[KeyValue]:
    """Return the same as an attribute list, also of another field."""
    return key_values(raw[field] if field in raw else load(column))


def double(value: Json) -> float:
    """Return a double that stands in a JSON column, tagged or not."""
    if isinstance(value, dict):
        return float(cast("dict[str, str]", value)[DOUBLE])
    return float(value)


def identifier(value: str | None) -> bytes:
    """Return an id from hex; ids inside JSON and ``raw`` are hex, of whatever length was sent."""
    return bytes.fromhex(value) if value else b""


def unix_nano(time: int | None, below: int | None) -> int:
    """Return OTLP's time of a pair of columns; 0, "not given", when ``*_ns`` is None.

    Units: microseconds since 2000-01-01 and nanoseconds below one, to nanoseconds since 1970.
    """
    if time is None or below is None:
        return 0
    return (time + PG_EPOCH_UNIX_US) * 1_000 + below


def open_enum(number: int) -> Any:
    """Return an enum number that need not have a name; proto3 enums are open, their types not."""
    return number
