"""JSON of what repositories return, and the schemas that say so: one rule for all routes.

- Dataclasses and NamedTuples become objects; their fields keep their names.
- Ids (``bytes``) are lower-case hex.
- Integers that may not fit into a double are text, since JavaScript would round them: times and
  durations, by the end of their names, and those of ``BIG``.
- A double that JSON lacks is a text: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
- A cursor is its text.
- A mapping is written as it stands: attributes are stored as JSON.

Spec: the last but two are protobuf's JSON mapping.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from math import isfinite
from typing import Any, Final, TypeVar

import orjson

from collector.query.display import double_text
from collector.query.page import Cursor

BIG: Final = frozenset(
    {
        "bucket_counts", "count", "negative_bucket_counts", "positive_bucket_counts", "resource_id",
        "scope_id", "series_id", "value", "values", "zero_count",
    }
)  # fmt: skip
"""Fields of 64 bits whose names do not end in a unit; doubles in them are numbers all the same."""
_BIG_ENDS: Final = ("_unix_nano", "_ns")
_AS_THEY_ARE: Final = (str, bool, Mapping, enum.Enum, date)

Schema = dict[str, Any]


def encode(value: object) -> bytes:
    """Return the JSON of an answer: dataclasses, NamedTuples, and what they hold."""
    return orjson.dumps(_plain(value, is_big=False))


def is_big(name: str) -> bool:
    """Tell whether a field's integers are written as text."""
    return name.endswith(_BIG_ENDS) or name in BIG


def _plain(value: Any, *, is_big: bool) -> Any:
    """Return what orjson writes as we want it."""
    if value is None or isinstance(value, _AS_THEY_ARE):
        return value  # pyright: ignore[reportUnknownVariableType] -- a mapping of whatever
    if isinstance(value, int):
        return str(value) if is_big else value
    if isinstance(value, float):
        return value if isfinite(value) else double_text(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Cursor):
        return str(value)
    if names := _fields_of(value):
        return {name: _plain(getattr(value, name), is_big=big) for name, big in names}
    assert isinstance(value, tuple | list)
    return [_plain(one, is_big=is_big) for one in typing.cast("tuple[Any, ...]", value)]


def _fields_of(value: object) -> tuple[tuple[str, bool], ...]:
    return _fields(type(value))


@cache
def _fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """Return the fields of a dataclass or NamedTuple, and which are big; none for all others."""
    names: tuple[str, ...] = getattr(kind, "_fields", ())
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
    return tuple((name, is_big(name)) for name in names)


# -- schemas -----------------------------------------------------------------------------------------

_SCALARS: Final[Mapping[Any, Schema]] = {
    Any: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
    bytes: {"type": "string", "pattern": "^([0-9a-f]{2})*$"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    Cursor: {"type": "string", "description": "a value for cursor"},
    type(None): {"type": "null"},
}
_BIG: Final = {
    "type": "string",
    "pattern": "^-?[0-9]{1,20}$",
    "description": "an integer of 64 bits",
}


def schema_of(kind: Any) -> Schema:
    """Return the JSON Schema of what ``encode`` makes of a value of this type.

    Shape: of its own, without references; types of answers do not nest in themselves.
    """
    return _schema(kind, {}, is_big=False)


def _schema(kind: Any, bound: Mapping[Any, Any], *, is_big: bool) -> Schema:
    """Return a schema; ``bound`` says what the type variables stand for."""
    kind = bound.get(kind, kind) if isinstance(kind, TypeVar) else kind
    if kind is int and is_big:
        return dict(_BIG)
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(one, bound, is_big=is_big) for one in arguments]}
    if origin is tuple:
        return _array(arguments, bound, is_big=is_big)
    if origin is Mapping:
        return {"type": "object"}
    if origin is not None:  # a generic dataclass
        return _object(origin, dict(zip(origin.__parameters__, arguments, strict=True)))
    if issubclass(kind, enum.Enum):
        return {"enum": [one.value for one in kind]}
    return _object(kind, bound)


def _array(arguments: tuple[Any, ...], bound: Mapping[Any, Any], *, is_big: bool) -> Schema:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0], bound, is_big=is_big)}
    places = [_schema(one, bound, is_big=is_big) for one in arguments]
    size = len(places)  # prefixItems would say more, and readers of OpenAPI stumble over it
    return {"type": "array", "items": {"anyOf": places}, "minItems": size, "maxItems": size}


def _object(kind: type, bound: Mapping[Any, Any]) -> Schema:
    hints = typing.get_type_hints(kind)
    fields = _fields(kind)
    return {
        "title": kind.__name__,
        "type": "object",
        "required": [name for name, _ in fields],
        "properties": {name: _schema(hints[name], bound, is_big=big) for name, big in fields},
    }
