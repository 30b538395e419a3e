"""What must hold for any bytes at all, and what was seen on the way: one case, no I/O.

- Only documented errors leave ``transcode`` and ``convert``, and a request that protobuf can read
  is never refused.
- The books balance; a quarantined or repaired item lies in the dead letters, and its letter comes
  to the same verdict again.
- What was stored says what was sent: ``restore`` gives it back, with every string repaired as
  ``lenient`` says and no other change; only what cannot be kept was left out.
- The result is a function of the bytes: a converter that has seen everything before, or that has
  just seen the same bytes, says the same as a new one; so does one with small caps, about all items
  that it keeps.
- No turn is long, and a result holds no more than it says.

PostgreSQL is asked elsewhere (``tests/storage.py``), with ``Judged.converted``.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from collector.convert.extract import Extractor
from collector.convert.framing import Walk
from collector.convert.letters import UNLIMITED
from collector.convert.otlp_json import transcode
from collector.convert.request import Converter
from collector.errors import (
    MalformedCallError,
    TooManyItemsError,
    TooManyValuesError,
    UndecodableError,
)
from collector.restore.requests import restore
from collector.rows import ConvertedRequest, Reason, Signal
from collector.settings import ConvertSettings
from tests.equality import assert_same_items
from tests.factories import ExportRequest
from tests.fuzz import lenient, wire_tree
from tests.fuzz.case import Case, Encoding
from tests.fuzz.items import Item, items_of
from tests.fuzz.memory import held_bytes
from tests.round_trip import has_valid_ids
from tests.strategies import NOW_UNIX_NANO, REQUEST_TYPES, RETENTION

Result = TypeVar("Result")

USUAL = ConvertSettings()
TIGHT = ConvertSettings(
    items_max=60, slice_items=3, item_bytes_max=1_024, parts_max=12, memo_bytes_max=2**16
)
"""Caps that small inputs reach, a turn after every third item, a memo that forgets often."""

JSON_GROWTH_MAX = 8
"""Bytes of protobuf per byte of JSON: ``0,`` in a list of bounds becomes eight."""

TURN_S_MAX = 0.3
"""Processor time of one turn of a conversion; six times what a turn should take (DESIGN)."""

LETTERS_TRIED = 8
"""Letters of one case that are converted again."""

BY_IDS = frozenset({Reason.INVALID_TRACE_ID, Reason.INVALID_SPAN_ID})
BY_SIZE = frozenset({Reason.TOO_LARGE, Reason.TOO_MANY_PARTS})
UNREADABLE = frozenset({Reason.UNDECODABLE, Reason.TOO_DEEP})

SIZE_FREE_BYTES, SIZE_SHARE = 4_096, 1.5
"""What a result may hold more than its ``size_bytes`` say: a part of the fixed costs, and half."""


@dataclass(slots=True)
class Judged:
    """What became of a case that is in order.

    Attributes:
        verdict: a word for statistics.
        converted: what is to be stored; None when the request was refused.
        restored: what its rows say.
        slowest_s: processor time of the longest turn.
    """

    verdict: str
    converted: ConvertedRequest | None = None
    restored: ExportRequest | None = None
    slowest_s: float = 0.0


class Oracle:
    """Judges cases one after the other; raises AssertionError, or what the code raised, if one fails.

    Args:
        weighs: measure what results hold, too; it takes as long as all the rest.
    """

    def __init__(self, *, weighs: bool = True) -> None:
        self._weighs = weighs
        self._old = _converter(USUAL)
        self._tight = _converter(TIGHT)

    def judge(self, case: Case) -> Judged:
        """Return what became of a case of protobuf or JSON."""
        encoding, signal = case.door
        assert signal is not None
        turns = Turns()
        wire = case.data
        if encoding is Encoding.JSON:
            try:
                wire = turns.run(transcode(signal, case.data, items_max=USUAL.items_max))
            except (MalformedCallError, TooManyItemsError, TooManyValuesError) as refusal:
                answer = str(refusal)
                assert len(answer) < 4_096, "the answer grows with the request"
                return Judged("no JSON", slowest_s=turns.slowest_s)
            assert len(wire) <= 64 + JSON_GROWTH_MAX * len(case.data)
        judged = self._judge_wire(signal, wire, turns)
        if encoding is Encoding.JSON:
            assert judged.verdict != "undecodable", "JSON became bytes that are no protobuf"
        judged.slowest_s = turns.slowest_s
        return judged

    def _judge_wire(self, signal: Signal, wire: bytes, turns: Turns) -> Judged:
        sent = lenient.read(signal, wire)
        try:
            converted = turns.run(_steps(_converter(USUAL), signal, wire))
        except UndecodableError:
            assert sent is None or _has_groups(signal, wire), (
                "refused, although protobuf can read it"
            )
            return Judged("undecodable")
        except TooManyItemsError:
            return Judged("too many items")
        _check_books(converted)
        if self._weighs:
            held = held_bytes(converted)
            assert held <= SIZE_FREE_BYTES + SIZE_SHARE * converted.size_bytes, (
                f"holds {held} bytes and says {converted.size_bytes}"
            )
        for _ in range(2):  # as it is after all that came before, and after these very bytes
            _check_same(converted, turns.run(_steps(self._old, signal, wire)))
        self._check_tight(converted, turns)
        _check_letters(converted)
        if sent is not None:
            _check_fates(converted, sent)
        if converted.wrong_signal:
            return Judged("wrong signal", converted)
        return Judged(_verdict(converted), converted, _check_restored(converted))

    def _check_tight(self, usual: ConvertedRequest, turns: Turns) -> None:
        """What small caps leave must be as it is without them."""
        try:
            tight = turns.run(_steps(self._tight, usual.signal, usual.payload))
        except TooManyItemsError:
            return
        _check_books(tight)
        assert tight.items == usual.items
        if usual.wrong_signal or tight.wrong_signal:
            return
        rows = dict(zip(_indexes(usual), usual.rows, strict=True))
        for index, row in zip(_indexes(tight), tight.rows, strict=True):
            assert repr(rows[index]) == repr(row), f"caps change the row of item {index}"


class Turns:
    """Runs generators to their end and keeps the longest turn, in processor time of this thread."""

    def __init__(self) -> None:
        self.slowest_s = 0.0

    def run(self, steps: Generator[object, None, Result]) -> Result:
        """Return what ``steps`` returns."""
        while True:
            began_s = time.thread_time()
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            finally:
                self.slowest_s = max(self.slowest_s, time.thread_time() - began_s)


def _converter(settings: ConvertSettings) -> Converter:
    return Converter(settings, retention_s=RETENTION.total_seconds())


def _steps(
    converter: Converter, signal: Signal, wire: bytes
) -> Generator[int, None, ConvertedRequest]:
    return converter.steps(signal, wire, digest=bytes(16), now_ns=NOW_UNIX_NANO)


def _convert(signal: Signal, wire: bytes) -> ConvertedRequest:
    return Turns().run(_steps(_converter(USUAL), signal, wire))


def _verdict(converted: ConvertedRequest) -> str:
    if converted.quarantined:
        return "quarantined"
    if converted.repaired:
        return "repaired"
    return "stored" if converted.items else "empty"


def _indexes(converted: ConvertedRequest) -> list[int] | range:
    """Return the item number of each row."""
    indexes = converted.item_indexes
    return range(len(converted.rows)) if indexes is None else indexes


# -- books and letters ---------------------------------------------------------------------------


def _check_books(converted: ConvertedRequest) -> None:
    rows = len(converted.rows)
    assert converted.items == rows + converted.quarantined + converted.rejected
    assert converted.repaired <= rows
    if not converted.wrong_signal:
        assert len(_indexes(converted)) == rows
        assert not converted.rejected
    letters = {
        outcome: [letter for letter in converted.dead_letters if letter.outcome == outcome]
        for outcome in ("quarantined", "repaired", "rejected")
    }
    kept = sum(len(_Items(converted.signal, letter.payload)) for letter in letters["quarantined"])
    assert kept == converted.quarantined, "an item is neither stored nor kept"
    assert bool(letters["repaired"]) == (converted.repaired > 0)
    assert len(letters["rejected"]) == converted.wrong_signal


def _check_same(one: ConvertedRequest, other: ConvertedRequest) -> None:
    """Fail when two results differ in anything but their estimated size."""
    for name in ConvertedRequest.__slots__:
        if name != "size_bytes":
            # As text, in which NaN is equal to NaN.
            found, wanted = repr(getattr(other, name)), repr(getattr(one, name))
            assert found == wanted, f"{name} depends on what came before"


def _check_letters(converted: ConvertedRequest) -> None:
    signal = converted.signal
    rows = {repr(row) for row in converted.rows} if converted.repaired else set[str]()
    for letter in converted.dead_letters[:LETTERS_TRIED]:
        again = _convert(signal, letter.payload)
        if letter.outcome == "rejected":
            assert again.wrong_signal
            continue
        if again.items != 1:  # the last letter of very many items
            continue
        assert [letter.reason for letter in again.dead_letters[:1]] == [letter.reason], (
            "another reason than at first"
        )
        assert again.dead_letters[0].payload == letter.payload
        if letter.outcome == "repaired":
            assert again.repaired == 1
            assert repr(again.rows[0]) in rows, "the letter of another item"
        else:
            assert again.quarantined == 1


class _Items:
    """Where the items of some bytes are, so that they can be cut out."""

    def __init__(self, signal: Signal, wire: bytes) -> None:
        walk = Walk(signal, wire, items_max=UNLIMITED, large_bytes=UNLIMITED)
        for _ in walk.steps():
            pass
        self._count = walk.items
        self._extractor = Extractor(wire, walk.leaves)

    def __len__(self) -> int:
        return self._count

    def cut(self, indexes: Iterator[int] | list[int] | range) -> bytes:
        return self._extractor.cut(indexes)


# -- rows ----------------------------------------------------------------------------------------


def _check_restored(converted: ConvertedRequest) -> ExportRequest:
    """Compare what the rows say with the items that have one; return what they say.

    The wanted side is cut out of the request, so it works where other items are unreadable.
    """
    signal = converted.signal
    restored = restore(signal, converted.rows, converted.dimensions)
    cut = _Items(signal, converted.payload)
    stored = _read_stored(signal, cut.cut(_indexes(converted)))
    wanted = lenient.repaired(signal, stored)
    assert_same_items(restored, wanted)
    found = list(items_of(signal, stored))
    assert converted.repaired == sum(map(_is_repaired, found))
    if signal is Signal.TRACES:
        assert all(has_valid_ids(item.item) for item in found)
    return restored


def _read_stored(signal: Signal, wire: bytes) -> Message:
    """Return items that were stored.

    Groups, which OTLP does not have, are skipped; protobuf counts their depth as that of the whole
    request, and convert as that of the part that it reads.
    """
    stored = lenient.read(signal, wire)
    if stored is None:
        fields = wire_tree.read(wire, REQUEST_TYPES[signal].DESCRIPTOR)
        assert fields is not None, "an item was stored that is no protobuf"
        stored = lenient.read(signal, wire_tree.write(wire_tree.without_groups(fields)))
    assert stored is not None, "an item was stored that protobuf cannot read"
    return stored


def _has_groups(signal: Signal, wire: bytes) -> bool:
    """Tell whether a request holds groups, in which upb skips what is no field (number 0)."""
    fields = wire_tree.read(wire, REQUEST_TYPES[signal].DESCRIPTOR)
    return fields is not None and wire_tree.without_groups(fields) != fields


def _is_repaired(item: Item) -> bool:
    """Tell whether something in an item, or in the heads of the groups around it, is repaired."""
    if lenient.is_dirty(item.item):
        return True
    return any(map(_is_head_dirty, item.around))


def _is_head_dirty(group: Message) -> bool:
    head = type(group)()
    head.CopyFrom(group)
    for name in ("scope_spans", "scope_metrics", "scope_logs", "spans", "metrics", "log_records"):
        if name in head.DESCRIPTOR.fields_by_name:
            head.ClearField(name)
    if "data" in head.DESCRIPTOR.oneofs_by_name:
        head.ClearField("data")
    return lenient.is_dirty(head)


def _check_fates(converted: ConvertedRequest, sent: Message) -> None:
    """Check what was left out of a request that is readable as a whole."""
    signal = converted.signal
    items = list(items_of(signal, sent))
    assert len(items) == converted.items
    if converted.wrong_signal:
        assert len(items) > 1
        assert not any(_shows_signal(signal, item) for item in items), "an item shows its signal"
        return
    reasons = {
        Reason(letter.reason)
        for letter in converted.dead_letters
        if letter.outcome == "quarantined"
    }
    if reasons & UNREADABLE:
        assert _has_groups(signal, converted.payload), f"{reasons}, and protobuf can read all items"
        return
    if reasons & BY_SIZE:
        assert len(converted.payload) > min(USUAL.parts_max, USUAL.item_bytes_max)
        return
    stored = set(_indexes(converted))
    for index, item in enumerate(items):
        is_valid = signal is not Signal.TRACES or has_valid_ids(item.item)
        assert is_valid == (index in stored), f"item {index} met another fate than its ids tell"
    if len(items) > 1 and not any(_may_show_signal(signal, item) for item in items):
        raise AssertionError("no item shows its signal, and the request was taken")


def _shows_signal(signal: Signal, item: Item) -> bool:
    """Tell whether an item is surely of its signal (DESIGN section 7), by anything not repaired."""
    if not _may_show_signal(signal, item):
        return False
    if signal is Signal.METRICS:
        name = item.around[-1].name
        return bool(item.item.time_unix_nano) or (b"\xef\xbf\xbd" not in name and clean_name(name))
    if signal is Signal.LOGS and not _has_time(item.item):
        return not lenient.is_dirty(item.item)
    return True


def clean_name(name: bytes) -> bool:
    """Tell whether a metric's name is as it was sent."""
    return lenient.clean(name).encode() == name


def _may_show_signal(signal: Signal, item: Item) -> bool:
    """Tell whether an item could be taken for one of its signal."""
    if signal is Signal.TRACES:
        return has_valid_ids(item.item)
    if signal is Signal.METRICS:
        return item.around[-1].name != b""
    return _has_time(item.item) or item.item.body.WhichOneof("value") is not None


def _has_time(record: Any) -> bool:
    return bool(record.time_unix_nano or record.observed_time_unix_nano)
