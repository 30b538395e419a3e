"""Where every item of a request starts and ends, found without decoding any.

The walk counts items before memory is spent on them and stops at the cap. It keeps what is around
the items (``Frame``: resource, scope, metric) as the original bytes, so that an item can be cut
out as a request of its own, and it puts large items into runs of their own, because only they can
hold too many parts.

Protobuf's rules that the walk must share with a real decoder: fields may come in any order, a
singular message given twice is merged, the last member of a oneof wins, and unknown fields of any
wire type are skipped.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from collector.convert.tags import START_GROUP, Field, find_field, read_field, read_fields
from collector.errors import MalformedError, TooManyItemsError, UndecodableError
from collector.rows import Signal

RESOURCE_TAG, SCOPE_TAG, ITEM_TAG, POINT_TAG = 0x0A, 0x12, 0x12, 0x0A
"""Fields 1, 2, 2 and 1, length-delimited: the same numbers in all three signals."""

MEMBERS = {
    0x2A: "gauge",
    0x3A: "sum",
    0x4A: "histogram",
    0x52: "exponential_histogram",
    0x5A: "summary",
}
"""Tag of each member of ``Metric.data``."""

DEPTH_MAX = 4
"""Frames around a data point: resource, scope, metric, data; two around spans and log records."""

BROKEN_METRIC = "broken"
FIELDS_PER_ITEM_MAX, FIELDS_FREE = 16, 1_000
"""Groups cost time and memory too: this many fields around each item are fine, and besides as many
as the cap on items. A point alone in its resource, with all of OTLP around it, has about fourteen.
What items do not use is not saved for later, or memory would follow. A group counts by its bytes.
"""

LEAF_BYTES, CHILD_BYTES, RUN_BYTES, OFFSET_BYTES = 500, 160, 200, 40
"""What is kept of a leaf, of a message on the way to it, of a run and of an item: 200 000 resources of
6 bytes on the wire, with one empty item each, hold 100 MiB until they are converted."""

FIELDS_PER_TURN = 10_000
"""Fields of framing between two turns of the event loop."""


@dataclass(slots=True, eq=False)
class Frame:
    """A message around items: all of its fields but those on the way to the items.

    Compared by identity: two equal resources of one request are two frames.
    """

    tag: int  # how its parent refers to it
    head: bytes  # the other fields, as sent, in the order of the wire
    parent: Frame | None
    depth: int  # 1 for a child of the request


@dataclass(slots=True, eq=False)
class Leaf:
    """Items that stand in the same message.

    Shape: a run is a list of n + 1 ascending offsets of n adjacent items, tags included; ``first``
    is the number, in its request, of the leaf's first item.
    """

    frame: Frame
    member: str  # "items", a member of Metric.data, or BROKEN_METRIC
    first: int
    runs: list[list[int]]
    items: int = field(init=False)

    def __post_init__(self) -> None:
        self.items = sum(map(len, self.runs)) - len(self.runs)


class Walk:
    """One pass over the framing of one request.

    Args:
        signal: what the request should be.
        payload: its bytes.
        items_max: stop with TooManyItemsError beyond this.
        large_bytes: items of this size or more get runs of their own.
    """

    def __init__(self, signal: Signal, payload: bytes, *, items_max: int, large_bytes: int) -> None:
        self._signal = signal
        self._payload = payload
        self._items_max = items_max
        self._fields_max = FIELDS_FREE + items_max
        self._fields_left = self._fields_max
        self._fields_of_turn = 0
        # A length below these takes one or two bytes and belongs to an item that is not large.
        self._one_byte = min(128, large_bytes)
        self._two_bytes = min(128, large_bytes >> 7)
        self.leaves: list[Leaf] = []
        self.items = 0
        self._around_bytes = 0  # held by what is not in a leaf yet

    @property
    def size_bytes(self) -> int:
        """Estimate of what has been found so far, in memory."""
        return LEAF_BYTES * len(self.leaves) + OFFSET_BYTES * self.items + self._around_bytes

    def steps(self) -> Generator[None, None, list[Leaf]]:
        """Return the leaves that hold items, in the order of the wire; yield now and then.

        Raises:
            UndecodableError: the framing of the request, a resource or a scope is broken.
            TooManyItemsError: more items, or more empty groups, than the cap.
        """
        try:
            yield from self._walk()
        except (MalformedError, IndexError) as error:  # IndexError: a tag or length is cut off
            raise UndecodableError(self._signal) from error
        return self.leaves

    def _walk(self) -> Generator[None]:
        for part in read_fields(self._payload, 0, len(self._payload)):
            self._spend_field(part.tag, part.end - part.start)
            if self._is_turn_over():
                yield
            if part.tag != RESOURCE_TAG:
                continue
            head, scopes = yield from self._split(part, SCOPE_TAG)
            resource = Frame(RESOURCE_TAG, head, None, 1)
            for scope in scopes:
                if self._signal is Signal.METRICS:
                    yield from self._walk_metrics(resource, scope)
                else:
                    yield from self._walk_scope(resource, scope)

    def _walk_scope(self, resource: Frame, scope: Field) -> Generator[None]:
        others: list[bytes] = []
        runs = yield from self._find_items(scope.content, scope.end, ITEM_TAG, others)
        self._add_leaf(Frame(SCOPE_TAG, b"".join(others), resource, 2), "items", runs)

    def _walk_metrics(self, resource: Frame, scope: Field) -> Generator[None]:
        head, metrics = yield from self._split(scope, ITEM_TAG)
        frame = Frame(SCOPE_TAG, head, resource, 2)
        for metric in metrics:
            try:
                yield from self._walk_metric(frame, metric)
            except (MalformedError, IndexError):  # its points cannot be told apart: one bad item
                self._add_leaf(frame, BROKEN_METRIC, [[metric.start, metric.end]])
            if self._is_turn_over():
                yield

    def _walk_metric(self, scope: Frame, metric: Field) -> Generator[None]:
        """Find the data points of one metric."""
        payload, position, end = self._payload, metric.content, metric.end
        others: list[bytes] = []
        member, pieces = 0, list[tuple[int, int]]()
        while position < end:
            start = position
            tag, content, position = find_field(payload, start, end)
            self._spend_field(tag, position - start)
            if self._fields_of_turn >= FIELDS_PER_TURN and self._is_turn_over():
                yield
            if tag not in MEMBERS:
                others.append(payload[start:position])
                continue
            if tag != member:  # another member of the oneof: what came before is void
                member, pieces = tag, []
            pieces.append((content, position))
        data_others: list[bytes] = []
        runs: list[list[int]] = []
        for piece in pieces:
            runs += yield from self._find_items(*piece, POINT_TAG, data_others)
        frame = Frame(ITEM_TAG, b"".join(others), scope, 3)
        self._add_leaf(
            Frame(member, b"".join(data_others), frame, 4), MEMBERS.get(member, ""), runs
        )

    def _split(
        self, around: Field, child_tag: int
    ) -> Generator[None, None, tuple[bytes, list[Field]]]:
        """Return the other fields of a message, joined, and its children; yield now and then."""
        others: list[bytes] = []
        children: list[Field] = []
        charged = 0
        for part in read_fields(self._payload, around.content, around.end):
            self._spend_field(part.tag, part.end - part.start)
            if self._is_turn_over():
                self._around_bytes += CHILD_BYTES * (len(children) - charged)
                charged = len(children)
                yield
            if part.tag == child_tag:
                children.append(part)
            else:
                others.append(self._payload[part.start : part.end])
        self._around_bytes += CHILD_BYTES * (len(children) - charged)
        return b"".join(others), children

    def _find_items(
        self, start: int, end: int, item_tag: int, others: list[bytes]
    ) -> Generator[None, None, list[list[int]]]:
        """Return the runs of the items in ``payload[start:end]``; other fields go to ``others``.

        The loop runs once per item of every request, so the usual lengths are read in place.
        """
        payload, position = self._payload, start
        one_byte, two_bytes = self._one_byte, self._two_bytes
        run = [position]
        runs = [run]
        for _ in range(self._items_max + self._fields_left + 1):
            if position >= end:
                break
            if payload[position] == item_tag:
                size = payload[position + 1]
                if size < one_byte:
                    position += size + 2
                    run.append(position)
                    continue
                high = payload[position + 2]
                if size >= 128 and high < two_bytes:
                    position += (size & 127 | high << 7) + 3
                    run.append(position)
                    continue
            part = read_field(payload, position, end)
            self._around_bytes += RUN_BYTES
            if part.tag == item_tag:
                runs.append([position, part.end])
            else:
                others.append(payload[position : part.end])
                self._spend_field(part.tag, part.end - part.start)
                if self._is_turn_over():
                    yield
            position = part.end
            run = [position]
            runs.append(run)
        else:
            raise TooManyItemsError(self._items_max)
        if position > end:
            raise MalformedError
        return [run for run in runs if len(run) > 1]

    def _add_leaf(self, frame: Frame, member: str, runs: list[list[int]]) -> None:
        if not runs:
            return
        leaf = Leaf(frame, member, self.items, runs)
        self.items += leaf.items
        earned = self._fields_left + FIELDS_PER_ITEM_MAX * leaf.items
        self._fields_left = min(earned, self._fields_max)
        self._fields_of_turn += leaf.items
        if self.items > self._items_max:
            raise TooManyItemsError(self._items_max)
        self.leaves.append(leaf)

    def _spend_field(self, tag: int, size: int) -> None:
        fields = 1 if tag & 7 != START_GROUP else size // 2  # as many as it may hold
        self._fields_of_turn += fields
        self._fields_left -= fields
        if self._fields_left < 0:
            raise TooManyItemsError(self._items_max)

    def _is_turn_over(self) -> bool:
        if self._fields_of_turn < FIELDS_PER_TURN:
            return False
        self._fields_of_turn = 0
        return True
