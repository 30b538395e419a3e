"""Values of attributes, in their stored forms, as Jaeger's tags.

Spec: ``collector/convert/values.py`` for the forms, ``collector/restore/values.py`` for their tags.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final, Literal, TypedDict, cast

import orjson

from collector.restore.values import BYTES, DOUBLE, Json, pairs_of, tagged

INTEGER_MAX: Final = 2**53 - 1
"""The largest integer, of either sign, that JavaScript holds exactly."""

TagType = Literal["string", "bool", "int64", "float64", "binary"]

_AS_IT_IS: Final[dict[type, TagType]] = {str: "string", bool: "bool", float: "float64"}
"""What a tag holds just as JSON has it."""


class Tag(TypedDict):
    """A key with a value of one of five types."""

    key: str
    type: TagType
    value: str | bool | int | float


def tags_of(pairs: Iterable[tuple[str, Json]]) -> list[Tag]:
    """Return one tag per attribute, in the same order."""
    return [tag_of(key, value) for key, value in pairs]


def text_tag(key: str, text: str) -> Tag:
    """Return the tag of a text."""
    return {"key": key, "type": "string", "value": text}


def tag_of(key: str, value: Json) -> Tag:
    """Return the tag of any value.

    Integers that JavaScript would round are text, and keep their type; so are the doubles that JSON
    does not have. Arrays and maps are the text of their JSON, an empty value is an empty text.
    """
    kind = _AS_IT_IS.get(type(value))  # pyright: ignore[reportUnknownArgumentType] -- of JSON
    if kind is not None:
        return {"key": key, "type": kind, "value": value}
    if value is None:
        return text_tag(key, "")
    if isinstance(value, int):
        is_exact = -INTEGER_MAX <= value <= INTEGER_MAX
        return {"key": key, "type": "int64", "value": value if is_exact else str(value)}
    match _tagged(value):
        case (tag, content) if tag == DOUBLE:
            return {"key": key, "type": "float64", "value": _double(content)}
        case (tag, content) if tag == BYTES:
            return {"key": key, "type": "binary", "value": content}
        case _:
            text = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()
            return text_tag(key, text)


def _tagged(value: Json) -> tuple[str, Json] | None:
    return tagged(cast("dict[str, Json]", value)) if isinstance(value, dict) else None


def _double(text: str) -> float | str:
    """Return a double that was kept as text, or how Jaeger writes what JSON does not have."""
    value = float(text)
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _plain(value: Json) -> Any:
    """Return a value without our tags. The depth is bounded by what was stored."""
    if isinstance(value, list):
        return [_plain(entry) for entry in cast("list[Json]", value)]
    if not isinstance(value, dict):
        return value
    tag, content = _tagged(value) or ("", cast("Json", value))
    if tag == DOUBLE:
        return _double(content)
    if tag == BYTES:
        return content
    return {key: _plain(entry) for key, entry in pairs_of(content)}
