"""Items cut out of a request again, with their original bytes, as requests of their own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import TypeAlias

from collector.convert.framing import DEPTH_MAX, Frame, Leaf
from collector.convert.tags import field_of

Piece: TypeAlias = tuple[Frame | None, bytes]
"""Bytes, and the message that they stand in (None: the request)."""


class Extractor:
    """Cuts items out of one request whose leaves are known."""

    def __init__(self, payload: bytes, leaves: Sequence[Leaf]) -> None:
        self._payload = payload
        self._leaves = leaves
        self._firsts = [leaf.first for leaf in leaves]
        self._run_firsts: dict[int, list[int]] = {}

    def cut(self, indexes: Iterable[int]) -> bytes:
        """Return a request of just these items; what they share is written once.

        Shape: ``indexes`` ascend. The result is hardly longer than the whole request.
        """
        pieces: list[Piece] = []
        for start, stop in _ranges(indexes):
            pieces += self._adjacent(start, stop)
        for depth in range(DEPTH_MAX, 0, -1):
            pieces = _enclose(pieces, depth)
        return b"".join([content for _, content in pieces])

    def _adjacent(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the items from ``start`` to before ``stop``, tags included, in as few pieces as may be."""
        place = bisect_right(self._firsts, start) - 1
        while start < stop:
            leaf, firsts = self._leaves[place], self._firsts_of_runs(place)
            for number in range(bisect_right(firsts, start) - 1, len(firsts)):
                run, first = leaf.runs[number], firsts[number]
                end = min(stop, first + len(run) - 1)
                if start >= end:
                    break
                yield leaf.frame, self._payload[run[start - first] : run[end - first]]
                start = end
            place += 1

    def _firsts_of_runs(self, place: int) -> list[int]:
        """Return the number of the first item of each run of a leaf; a leaf may have very many."""
        firsts = self._run_firsts.get(place)
        if firsts is None:
            leaf = self._leaves[place]
            sizes = (len(run) - 1 for run in leaf.runs)
            firsts = list(accumulate(sizes, initial=leaf.first))[:-1]
            self._run_firsts[place] = firsts
        return firsts


def _ranges(indexes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield ascending numbers as ranges: where each starts, and where it has ended."""
    start = stop = -1
    for index in indexes:
        if index != stop:
            if stop > start:
                yield start, stop
            start = index
        stop = index + 1
    if stop > start:
        yield start, stop


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
