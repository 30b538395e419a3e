"""Values without fields, from JSON to protobuf's wire, each checked against the type of its field."""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Callable
from math import isinf
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from collector.convert.tags import FIXED32, FIXED64, LENGTH, VARINT, varint
from collector.errors import OtlpgError

TRACE_ID_BYTES: Final = 16
NOT_HEX: Final = b"not hex: "
"""What stands before an id that is no hex, so that it is kept and cannot be valid."""

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


class BadValueError(OtlpgError):
    """A value does not fit its field; ``path`` grows from the inside out."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.path: list[str] = []

    def at(self, part: str) -> BadValueError:
        """Return the same error, one level further out."""
        self.path.insert(0, part)
        return self


def sized(raw: bytes) -> bytes:
    """Return ``raw`` behind its length."""
    size = len(raw)
    return (_ONE_BYTE[size] if size < len(_ONE_BYTE) else varint(size)) + raw


def _integer(value: Any, low: int, high: int) -> int:
    """Return a number in bounds: an integer, a float without a fraction, or a decimal string."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise BadValueError("an integer")
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    elif not isinstance(value, int) or isinstance(value, bool):
        raise BadValueError("an integer")
    if not low <= value <= high:
        raise BadValueError(f"from {low} to {high}")
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
                raise BadValueError("a number")
            number = float(value)
            if isinf(number):
                raise BadValueError("a number that a double can hold")
        return _DOUBLE.pack(number)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadValueError("a number")
    return _DOUBLE.pack(value)


def _bool(value: Any) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise BadValueError("true or false")


def _string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise BadValueError("a string")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raw = value.encode(errors="surrogatepass")
    return sized(raw)


def hex_id(value: Any) -> bytes:
    """Return an id. What is no hex becomes an id that cannot be valid, with the text in it.

    So it costs its item and not the request, and nothing of what was sent is lost.
    """
    if not isinstance(value, str):
        raise BadValueError("a string of hex digits")
    if _HEX.fullmatch(value):
        return sized(bytes.fromhex(value))
    raw = NOT_HEX + value.encode(errors="surrogatepass")
    return sized(raw + b" " if len(raw) == TRACE_ID_BYTES else raw)


def _base64(value: Any) -> bytes:
    """Return bytes from either alphabet, with or without padding."""
    if not isinstance(value, str) or not _BASE64.fullmatch(value):
        raise BadValueError("base64")
    text = value.rstrip("=").translate(_STANDARD_ALPHABET)
    if len(text) % 4 == 1:
        raise BadValueError("base64")
    return sized(b64decode(text + "=" * (-len(text) % 4)))


SCALARS: Final[dict[int, tuple[int, Callable[[Any], bytes]]]] = {
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
