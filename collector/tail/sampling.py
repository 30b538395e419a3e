"""Which of the committed items are shown when there are more than a tail may cost."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from collector.rows import ConvertedRequest, LogRow, Signal, SpanRow
from collector.tail.message import Pick
from collector.telemetry.clock import Clock

_TRACE_ID_OF: Final = itemgetter(SpanRow._fields.index("trace_id"))

_BAD: Final = {
    Signal.TRACES: (itemgetter(SpanRow._fields.index("status_code")), 2),
    Signal.LOGS: (itemgetter(LogRow._fields.index("severity_number")), 17),
}
"""Where a row says how bad it is, and from what on it is an error; no data point does."""

BURST_S: Final = 0.5
"""What was not used is kept for so long."""


class Sampler:
    """Picks at most ``per_s_max`` items a second of one signal, ``at_once_max`` from one flush.

    What went wrong comes first: error records and spans have up to half of the room for
    themselves. Of the rest of the spans whole traces are kept, chosen by their ids, so that a tree
    that is shown is rarely one with holes; of everything else every n-th item.
    """

    def __init__(self, per_s_max: int, at_once_max: int, clock: Clock) -> None:
        self._per_s_max = per_s_max
        self._at_once_max = at_once_max
        self._clock = clock
        self._room = per_s_max * BURST_S
        self._filled_s = clock.monotonic_s()

    def pick(self, signal: Signal, requests: Sequence[ConvertedRequest], items: int) -> list[Pick]:
        """Return what is to be shown of the rows of ``requests``, ``items`` in all, in their order."""
        now_s = self._clock.monotonic_s()
        earned = (now_s - self._filled_s) * self._per_s_max
        self._room = min(self._room + earned, max(1.0, self._per_s_max * BURST_S))
        self._filled_s = now_s
        room = min(int(self._room), self._at_once_max)
        if items <= room:
            picks = [(request, row) for request in requests for row in request.rows]
        elif not room:
            return []
        else:
            picks = _sample(signal, requests, items, room)
        self._room -= len(picks)
        return picks


def _sample(
    signal: Signal, requests: Sequence[ConvertedRequest], items: int, room: int
) -> list[Pick]:
    """Return ``room`` of the rows, or nearly as many; all are looked at, so nothing is made of each."""
    rows: list[tuple[Any, ...]] = []
    ends: list[int] = []
    for request in requests:
        rows += request.rows
        ends.append(len(rows))
    chosen: set[int] = set()
    if signal in _BAD:
        level_of, least = _BAD[signal]
        bad = (n for n, level in enumerate(map(level_of, rows)) if level >= least)
        chosen.update(islice(bad, max(1, room // 2)))
    left = room - len(chosen)
    if signal is Signal.TRACES:
        below = [n for n in _kept_traces(rows, left / items) if n not in chosen]
        chosen.update(_whole_traces(rows, below, left))
    else:
        chosen.update(islice(range(0, items, -(-items // left) if left else items), left))
    return [(requests[bisect_right(ends, n)], rows[n]) for n in sorted(chosen)]


def _kept_traces(rows: Sequence[tuple[Any, ...]], share: float) -> Iterator[int]:
    """Yield where the spans of ``share`` of all traces are.

    By the second half of the id: the first may be a time. Its first byte decides about most of them.
    """
    bound = min(int(share * 2**64), 2**64 - 1).to_bytes(8, "big")
    first = bound[0]
    for n, trace_id in enumerate(map(_TRACE_ID_OF, rows)):
        if trace_id[8] <= first and trace_id[8:] < bound:
            yield n


def _whole_traces(
    rows: Sequence[tuple[Any, ...]], spans: Sequence[int], room: int
) -> Iterable[int]:
    """Return at most ``room`` of ``spans``, without those traces that do not fit in whole.

    A trace that has not even room when it is alone is begun.
    """
    if len(spans) <= room:
        return spans
    sizes = Counter(_TRACE_ID_OF(rows[n])[8:] for n in spans)
    kept: set[bytes] = set()
    left = room
    for place in sorted(sizes):
        if sizes[place] > left and kept:
            break
        kept.add(place)
        left -= sizes[place]
    return islice((n for n in spans if _TRACE_ID_OF(rows[n])[8:] in kept), room)
