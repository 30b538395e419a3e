"""What convert remembers: attributes, resources, scopes, metrics and series it has seen before.

Telemetry repeats itself: a look-up by the undecoded bytes saves decoding, JSON and hashing. Only
these are remembered, never bodies, events, links or exemplars, which do not repeat. A value that
was repaired or has duplicate keys is never remembered, or its second sight would pass unnoticed.

Bounded in bytes: when full, everything is forgotten, and what repeats is back after two requests.
Unique values hardly ever fill it, because an attribute must be seen twice.
"""

from __future__ import annotations

from struct import Struct
from sys import getsizeof
from typing import TypeAlias, TypeVar

from google.protobuf.message import DecodeError

from collector.convert.notes import Notes
from collector.convert.survey import hides_levels
from collector.convert.tags import read_varint
from collector.convert.values import ValueWriter, double_json, json_string, key_json
from collector.errors import IrregularError, MalformedError, QuarantineError
from collector.rows import MetricRow, ResourceRow, ScopeRow, SeriesRow
from collector.wire.common_pb2 import KeyValue

PAIR_BYTES_MAX = 256
"""Longest KeyValue that is remembered; longer ones hardly ever repeat."""

DIMENSION_BYTES_MAX = 4096
"""Longest resource, scope, metric or attribute set; a pod's resource easily has a kilobyte."""

DOOR_MASK, DOOR_KNOCKS_MAX = 2**16 - 1, 2**13
"""An attribute is remembered at its second sight. The door tells first from second by a bit per
hash; it is renewed before an eighth of the bits is set, or every first would look like a second.
"""

LEVELS_MAX = 64
"""Deepest nesting that is remembered: allowed wherever an attribute may stand."""

SLOT_BYTES = 240
"""What an entry costs besides its text: key object, tuple or row, and its place in a dict."""

KEY_PART_BYTES = 90
"""What one attribute costs in the key of a remembered series, besides its bytes."""

Pair: TypeAlias = tuple[str, str]
"""An attribute's key, and ``"key":value`` as JSON."""

SeriesGroup: TypeAlias = tuple[int, int, int]
"""Ids of the metric, the resource and the scope."""

_DOUBLE = Struct("<d")


class Pairs(dict[bytes, Pair]):
    """KeyValue as sent -> its pair; a missing one is decoded, and remembered if it is regular.

    Raises:
        IrregularError: from a look-up, when the attribute needs the careful road.
    """

    __slots__ = ("_door", "_keys", "_knocks", "_memo")

    def __init__(self, memo: Memo) -> None:
        super().__init__()
        self._memo = memo
        self._door = bytearray(DOOR_MASK + 1)
        self._knocks = 0
        self._keys: dict[bytes, Pair] = {}  # 0A n key 12 -> the key, and as JSON with its colon

    def __missing__(self, raw: bytes) -> Pair:
        self._memo.effort += 1
        pair = self._plain_pair(raw) or self._any_pair(raw)
        place = hash(raw) & DOOR_MASK
        if self._door[place]:
            if len(raw) <= PAIR_BYTES_MAX:
                self._memo.spend(SLOT_BYTES + len(raw) + getsizeof(pair[1]))
                self[raw] = pair
        else:
            self._door[place] = 1
            self._knocks += 1
            if self._knocks > DOOR_KNOCKS_MAX:
                self._knocks = 0
                self._door = bytearray(DOOR_MASK + 1)
        return pair

    def clear(self) -> None:
        """Forget every attribute and every key."""
        super().clear()
        self._keys.clear()

    def _plain_pair(self, raw: bytes) -> Pair | None:
        """Return the pair of a short KeyValue as every SDK writes it, or None.

        Takes half the time of decoding it as a message. Shape: 0A n key 12 m value, where value is
        0A n text, 18 varint or 21 double, and every length takes one byte.
        """
        try:
            start = raw[1] + 4  # of the value; before it the key with its tags, and a length
            size = len(raw) - start
            key = self._keys.get(raw[: start - 1]) or self._remember_key(raw[: start - 1])
            if key is None or not raw[start - 1] == size < 128:
                return None
            kind = raw[start]
            if kind == 0x0A and raw[start + 1] == size - 2:
                text = raw[start + 2 :].decode()
                return None if "\0" in text else (key[0], key[1] + json_string(text))
            if kind == 0x21 and size == 9:
                return key[0], key[1] + double_json(_DOUBLE.unpack_from(raw, start + 1)[0])
            if kind == 0x18:
                number, end = read_varint(raw, start + 1)
                if end == len(raw):
                    return key[0], key[1] + str(number - (number >> 63 << 64))  # two's complement
        except (IndexError, UnicodeDecodeError, MalformedError):
            pass
        return None

    def _any_pair(self, raw: bytes) -> Pair:
        notes = Notes()
        writer = ValueWriter(notes, LEVELS_MAX)
        try:
            entry = KeyValue.FromString(raw)
            members = writer.members([entry], 1)
        except (DecodeError, QuarantineError) as error:
            raise IrregularError from error
        if hides_levels(entry, raw, "key_value", LEVELS_MAX - 1, notes):
            raise IrregularError
        self._memo.effort += notes.effort
        if notes.repair or writer.has_duplicates:
            raise IrregularError
        [pair] = members.items()
        return pair

    def _remember_key(self, prefix: bytes) -> Pair | None:
        """Return and remember the key in ``0A n key 12``; None when it is not that, or has a NUL."""
        length = prefix[1]
        if prefix[0] != 0x0A or prefix[-1] != 0x12 or len(prefix) != length + 3 or length > 127:
            return None
        text = prefix[2:-1].decode()
        if "\0" in text:
            return None
        key = self._keys[prefix] = (text, key_json(text))
        self._memo.spend(SLOT_BYTES + len(prefix) + getsizeof(text) + getsizeof(key[1]))
        return key


