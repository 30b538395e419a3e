"""OTLP/JSON to OTLP/protobuf: the same request in the encoding that everything else reads.

Protobuf's own ``json_format`` alone is wrong here: OTLP writes ids in hex where proto3 JSON has
base64, names no enum values, and knows only lowerCamelCase. So the descriptors of the installed
opentelemetry-proto say which fields there are, and this file writes them.

What a sender may write: 64-bit integers as numbers or decimal strings, doubles as numbers or as
"NaN", "Infinity" and "-Infinity", ids in hex of any case. Unknown fields are ignored, null means
"not given", and of two equal names the last counts. Anything else is a MalformedCallError that
tells the field and nothing of its value.

Text that is not valid Unicode (a lone surrogate) goes on as the bytes that UTF-8 would have had for
it, so that ``convert`` repairs it like any other invalid UTF-8 and keeps the original.

Spec: opentelemetry-specification protocol/otlp.md, "JSON Protobuf Encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert.json_scalars import SCALARS, BadValueError, hex_id, sized
from collector.convert.json_text import parse
from collector.convert.json_values import VALUES_MAX, has_too_many_values
from collector.convert.tags import LENGTH, varint
from collector.errors import (
    MalformedCallError,
    TooManyItemsError,
    TooManyValuesError,
)
from collector.rows import Signal

ITEMS_PER_TURN: Final = 200
"""Messages on the way to an item that are encoded between two turns of the event loop."""

LARGE_LIST: Final = 10 * ITEMS_PER_TURN
"""An item with a longer list of its own is encoded in several turns."""

DEPTH_MAX: Final = 100
"""Messages inside messages, as protobuf's own decoders have it; convert allows fewer for values."""

_ROOTS: Final[dict[Signal, tuple[Descriptor, int]]] = {
    Signal.TRACES: (ExportTraceServiceRequest.DESCRIPTOR, 3),
    Signal.METRICS: (ExportMetricsServiceRequest.DESCRIPTOR, 5),
    Signal.LOGS: (ExportLogsServiceRequest.DESCRIPTOR, 3),
}
"""The request of each signal, and how many messages are around its items, itself included."""

LEVELS_AROUND: Final = 4
"""Messages around a span or a log record, itself included; a data point has two more."""

_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})


def transcode(signal: Signal, body: bytes, *, items_max: int) -> Generator[None, None, bytes]:
    """Return the request in protobuf; yield now and then, so that others get their turn.

    Raises:
        TooManyValuesError: it holds more JSON values than ``json_values.VALUES_MAX``.
        TooManyItemsError: more items than ``items_max``.
        MalformedCallError: it is no JSON, or not of this request; the text names the field.
    """
    if (yield from has_too_many_values(body)):
        raise TooManyValuesError(VALUES_MAX)
    document = parse(body)
    descriptor, levels = _ROOTS[signal]
    try:
        return (yield from _Turns(items_max).message(_shape_of(descriptor), document, levels))
    except BadValueError as error:
        where = "".join(error.path)
        what = f"the JSON field {where.removeprefix('.')}" if where else "the body"
        raise MalformedCallError(f"{what} must be {error.wanted}") from None


