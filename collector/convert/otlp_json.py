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

import gc
import json
import re
import struct
from base64 import b64decode
from collections.abc import Callable, Generator
from functools import cache
from math import isinf
from typing import Any, Final, NamedTuple

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.convert.json_values import VALUES_MAX, has_too_many_values
from collector.convert.tags import FIXED32, FIXED64, LENGTH, VARINT, varint
from collector.errors import (
    MalformedCallError,
    OtlpgError,
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

INTEGER_DIGITS_MAX: Final = 20
"""The longest of the 64-bit integers, sign included."""

TRACE_ID_BYTES: Final = 16
NOT_HEX: Final = b"not hex: "
_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")
_ONE_BYTE: Final = [bytes((size,)) for size in range(128)]
_DOUBLE: Final = struct.Struct("<d")
_FLOAT_WORDS: Final = {
    "NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"),
}  # fmt: skip
_FLOAT_TEXT: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")


class _BadValueError(OtlpgError):
    """A value does not fit its field; ``path`` grows from the inside out."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.path: list[str] = []

    def at(self, part: str) -> _BadValueError:
        """Return the same error, one level further out."""
        self.path.insert(0, part)
        return self


def transcode(signal: Signal, body: bytes, *, items_max: int) -> Generator[None, None, bytes]:
    """Return the request in protobuf; yield now and then, so that others get their turn.

    Raises:
        TooManyValuesError: it holds more JSON values than ``json_values.VALUES_MAX``.
        TooManyItemsError: more items than ``items_max``.
        MalformedCallError: it is no JSON, or not of this request; the text names the field.
    """
    if (yield from has_too_many_values(body)):
        raise TooManyValuesError(VALUES_MAX)
    document = _parse(body)
    descriptor, levels = _ROOTS[signal]
    try:
        return (yield from _Turns(items_max).message(_shape_of(descriptor), document, levels))
    except _BadValueError as error:
        where = "".join(error.path)
        what = f"the JSON field {where.removeprefix('.')}" if where else "the body"
        raise MalformedCallError(f"{what} must be {error.wanted}") from None


def _parse(body: bytes) -> Any:
    """Return what ``body`` says, in one turn: seven hundredths of a second for 8 MiB of spans.

    The garbage collector waits meanwhile: there is no garbage yet, and its looks at a million new
    objects took four times as long as making them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _loads(body)
    finally:
        if was_enabled:
            gc.enable()


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if rb"\u" not in body:
        raise MalformedCallError("the body is not valid JSON")
    try:
        return json.loads(  # takes lone surrogates; numbers are read as orjson reads them
            body.decode(),
            parse_constant=_refuse_constant,
            parse_int=_parse_integer,
            parse_float=_parse_double,
        )
    except (ValueError, RecursionError):
        raise MalformedCallError("the body is not valid JSON") from None


def _refuse_constant(word: str) -> None:
    """Refuse NaN and the infinities without quotes, which are no JSON."""
    raise ValueError(word)


def _parse_integer(text: str) -> int | float:
    """Return 64 bits as an integer and more as a double."""
    if len(text) <= INTEGER_DIGITS_MAX and -(2**63) <= (number := int(text)) < 2**64:
        return number
    return _parse_double(text)


def _parse_double(text: str) -> float:
    """Refuse a number that no double can hold."""
    number = float(text)
    if isinf(number):
        raise ValueError(text)
    return number


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
            except _BadValueError as error:
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
            except _BadValueError as error:
                raise (error.at(f"[{place}]") if field.repeated else error) from None
            wire += (field.tag, _sized(inner))
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
    wire_type, scalar = _SCALARS[field.type]
    if field.type == FieldDescriptor.TYPE_BYTES and field.name in _HEX_FIELDS:
        scalar = _hex
    packed = field.is_repeated and wire_type != LENGTH
    tag = varint(field.number << 3 | (LENGTH if packed else wire_type))
    return _Field(tag, field.is_repeated, packed, None, scalar)


def _message(shape: _Shape, value: Any, depth: int) -> bytes:
    _check_object(value)
    if depth > DEPTH_MAX:
        raise _BadValueError(f"nested at most {DEPTH_MAX} deep")
    wire: list[bytes] = []
    for name, content in value.items():
        field = shape.get(name)
        if field is None or content is None:
            continue
        try:
            wire.append(_field(field, content, depth))
        except _BadValueError as error:
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
        return tag + _sized(inner)
    wire: list[bytes] = []
    for place, part in enumerate(_entries(field, content)):
        try:
            if scalar is not None:
                wire.append(scalar(part) if packed else tag + scalar(part))
                continue
            assert message is not None
            inner = _message(_shape_of(message), part, depth + 1)
        except _BadValueError as error:
            raise error.at(f"[{place}]") from None
        wire += (tag, _sized(inner))
    whole = b"".join(wire)
    return tag + _sized(whole) if packed and whole else whole


