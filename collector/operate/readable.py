r"""OTLP bytes as a tree that a person can read, whatever the bytes are.

A letter is often one that no decoder takes, so this is none: it walks the wire format by OTLP's
descriptors, field by field, and shows what it finds up to where the format breaks. Nothing here is
exact; the payload is.

Shape: a message is a dict by field names, a repeated field a list in it. Bytes are hex; text that
is not UTF-8 has ``\xNN`` for the wrong bytes. A field that the descriptor does not know, or in a
form that is not its own, is ``#number``. Where the format breaks, ``!broken`` says at which offset
and shows the first bytes from there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert.tags import FIXED32, FIXED64, LENGTH, VARINT, find_field, read_varint
from collector.errors import MalformedError
from collector.rows import Signal

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

FIELDS_MAX = 10_000
"""Fields in one tree; the rest is left out, and ``whole`` says so."""

LEVELS_MAX = 100
BROKEN_BYTES = 32

REQUESTS: dict[Signal, Descriptor] = {
    Signal.TRACES: ExportTraceServiceRequest.DESCRIPTOR,
    Signal.METRICS: ExportMetricsServiceRequest.DESCRIPTOR,
    Signal.LOGS: ExportLogsServiceRequest.DESCRIPTOR,
}

_STRUCTS = {
    FieldDescriptor.TYPE_DOUBLE: struct.Struct("<d"),
    FieldDescriptor.TYPE_FIXED64: struct.Struct("<Q"),
    FieldDescriptor.TYPE_SFIXED64: struct.Struct("<q"),
    FieldDescriptor.TYPE_FLOAT: struct.Struct("<f"),
    FieldDescriptor.TYPE_FIXED32: struct.Struct("<I"),
    FieldDescriptor.TYPE_SFIXED32: struct.Struct("<i"),
}
_SIZES = {FIXED64: 8, FIXED32: 4}
_SIGNED = {FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM}
_ZIGZAG = {FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64}


class Tree(NamedTuple):
    """What bytes look like; ``whole``: nothing is broken or left out."""

    fields: dict[str, Any]
    whole: bool


def tree_of(signal: Signal, payload: bytes, *, fields_max: int = FIELDS_MAX) -> Tree:
    """Return the bytes of a request of ``signal`` as a tree; never raises."""
    reader = _Reader(payload, fields_max)
    fields = reader.message(REQUESTS[signal], 0, len(payload), 0)
    return Tree(fields, reader.whole)


class _Reader:
    """Reads one payload.

    Attributes:
        whole: everything was read so far.
    """

    def __init__(self, payload: bytes, fields_max: int) -> None:
        self._payload = payload
        self._fields_left = fields_max
        self.whole = True

    def message(self, descriptor: Descriptor, start: int, end: int, level: int) -> dict[str, Any]:
        """Return the message at ``payload[start:end]``."""
        found: dict[str, Any] = {}
        while start < end:
            if self._fields_left <= 0:
                self.whole = False
                found["!left_out"] = f"{end - start} bytes"
                return found
            self._fields_left -= 1
            try:
                tag, content, after = find_field(self._payload, start, end)
                self._add(found, descriptor, tag, content, after, level)
            except (MalformedError, IndexError):
                self.whole = False
                found["!broken"] = {
                    "offset": start,
                    "bytes": self._payload[start : min(end, start + BROKEN_BYTES)].hex(),
                }
                return found
            start = after
        return found

    def _add(
        self,
        found: dict[str, Any],
        descriptor: Descriptor,
        tag: int,
        content: int,
        after: int,
        level: int,
    ) -> None:
        """Add one field to its message."""
        wire_type = tag & 7
        field = descriptor.fields_by_number.get(tag >> 3)
        values = None if field is None else self._values(field, wire_type, content, after, level)
        if field is None or values is None:
            found.setdefault(f"#{tag >> 3}", []).append(self._unknown(wire_type, content, after))
        elif field.is_repeated:
            found.setdefault(field.name, []).extend(values)
        elif values:
            found[field.name] = values[-1]

    def _values(
        self, field: FieldDescriptor, wire_type: int, content: int, after: int, level: int
    ) -> list[Any] | None:
        """Return the values of a known field; None when its wire type is not its own."""
        if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING,
                          FieldDescriptor.TYPE_BYTES):  # fmt: skip
            return [self._long(field, content, after, level)] if wire_type == LENGTH else None
        own = _wire_type_of(field)
        if wire_type == own:
            return [self._number(field, content)]
        if wire_type != LENGTH or not field.is_repeated:
            return None
        numbers: list[Any] = []
        while content < after:
            if self._fields_left <= 0:
                self.whole = False
                break
            self._fields_left -= 1
            numbers.append(self._number(field, content))
            content = (
                read_varint(self._payload, content)[1] if own == VARINT else content + _SIZES[own]
            )
        if content > after:
            raise MalformedError
        return numbers

    def _long(self, field: FieldDescriptor, content: int, after: int, level: int) -> Any:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if level < LEVELS_MAX:
                assert field.message_type is not None
                return self.message(field.message_type, content, after, level + 1)
            self.whole = False
            return {"!left_out": f"{after - content} bytes"}
        raw = self._payload[content:after]
        if field.type == FieldDescriptor.TYPE_BYTES:
            return raw.hex()
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.whole = False
            return raw.decode(errors="backslashreplace")

    def _number(self, field: FieldDescriptor, content: int) -> Any:
        layout = _STRUCTS.get(field.type)
        if layout is not None:
            try:
                return layout.unpack_from(self._payload, content)[0]
            except struct.error as error:
                raise MalformedError from error
        number, _ = read_varint(self._payload, content)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return bool(number)
        if field.type in _ZIGZAG:
            return (number >> 1) ^ -(number & 1)
        if field.type in _SIGNED and number >= 2**63:
            number -= 2**64
        if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type is not None:
            name = field.enum_type.values_by_number.get(number)
            return number if name is None else name.name
        return number

    def _unknown(self, wire_type: int, content: int, after: int) -> Any:
        if wire_type == VARINT:
            return read_varint(self._payload, content)[0]
        return self._payload[content : min(after, content + 1_000)].hex()


def _wire_type_of(field: FieldDescriptor) -> int:
    """Return the wire type of one number of a field."""
    layout = _STRUCTS.get(field.type)
    if layout is None:
        return VARINT
    return FIXED64 if layout.size == 8 else FIXED32
