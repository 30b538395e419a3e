"""A request as a tree of wire fields: what any reader of protobuf sees, known or not.

Written again, every length is true, so that a change somewhere is what a decoder meets and not a
broken frame around it.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor

from collector.convert.tags import END_GROUP, FIXED32, FIXED64, LENGTH, START_GROUP, VARINT, varint
from collector.errors import MalformedError

DEPTH_MAX = 110
FIELDS_MAX = 20_000


@dataclass(slots=True)
class Node:
    """One field; ``content`` is a number, the 4 or 8 bytes, the bytes, or the fields inside."""

    number: int
    wire_type: int
    content: int | bytes | list[Node]
    kind: Descriptor | None = None  # of the message inside


Fields = list[Node]


class Raw(Node):
    """Bytes in the place of a field, with no tag around them."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(0, -1, raw)


def read(wire: bytes, kind: Descriptor | None, depth: int = 0) -> Fields | None:
    """Return the fields of a message; None when these bytes are none."""
    try:
        fields, end = _read_fields(wire, 0, len(wire), kind, depth, group=0)
    except (MalformedError, IndexError):
        return None
    return fields if end == len(wire) else None


def _read_fields(
    wire: bytes, start: int, end: int, kind: Descriptor | None, depth: int, *, group: int
) -> tuple[Fields, int]:
    fields: Fields = []
    while start < end:
        tag, start = _varint(wire, start)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == END_GROUP and number == group:
            return fields, start
        content, inner = b"", None
        if wire_type == VARINT:
            content, start = _varint(wire, start)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
            content, start = wire[start : start + size], start + size
        elif wire_type == LENGTH:
            size, start = _varint(wire, start)
            content, start = wire[start : start + size], start + size
            field = kind.fields_by_number.get(number) if kind else None
            inner = field.message_type if field else None
            if inner is not None and depth < DEPTH_MAX:
                fields_inside = read(content, inner, depth + 1)
                content = content if fields_inside is None else fields_inside
        elif wire_type == START_GROUP and depth < DEPTH_MAX:
            content, start = _read_fields(wire, start, end, None, depth + 1, group=number)
        else:
            raise MalformedError
        if start > end:
            raise MalformedError
        fields.append(Node(number, wire_type, content, inner))
        if len(fields) > FIELDS_MAX:
            raise MalformedError
    if group:
        raise MalformedError
    return fields, start


def _varint(wire: bytes, start: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = wire[start]
        start += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number & 2**64 - 1, start
    raise MalformedError


def write(fields: Fields) -> bytes:
    """Return the message that holds these fields."""
    parts: list[bytes] = []
    for field in fields:
        content = field.content
        if isinstance(field, Raw):
            parts.append(raw_of(field))
            continue
        parts.append(varint(field.number << 3 | field.wire_type))
        if isinstance(content, int):
            parts.append(varint(content))
        elif field.wire_type == START_GROUP:
            inner = write(content) if isinstance(content, list) else content
            parts += (inner, varint(field.number << 3 | END_GROUP))
        else:
            inner = write(content) if isinstance(content, list) else content
            parts.append(varint(len(inner)) + inner if field.wire_type == LENGTH else inner)
    return b"".join(parts)


def holders_of(fields: Fields) -> list[Fields]:
    """Return the field lists of a message and of all messages in it."""
    found, ahead = list[Fields](), [fields]
    while ahead:
        current = ahead.pop()
        found.append(current)
        ahead += [node.content for node in current if isinstance(node.content, list)]
    return found


def raw_of(node: Node) -> bytes:
    """Return what stands behind the tag of a field, without a length."""
    content = node.content
    if isinstance(content, int):
        return varint(content)
    return write(content) if isinstance(content, list) else content


def without_groups(fields: Fields) -> Fields:
    """Return the fields without any group, at any depth; OTLP has none."""
    return [
        Node(node.number, node.wire_type, without_groups(node.content), node.kind)
        if isinstance(node.content, list)
        else node
        for node in fields
        if node.wire_type != START_GROUP
    ]
