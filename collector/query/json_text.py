"""JSON values as PostgreSQL writes a jsonb, so that a word finds the same text on both sides."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import cast

from collector.items import JsonValue

_string: Callable[[str], str] = encode_basestring
"""Escapes what ``jsonb::text`` escapes, in the same form: quote, backslash and controls."""


def json_text(value: JsonValue) -> str:
    """Return what ``value::text`` is for this value as a jsonb.

    Keys are sorted by their length in UTF-8, then by bytes, however they came; a number is
    written out without an exponent.

    Spec: PostgreSQL, section 8.14 "JSON Types"; ``compareJsonbStringValue`` of its source.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: JsonValue, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(_string(value))
    elif isinstance(value, dict):
        members = cast("dict[str, JsonValue]", value)
        separator = "{"
        for key in sorted(members, key=_place):
            parts += (separator, _string(key), ": ")
            _write(members[key], parts)
            separator = ", "
        parts.append("}" if members else "{}")
    elif isinstance(value, list):
        separator = "["
        for entry in cast("list[JsonValue]", value):
            parts.append(separator)
            _write(entry, parts)
            separator = ", "
        parts.append("]" if value else "[]")
    elif isinstance(value, float):
        parts.append(format(Decimal(repr(value)), "f"))
    elif value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    else:
        parts.append(str(value))


def _place(key: str) -> tuple[int, bytes]:
    raw = key.encode("utf-8", "surrogatepass")
    return len(raw), raw
