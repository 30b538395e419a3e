"""The conversion of one request: what is under way between the first byte and the last row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sized
from operator import itemgetter
from typing import Any, Protocol, cast

from google.protobuf.message import DecodeError

from collector.convert import logs, metrics, traces
from collector.convert.around import Known, Surroundings
from collector.convert.framing import BROKEN_METRIC, Leaf, Walk
from collector.convert.letters import LETTER_BYTES, LetterWriter
from collector.convert.memo import Memo
from collector.convert.output import Columns, Group, Output, Row
from collector.convert.survey import has_too_many_parts
from collector.convert.tags import read_field
from collector.convert.times import Window, day_of
from collector.errors import MalformedError
from collector.rows import (
    TIME_INDEX,
    ConvertedRequest,
    DeadLetterRow,
    Dimensions,
    Reason,
    Signal,
)
from collector.settings import ConvertSettings

SLICE_BYTES_MAX = 2**15
"""A slice also ends here, so that a turn can: its 15 000 smallest parts take some 40 ms."""

TURN_BYTES_MAX, TURN_EFFORT_MAX = 2**19, 5_000
"""A turn also ends after this many bytes, or parts that had to be converted one by one."""

REQUEST_BYTES = 1_500
"""What a converted request costs besides payload, rows, dimensions and letters."""

MARK_BYTES = 140
"""What it takes to remember the reason of an item that is quarantined or repaired."""

NO_IDENTITY = frozenset({Reason.UNDECODABLE, Reason.INVALID_TRACE_ID, Reason.INVALID_SPAN_ID})
"""What happens to items of another signal; any other quarantine is of an item that may be ours."""

NO_ENTROPY = frozenset({Reason.INVALID_TRACE_ID, Reason.INVALID_SPAN_ID})
"""Such an item was decoded, and its time has been counted; any other one counts as unique."""


class SignalModule(Protocol):
    """What ``traces``, ``metrics`` and ``logs`` have in common."""

    COLUMNS: Columns

    def kind_of(self, member: str, /) -> str:
        """Return what ``survey`` calls the items of a leaf."""
        ...

    def decode_items(self, member: str, piece: bytes, /) -> Iterable[Any]:
        """Return the items in a piece of a leaf, or raise DecodeError."""
        ...

    def row_maker(
        self, member: str, group: Group, output: Output, memo: Memo, window: Window, /
    ) -> Callable[[Any], Row]:
        """Return the function that makes the row of one item, or raises QuarantineError."""
        ...


MODULES: dict[Signal, SignalModule] = {
    Signal.TRACES: cast("SignalModule", traces),
    Signal.METRICS: cast("SignalModule", metrics),
    Signal.LOGS: cast("SignalModule", logs),
}


class Conversion:
    """Converts one request and is then used up.

    Args:
        signal: what the request should be.
        payload: its bytes.
        settings: bounds.
        memo: of the converter.
        window: times under which a row may stand.
    """

    def __init__(
        self,
        signal: Signal,
        payload: bytes,
        settings: ConvertSettings,
        memo: Memo,
        window: Window,
    ) -> None:
        self._signal = signal
        self._module = MODULES[signal]
        self._payload = payload
        self._settings = settings
        self._large_bytes = min(settings.parts_max, settings.item_bytes_max)
        self._walk = Walk(
            signal, payload, items_max=settings.items_max, large_bytes=self._large_bytes
        )
        self._letters: LetterWriter | None = None
        self._memo = memo
        self._window = window
        self._output = Output()
        self._surroundings = Surroundings(memo, settings)
        self._group_letters: dict[int, Reason] = {}
        self._repaired = 0
        self._items_of_turn = 0
        self._bytes_of_turn = 0
        self._effort_of_turns = memo.effort

    @property
    def size_bytes(self) -> int:
        """Estimate of what the request holds in memory so far."""
        output = self._output
        return (
            REQUEST_BYTES
            + len(self._payload)
            + self._walk.size_bytes
            + output.size_bytes
            + MARK_BYTES * (len(output.quarantined) + len(output.repaired))
            + (self._letters.size_bytes if self._letters else 0)
        )

    def steps(self, digest: bytes) -> Generator[None, None, ConvertedRequest]:
        """Convert everything; see ``Converter.steps``."""
        for leaf in (yield from self._walk.steps()):
            yield from self._convert_leaf(leaf)
        return (yield from self._finish(digest, self._walk))

    # -- leaves ------------------------------------------------------------------------------

    def _convert_leaf(self, leaf: Leaf) -> Generator[None]:
        made_bytes = self._surroundings.made_bytes
        around = self._surroundings.of(leaf)
        if self._surroundings.made_bytes > made_bytes:
            self._bytes_of_turn += self._surroundings.made_bytes - made_bytes
            if self._is_turn_over():
                yield
        is_shared, failure = True, None
        for known in around:
            is_shared = is_shared and known.is_shared
            failure = failure or known.failure
        if failure or leaf.member == BROKEN_METRIC:
            self._quarantine_leaf(leaf, failure or Reason.UNDECODABLE)
            if self._is_turn_over():
                yield
            return
        is_metric_repaired = len(around) == 3 and around[2].repair is not None
        group = Group(*[k.row for k in around], is_metric_repaired=is_metric_repaired)
        self._output.add_group(group, is_shared=is_shared)
        rows_before, repaired_before = len(self._output.rows), len(self._output.repaired)
        index = leaf.first
        for run in leaf.runs:
            is_large = len(run) == 2 and run[1] - run[0] >= self._large_bytes
            if is_large and (yield from self._is_refused(leaf.member, run, index)):
                index += 1
                continue
            yield from self._convert_run(leaf.member, group, run, index)
            index += len(run) - 1
        rows = len(self._output.rows) - rows_before
        self._count_repairs(leaf, around, rows, len(self._output.repaired) - repaired_before)

    def _quarantine_leaf(self, leaf: Leaf, reason: Reason) -> None:
        self._output.quarantined.update(
            dict.fromkeys(range(leaf.first, leaf.first + leaf.items), reason)
        )
        self._items_of_turn += leaf.items

    def _count_repairs(
        self, leaf: Leaf, around: list[Known], rows: int, repaired_items: int
    ) -> None:
        """Count the leaf's repaired items: all of them when what is around them was repaired.

        What is around gets one letter, that of the first item that has a row.
        """
        repairs = [known for known in around if known.repair]
        self._repaired += rows if repairs else repaired_items
        if not rows:
            return
        for known in repairs:
            if known.repair and not known.has_letter:
                known.has_letter = True
                items = range(leaf.first, leaf.first + leaf.items)
                index = next(item for item in items if item not in self._output.quarantined)
                self._group_letters[index] = known.repair

    # -- runs --------------------------------------------------------------------------------

    def _is_refused(self, member: str, run: list[int], index: int) -> Generator[None, None, bool]:
        """Quarantine a large item, undecoded, when it would cost too much; a turn may end here."""
        start, end = run
        reason = None
        self._items_of_turn += 1
        if end - start > self._settings.item_bytes_max:
            reason = Reason.TOO_LARGE
        elif end - start >= self._settings.parts_max:
            reason = self._reason_of_parts(member, start, end)
        if reason:
            self._output.quarantined[index] = reason
        if self._is_turn_over():
            yield
        return reason is not None

    def _reason_of_parts(self, member: str, start: int, end: int) -> Reason | None:
        content = self._payload[read_field(self._payload, start, end).content : end]
        try:
            kind, parts_max = self._module.kind_of(member), self._settings.parts_max
            if has_too_many_parts(content, kind, parts_max, self._output.notes):
                return Reason.TOO_MANY_PARTS
        except MalformedError:
            return Reason.UNDECODABLE
        return None

    def _convert_run(
        self, member: str, group: Group, run: list[int], first: int
    ) -> Generator[None]:
        """Convert adjacent items in slices; yield when the turn is over."""
        begin, last = 0, len(run) - 1
        while begin < last:
            end = min(last, begin + self._settings.slice_items - self._items_of_turn)
            fitting = bisect_right(run, run[begin] + SLICE_BYTES_MAX, begin, end + 1) - 1
            end = max(fitting, begin + 1)
            self._convert_slice(member, group, run[begin : end + 1], first + begin)
            self._items_of_turn += end - begin
            self._bytes_of_turn += run[end] - run[begin]
            begin = end
            if self._is_turn_over():
                yield

    def _is_turn_over(self) -> bool:
        effort = self._output.notes.effort + self._memo.effort
        if (
            self._items_of_turn < self._settings.slice_items
            and self._bytes_of_turn < TURN_BYTES_MAX
            and effort - self._effort_of_turns < TURN_EFFORT_MAX
        ):
            return False
        self._items_of_turn = self._bytes_of_turn = 0
        self._effort_of_turns = effort
        return True

    def _convert_slice(self, member: str, group: Group, bounds: list[int], first: int) -> None:
        """Convert the items between ``bounds`` together; one by one when one does not decode."""
        try:
            items = self._module.decode_items(member, self._payload[bounds[0] : bounds[-1]])
        except DecodeError:
            if len(bounds) == 2:
                self._output.quarantined[first] = Reason.UNDECODABLE
                return
            for place in range(len(bounds) - 1):
                self._convert_slice(member, group, bounds[place : place + 2], first + place)
            return
        assert len(cast("Sized", items)) == len(bounds) - 1
        row_of = self._module.row_maker(member, group, self._output, self._memo, self._window)
        self._output.add_rows(items, row_of, first, self._module.COLUMNS)

    # -- the end -----------------------------------------------------------------------------

    def _finish(self, digest: bytes, walk: Walk) -> Generator[None, None, ConvertedRequest]:
        output = self._output
        reasons = set(output.quarantined.values())
        request = ConvertedRequest(
            signal=self._signal,
            digest=digest,
            day=day_of(output.latest_ns),
            in_ledger=output.has_entropy or output.latest_ns > 0 or not reasons <= NO_ENTROPY,
            received_at=self._window.received_at,
            items=walk.items,
            rows=output.rows,
            item_indexes=self._item_indexes(walk.items),
            dimensions=output.dimensions,
            payload=self._payload,
            size_bytes=REQUEST_BYTES + len(self._payload) + output.size_bytes,
            time_min=0,
            time_max=0,
            repaired=self._repaired,
            quarantined=len(output.quarantined),
        )
        if walk.items > 1 and not output.has_identity and reasons <= NO_IDENTITY:
            self._reject(request)
            return request
        if output.rows:
            times = list(map(itemgetter(TIME_INDEX[self._signal]), output.rows))
            request.time_min, request.time_max = min(times), max(times)
        yield from self._write_letters(request, walk.leaves)
        return request

    def _item_indexes(self, items: int) -> list[int] | None:
        quarantined = self._output.quarantined
        if not quarantined:
            return None
        return [index for index in range(items) if index not in quarantined]

    def _write_letters(self, request: ConvertedRequest, leaves: list[Leaf]) -> Generator[None]:
        output = self._output
        writer = LetterWriter(self._signal, self._payload, leaves, request.received_at)
        self._letters = writer
        yield from writer.write("quarantined", output.quarantined)
        yield from writer.write("repaired", self._group_letters | output.repaired)
        request.dead_letters = writer.letters
        request.size_bytes += writer.size_bytes

    def _reject(self, request: ConvertedRequest) -> None:
        """Make it a request of another signal: no rows, and the whole body kept once."""
        letter = DeadLetterRow(
            self._signal, request.received_at, Reason.WRONG_SIGNAL, "rejected", self._payload
        )
        request.wrong_signal = True
        request.in_ledger = True  # a retry must not be kept again
        request.rows, request.item_indexes = [], None
        request.dimensions = Dimensions({}, {}, {}, {})
        request.dead_letters = [letter]
        request.size_bytes = REQUEST_BYTES + len(self._payload) + LETTER_BYTES
        request.repaired = request.quarantined = 0
        request.rejected = request.items
