"""Spans as a tree, whatever their senders wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple


class Place(NamedTuple):
    """A span at its place in the tree.

    Attributes:
        number: which of the spans, from 0.
        depth: 0 at the top.
        is_orphan: it has a parent, which is not among the spans, or is itself below it.
    """

    number: int
    depth: int
    is_orphan: bool


def tree_order(spans: Sequence[tuple[Hashable, Hashable | None]]) -> Iterator[Place]:
    """Yield each span before its children; roots first, then orphans, both in the order given.

    Every span is there once: of two with one id the first has the children, and of a ring of parents
    the first counts as an orphan.

    Shape: ids and those of parents, None for a root; children come in the order given.
    """
    places: dict[Hashable, int] = {}
    for index, (span_id, _) in enumerate(spans):
        places.setdefault(span_id, index)
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    orphans: list[int] = []
    for index, (_, parent) in enumerate(spans):
        above = None if parent is None else places.get(parent)
        if parent is not None and (above is None or above == index):
            orphans.append(index)
        else:
            children[above].append(index)
    walked = [False] * len(spans)
    yield from _walk(children, children[None], walked, is_orphan=False)
    yield from _walk(children, orphans, walked, is_orphan=True)
    yield from _walk(children, range(len(spans)), walked, is_orphan=True)


def _walk(
    children: Mapping[int | None, list[int]],
    tops: Iterable[int],
    walked: list[bool],
    *,
    is_orphan: bool,
) -> Iterator[Place]:
    """Yield what hangs below each of ``tops`` that was not walked yet, without recursion."""
    for top in tops:
        waiting = [(0, top)]
        while waiting:
            depth, index = waiting.pop()
            if walked[index]:
                continue
            walked[index] = True
            yield Place(index, depth, is_orphan and depth == 0)
            waiting += [(depth + 1, child) for child in reversed(children.get(index, ()))]