def _sized(raw: bytes) -> bytes:
    """Return ``raw`` behind its length."""
    size = len(raw)
    return (_ONE_BYTE[size] if size < len(_ONE_BYTE) else varint(size)) + raw


def _entries(field: _Field, content: Any) -> list[Any]:
    if not field.repeated:
        return [content]
    if not isinstance(content, list):
        raise _BadValueError("an array")
    return content  # pyright: ignore[reportUnknownVariableType] -- JSON


def _is_large(item: Any) -> bool:
    """Tell whether a list of the item's own, of attributes or events, is worth turns of its own."""
    return isinstance(item, dict) and any(
        isinstance(content, list) and len(content) > LARGE_LIST  # pyright: ignore[reportUnknownArgumentType] -- JSON
        for content in item.values()  # pyright: ignore[reportUnknownVariableType] -- JSON
    )


def _check_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise _BadValueError("an object")


# -- scalars --------------------------------------------------------------------------------------


def _integer(value: Any, low: int, high: int) -> int:
    """Return a number in bounds: an integer, a float without a fraction, or a decimal string."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise _BadValueError("an integer")
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    elif not isinstance(value, int) or isinstance(value, bool):
        raise _BadValueError("an integer")
    if not low <= value <= high:
        raise _BadValueError(f"from {low} to {high}")
    return value


def _signed(bits: int) -> Callable[[Any], bytes]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return lambda value: varint(_integer(value, low, high) & 2**64 - 1)


def _unsigned(bits: int) -> Callable[[Any], bytes]:
    return lambda value: varint(_integer(value, 0, 2**bits - 1))


def _zigzag(bits: int) -> Callable[[Any], bytes]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def encode(value: Any) -> bytes:
        number = _integer(value, low, high)
        return varint(number << 1 if number >= 0 else ~(number << 1))

    return encode


def _fixed(size: int, *, signed: bool) -> Callable[[Any], bytes]:
    bits = 8 * size
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda value: _integer(value, low, high).to_bytes(size, "little", signed=signed)


def _double(value: Any) -> bytes:
    if isinstance(value, str):
        number = _FLOAT_WORDS.get(value)
        if number is None:
            if not _FLOAT_TEXT.fullmatch(value):
                raise _BadValueError("a number")
            number = float(value)
            if isinf(number):
                raise _BadValueError("a number that a double can hold")
        return _DOUBLE.pack(number)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _BadValueError("a number")
    return _DOUBLE.pack(value)


def _bool(value: Any) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise _BadValueError("true or false")


def _string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise _BadValueError("a string")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raw = value.encode(errors="surrogatepass")
    return _sized(raw)


def _hex(value: Any) -> bytes:
    """Return an id. What is no hex becomes an id that cannot be valid, with the text in it.

    So it costs its item and not the request, and nothing of what was sent is lost.
    """
    if not isinstance(value, str):
        raise _BadValueError("a string of hex digits")
    if _HEX.fullmatch(value):
        return _sized(bytes.fromhex(value))
    raw = NOT_HEX + value.encode(errors="surrogatepass")
    return _sized(raw + b" " if len(raw) == TRACE_ID_BYTES else raw)


def _base64(value: Any) -> bytes:
    """Return bytes from either alphabet, with or without padding."""
    if not isinstance(value, str) or not _BASE64.fullmatch(value):
        raise _BadValueError("base64")
    text = value.rstrip("=").translate(_STANDARD_ALPHABET)
    if len(text) % 4 == 1:
        raise _BadValueError("base64")
    return _sized(b64decode(text + "=" * (-len(text) % 4)))


_SCALARS: Final[dict[int, tuple[int, Callable[[Any], bytes]]]] = {
    FieldDescriptor.TYPE_STRING: (LENGTH, _string),
    FieldDescriptor.TYPE_BYTES: (LENGTH, _base64),
    FieldDescriptor.TYPE_BOOL: (VARINT, _bool),
    FieldDescriptor.TYPE_ENUM: (VARINT, _signed(32)),
    FieldDescriptor.TYPE_INT32: (VARINT, _signed(32)),
    FieldDescriptor.TYPE_INT64: (VARINT, _signed(64)),
    FieldDescriptor.TYPE_UINT32: (VARINT, _unsigned(32)),
    FieldDescriptor.TYPE_UINT64: (VARINT, _unsigned(64)),
    FieldDescriptor.TYPE_SINT32: (VARINT, _zigzag(32)),
    FieldDescriptor.TYPE_SINT64: (VARINT, _zigzag(64)),
    FieldDescriptor.TYPE_FIXED32: (FIXED32, _fixed(4, signed=False)),
    FieldDescriptor.TYPE_FIXED64: (FIXED64, _fixed(8, signed=False)),
    FieldDescriptor.TYPE_SFIXED32: (FIXED32, _fixed(4, signed=True)),
    FieldDescriptor.TYPE_SFIXED64: (FIXED64, _fixed(8, signed=True)),
    FieldDescriptor.TYPE_DOUBLE: (FIXED64, _double),
}
