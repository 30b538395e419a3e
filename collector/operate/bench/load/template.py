"""A serialised message with holes, filled anew for each item without protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message


class Template:
    """The bytes of one message, cut at the marks that stand where fresh values go.

    A mark is replaced by a value of the same length, so every length prefix around it stays true.

    Shape: each mark occurs exactly once in the message; ``fill`` takes values in the marks' order.
    """

    __slots__ = ("_lengths", "_parts", "_places")

    def __init__(self, message: Message, marks: Iterable[bytes]) -> None:
        wire = message.SerializeToString()
        found = [(wire.index(mark), order, mark) for order, mark in enumerate(marks)]
        self._parts: list[bytes] = []
        self._places = [0] * len(found)
        self._lengths = [0] * len(found)
        end = 0
        for start, order, mark in sorted(found):
            assert start >= end, "marks overlap"
            assert wire.count(mark) == 1, "a mark occurs twice"
            self._parts += [wire[end:start], mark]
            self._places[order] = len(self._parts) - 1
            self._lengths[order] = len(mark)
            end = start + len(mark)
        self._parts.append(wire[end:])

    def fill(self, *values: bytes) -> bytes:
        """Return the message with ``values`` in its holes."""
        parts = self._parts.copy()
        for place, value in zip(self._places, values, strict=True):
            parts[place] = value
        return b"".join(parts)

    @property
    def lengths(self) -> list[int]:
        """Bytes that each value must have, in the order of ``fill``."""
        return self._lengths


def mark(number: int, length: int) -> bytes:
    """Return ``length`` bytes of ASCII that stand for hole ``number`` and occur nowhere else."""
    return (b"\x7f#%02d" % number).ljust(length, b"~")[:length]


def mark_integer(number: int) -> int:
    """Return the mark of eight bytes as the fixed64 whose wire form it is."""
    return int.from_bytes(mark(number, 8), "little")


def field(number: int, payload: bytes) -> bytes:
    """Return ``payload`` as the length-delimited field ``number``; numbers below 16 only.

    Spec: protobuf encoding, wire type 2.
    """
    assert 0 < number < 16
    return bytes((number << 3 | 2,)) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """Return ``value`` as a base-128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
