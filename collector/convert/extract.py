"""Items cut out of a request again, with their original bytes, as requests of their own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TypeAlias

from collector.convert.framing import DEPTH_MAX, Frame, Leaf, Walk
from collector.convert.tags import field_of
from collector.rows import Signal

UNLIMITED = 2**40

Piece: TypeAlias = tuple[Frame | None, bytes]
"""Bytes, and the message that they stand in (None: the request)."""


def item_payload(signal: Signal, payload: bytes, index: int) -> bytes:
    """Return item number ``index`` as a request of one item, with its resource, scope and metric.

    Nothing is decoded or repaired: every byte of the item and of what is around it is the sender's,
    unknown fields included. Only the lengths of the messages around it are new.

    Shape: ``payload`` is an export request that ``Converter`` has accepted; items count from 0 in
    the order of the wire.

    Raises:
        IndexError: the request has no such item.
        UndecodableError: it is no request of this signal.
    """
    walk = Walk(signal, payload, items_max=UNLIMITED, large_bytes=UNLIMITED)
    for _ in walk.steps():
        pass
    if not 0 <= index < walk.items:
        raise IndexError(index)
    return Extractor(payload, walk.leaves).cut([index])


class Extractor:
    """Cuts items out of one request whose leaves are known."""

    def __init__(self, payload: bytes, leaves: Sequence[Leaf]) -> None:
        self._payload = payload
        self._leaves = leaves

    def cut(self, indexes: Iterable[int]) -> bytes:
        """Return a request of just these items; what they share is written once.

        Shape: ``indexes`` ascend. The result is hardly longer than the whole request.
        """
        pieces: list[Piece] = [(leaf.frame, item) for leaf, item in map(self._find, indexes)]
        for depth in range(DEPTH_MAX, 0, -1):
            pieces = _enclose(pieces, depth)
        return b"".join([content for _, content in pieces])

    def _find(self, index: int) -> tuple[Leaf, bytes]:
        """Return the item's leaf and its bytes, tag included."""
        leaf = self._leaves[bisect_right(self._leaves, index, key=attrgetter("first")) - 1]
        place = index - leaf.first
        for run in leaf.runs:
            if place < len(run) - 1:
                return leaf, self._payload[run[place] : run[place + 1]]
            place -= len(run) - 1
        raise IndexError(index)


def _enclose(pieces: list[Piece], depth: int) -> list[Piece]:
    """Wrap pieces whose frame stands at ``depth`` in it; neighbours in one frame share it."""
    enclosed: list[Piece] = []
    for frame, group in groupby(pieces, key=itemgetter(0)):
        contents = [content for _, content in group]
        if frame is not None and frame.depth == depth:
            message = field_of(frame.tag, frame.head + b"".join(contents))
            enclosed.append((frame.parent, message))
        else:
            enclosed += [(frame, content) for content in contents]
    return enclosed
