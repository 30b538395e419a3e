"""Which of the committed items are shown when there are more than a tail may cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, Final

from collector.rows import ConvertedRequest, LogRow, Signal, SpanRow
from collector.tail.message import Pick
from collector.telemetry.clock import Clock

_TRACE_ID: Final = SpanRow._fields.index("trace_id")
_STATUS: Final = SpanRow._fields.index("status_code")
_SEVERITY: Final = LogRow._fields.index("severity_number")
_ERROR_STATUS: Final = 2
_ERROR_SEVERITY: Final = 17

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
            picks = list(_rows(requests))
        elif not room:
            return []
        else:
            picks = _sample(signal, requests, items, room)
        self._room -= len(picks)
        return picks


def _rows(requests: Sequence[ConvertedRequest]) -> chain[Pick]:
    return chain.from_iterable(((request, row) for row in request.rows) for request in requests)


def _sample(
    signal: Signal, requests: Sequence[ConvertedRequest], items: int, room: int
) -> list[Pick]:
    chosen: dict[int, Pick] = {}
    if signal is not Signal.METRICS:
        at, least = (_STATUS, _ERROR_STATUS) if signal is Signal.TRACES else (_SEVERITY, _ERROR_SEVERITY)  # fmt: skip
        bad = ((n, pick) for n, pick in enumerate(_rows(requests)) if pick[1][at] >= least)
        chosen.update(islice(bad, max(1, room // 2)))
    left = room - len(chosen)
    if signal is Signal.TRACES:
        bound = (left * 2**64 // items).to_bytes(9, "big")[-8:]
        kept = ((n, pick) for n, pick in enumerate(_rows(requests)) if _is_below(pick[1], bound))
    else:
        kept = islice(enumerate(_rows(requests)), 0, None, -(-items // left) if left else items)
    for n, pick in kept:
        if len(chosen) >= room:
            break
        chosen[n] = pick
    return [chosen[n] for n in sorted(chosen)]


def _is_below(row: tuple[Any, ...], bound: bytes) -> bool:
    """Whether a trace is among those that are kept; the end of an id is the random part of it."""
    trace_id: bytes = row[_TRACE_ID]
    return trace_id[8:] < bound
