"""Values of attributes as Jaeger's tags."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final, Literal, TypedDict

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

INTEGER_MAX: Final = 2**53 - 1
"""The largest integer, of either sign, that JavaScript holds exactly."""

TagType = Literal["string", "bool", "int64", "float64", "binary"]


class Tag(TypedDict):
    """A key with a value of one of five types."""

    key: str
    type: TagType
    value: str | bool | int | float


def tags_of(attributes: Iterable[KeyValue]) -> list[Tag]:
    """Return one tag per attribute, in the same order."""
    return [tag_of(attribute.key, attribute.value) for attribute in attributes]


def text_tag(key: str, text: str) -> Tag:
    """Return the tag of a text."""
    return {"key": key, "type": "string", "value": text}


def tag_of(key: str, value: AnyValue) -> Tag:
    """Return the tag of any value.

    Integers that JavaScript would round are text, and keep their type; so are the doubles that JSON
    does not have. Arrays and maps are the text of their JSON, an empty value is an empty text.
    """
    kind = value.WhichOneof("value")
    if kind == "int_value":
        integer = value.int_value
        is_exact = -INTEGER_MAX <= integer <= INTEGER_MAX
        return {"key": key, "type": "int64", "value": integer if is_exact else str(integer)}
    if kind == "double_value":
        return {"key": key, "type": "float64", "value": _double(value.double_value)}
    if kind == "bool_value":
        return {"key": key, "type": "bool", "value": value.bool_value}
    if kind == "bytes_value":
        return {"key": key, "type": "binary", "value": b64encode(value.bytes_value).decode()}
    if kind in ("array_value", "kvlist_value"):
        text = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()
        return text_tag(key, text)
    return text_tag(key, value.string_value)


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _plain(value: AnyValue) -> Any:
    """Return a value as JSON has it. The depth is bounded by what was stored."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(entry) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: _plain(entry.value) for entry in value.kvlist_value.values}
    if kind is None:
        return None
    if kind == "double_value":
        return _double(value.double_value)
    if kind == "bytes_value":
        return b64encode(value.bytes_value).decode()
    return getattr(value, kind)
