"""Protobuf's wire format, as far as one must read it to know where fields start and end.

Spec: protobuf.dev, "Encoding". A field is a tag (number and wire type), then a varint, 4 or 8
bytes, a length with that many bytes, or a group of fields up to its end tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from collector.errors import MalformedError

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
"""Wire types: the low three bits of a tag."""

VARINT_BYTES_MAX = 10
TAG_MAX = 2**32 - 1
LENGTH_MAX = 2**31 - 1
GROUP_DEPTH_MAX = 100
GROUP_FIELDS_MAX = 10_000
"""OTLP has no groups: one is only skipped, and reading past so many fields takes 10 ms."""


class Field(NamedTuple):
    """One field: ``payload[start:end]`` is all of it, ``payload[content:end]`` what it holds."""

    tag: int
    start: int
    content: int
    end: int


def read_fields(payload: bytes, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message at ``payload[start:end]``, unknown ones included.

    Raises:
        MalformedError, IndexError: the message is cut off or breaks the format.
    """
    position = start
    while position < end:
        field = read_field(payload, position, end)
        yield field
        position = field.end


def read_field(payload: bytes, start: int, end: int) -> Field:
    """Return the field that starts at ``start`` and ends no later than ``end``.

    Raises:
        MalformedError: it ends later, or breaks the format.
        IndexError: it is cut off by the end of the payload.
    """
    tag, content, after = find_field(payload, start, end)
    return Field(tag, start, content, after)


def find_field(payload: bytes, start: int, end: int) -> tuple[int, int, int]:
    """Return the tag of the field at ``start``, where its content starts, and where it ends.

    As ``read_field``, for loops that run once per field of everything that arrives.
    """
    tag = payload[start]
    if tag & 0x87 == LENGTH and tag > LENGTH:  # nearly every field, in a third of the time
        length, content = payload[start + 1], start + 2
        if length >= 128:
            length, content = read_varint(payload, start + 1)
            if length > LENGTH_MAX:
                raise MalformedError
        if content + length > end:
            raise MalformedError
        return tag, content, content + length
    return _find_any_field(payload, start, end)


def _find_any_field(payload: bytes, start: int, end: int) -> tuple[int, int, int]:
    tag, content = read_varint(payload, start)
    wire_type = tag & 7
    if wire_type == LENGTH:
        length, content = read_varint(payload, content)
        if length > LENGTH_MAX:
            raise MalformedError
        after = content + length
    elif wire_type == VARINT:
        _, after = read_varint(payload, content)
    elif wire_type == FIXED64:
        after = content + 8
    elif wire_type == FIXED32:
        after = content + 4
    elif wire_type == START_GROUP:
        after = _end_of_group(payload, content, end, tag >> 3)
    else:
        raise MalformedError
    if after > end or not 8 <= tag <= TAG_MAX:  # below 8: field number 0
        raise MalformedError
    return tag, content, after


def read_varint(payload: bytes, start: int) -> tuple[int, int]:
    """Return the number at ``start`` and the offset after it."""
    byte = payload[start]
    if byte < 128:
        return byte, start + 1
    second = payload[start + 1]
    if second < 128:
        return byte & 127 | second << 7, start + 2
    number = byte & 127 | (second & 127) << 7
    for shift in range(2, VARINT_BYTES_MAX):
        byte = payload[start + shift]
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number & (2**64 - 1), start + shift + 1
    raise MalformedError


def _end_of_group(payload: bytes, start: int, end: int, number: int) -> int:
    """Return the offset after the group's end tag; a loop, so that no nesting can exhaust us."""
    opened = [number]
    position = start
    for _ in range(GROUP_FIELDS_MAX):
        if position >= end or len(opened) > GROUP_DEPTH_MAX:
            raise MalformedError
        tag, after = read_varint(payload, position)
        if tag & 7 == END_GROUP:
            if opened.pop() != tag >> 3:
                raise MalformedError
            if not opened:
                return after
            position = after
        elif tag & 7 == START_GROUP:
            opened.append(tag >> 3)
            position = after
        else:
            position = read_field(payload, position, end).end
    raise MalformedError


def varint(number: int) -> bytes:
    """Return ``number``, which is not negative, as a varint."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field_of(tag: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(tag) + varint(len(content)) + content