class _Turns:
    """Counts what is encoded, yields after each ``ITEMS_PER_TURN``, and ends at the cap on items."""

    def __init__(self, items_max: int) -> None:
        self._left = ITEMS_PER_TURN
        self._items_max = self._items_left = items_max

    def message(self, shape: _Shape, value: Any, levels: int) -> Generator[None, None, bytes]:
        """Return the fields of a message around items; ``levels`` more to go, itself included.

        Of a large item too, at level 0: its attributes are then encoded like items, in turns.
        """
        _check_object(value)
        wire: list[bytes] = []
        for name, content in value.items():
            field = shape.get(name)
            if field is None or content is None:
                continue
            try:
                if field.message is None:
                    wire.append(_field(field, content, levels))
                else:
                    yield from self._messages(field, content, levels, wire)
            except BadValueError as error:
                raise error.at(f".{name}") from None
        return b"".join(wire)

    def _messages(
        self, field: _Field, content: Any, levels: int, wire: list[bytes]
    ) -> Generator[None]:
        """Append the messages of one field to ``wire``."""
        assert field.message is not None
        shape = _shape_of(field.message)
        for place, part in enumerate(_entries(field, content)):
            try:
                if levels == 1:
                    self._items_left -= 1
                    if self._items_left < 0:
                        raise TooManyItemsError(self._items_max)
                if levels > 1 or (levels == 1 and _is_large(part)):
                    inner = yield from self.message(shape, part, levels - 1)
                else:
                    inner = _message(shape, part, LEVELS_AROUND + 1 - levels)
            except BadValueError as error:
                raise (error.at(f"[{place}]") if field.repeated else error) from None
            wire += (field.tag, sized(inner))
            self._left -= 1
            if not self._left:
                self._left = ITEMS_PER_TURN
                yield


# -- messages and fields --------------------------------------------------------------------------


class _Field(NamedTuple):
    """How one field is written."""

    tag: bytes
    repeated: bool
    packed: bool
    message: Descriptor | None  # of a message's field
    scalar: Callable[[Any], bytes] | None  # of any other: the value without its tag


_Shape = dict[str, _Field]


@cache
def _shape_of(descriptor: Descriptor) -> _Shape:
    """Return the fields of a message by their JSON names."""
    return {field.json_name: _to_field(field) for field in descriptor.fields}


def _to_field(field: FieldDescriptor) -> _Field:
    if field.message_type is not None:
        return _Field(
            varint(field.number << 3 | LENGTH), field.is_repeated, False, field.message_type, None
        )
    wire_type, scalar = SCALARS[field.type]
    if field.type == FieldDescriptor.TYPE_BYTES and field.name in _HEX_FIELDS:
        scalar = hex_id
    packed = field.is_repeated and wire_type != LENGTH
    tag = varint(field.number << 3 | (LENGTH if packed else wire_type))
    return _Field(tag, field.is_repeated, packed, None, scalar)


def _message(shape: _Shape, value: Any, depth: int) -> bytes:
    _check_object(value)
    if depth > DEPTH_MAX:
        raise BadValueError(f"nested at most {DEPTH_MAX} deep")
    wire: list[bytes] = []
    for name, content in value.items():
        field = shape.get(name)
        if field is None or content is None:
            continue
        try:
            wire.append(_field(field, content, depth))
        except BadValueError as error:
            raise error.at(f".{name}") from None
    return b"".join(wire)


def _field(field: _Field, content: Any, depth: int) -> bytes:
    """Return a field with its tag: one, or as many as the list has entries."""
    tag, repeated, packed, message, scalar = field
    if not repeated:
        if scalar is not None:
            return tag + scalar(content)
        assert message is not None
        inner = _message(_shape_of(message), content, depth + 1)
        return tag + sized(inner)
    wire: list[bytes] = []
    for place, part in enumerate(_entries(field, content)):
        try:
            if scalar is not None:
                wire.append(scalar(part) if packed else tag + scalar(part))
                continue
            assert message is not None
            inner = _message(_shape_of(message), part, depth + 1)
        except BadValueError as error:
            raise error.at(f"[{place}]") from None
        wire += (tag, sized(inner))
    whole = b"".join(wire)
    return tag + sized(whole) if packed and whole else whole


def _entries(field: _Field, content: Any) -> list[Any]:
    if not field.repeated:
        return [content]
    if not isinstance(content, list):
        raise BadValueError("an array")
    return content  # pyright: ignore[reportUnknownVariableType] -- JSON


def _is_large(item: Any) -> bool:
    """Tell whether a list of the item's own, of attributes or events, is worth turns of its own."""
    return isinstance(item, dict) and any(
        isinstance(content, list) and len(content) > LARGE_LIST  # pyright: ignore[reportUnknownArgumentType] -- JSON
        for content in item.values()  # pyright: ignore[reportUnknownVariableType] -- JSON
    )


def _check_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise BadValueError("an object")