DimensionRow: TypeAlias = ResourceRow | ScopeRow | MetricRow | SeriesRow
RowT = TypeVar("RowT", ResourceRow, ScopeRow, MetricRow, SeriesRow)
Key: TypeAlias = tuple[bytes | str, ...]
"""What a dimension was made from, undecoded."""


class Memo:
    """All that one converter remembers; every part is a dict that its users read directly.

    Sound at any moment: forgetting changes dicts in place, and rows that were handed out live on.
    """

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0
        self.effort = 0  # parts of values that were converted one by one; see Notes
        self.pairs = Pairs(self)
        self.resources: dict[Key, ResourceRow] = {}
        self.scopes: dict[Key, ScopeRow] = {}
        self.metrics: dict[Key, MetricRow] = {}
        self.series: dict[SeriesGroup, dict[Key, SeriesRow]] = {}

    def series_of(self, group: SeriesGroup) -> dict[Key, SeriesRow]:
        """Return the series of one metric, resource and scope by their undecoded attributes."""
        known = self.series.get(group)
        if known is None:
            self.spend(SLOT_BYTES)
            known = self.series[group] = {}
        return known

    def remember(self, table: dict[Key, RowT], key: Key, row: RowT, notes: Notes) -> None:
        """Keep ``row`` in ``table``, unless it was repaired, has duplicate keys or is large."""
        size = sum(map(len, key))
        if size <= DIMENSION_BYTES_MAX and row.raw is None and notes.repair is None:
            self.spend(row_bytes(row) + size + KEY_PART_BYTES * len(key))
            table[key] = row

    def spend(self, size: int) -> None:
        """Account for an entry about to be remembered; forget all others when it is too much."""
        self.used_bytes += size
        if self.used_bytes > self.bytes_max:
            self.clear()
            self.used_bytes = size

    def clear(self) -> None:
        """Forget everything."""
        for part in (self.pairs, self.resources, self.scopes, self.metrics, self.series):
            part.clear()
        self.used_bytes = 0


def row_bytes(row: DimensionRow) -> int:
    """Return about what a dimension row costs in memory, with its place in a dict."""
    return SLOT_BYTES + sum([getsizeof(column) for column in row if isinstance(column, str)])
