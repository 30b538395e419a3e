"""How traces are found: a walk along matching spans, which meets each trace at its place.

The place of a trace is that of its newest matching span in the range. Where pages were turned before,
a trace may be met again at an older span of it; so those that are met are asked for their place, and
left out where it lies before the edge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from collector.query import trace_sql
from collector.query.page import Cursor, Key, foreign_cursor
from collector.query.trace_sql import Edge

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.query.trace_question import TraceQuestion
    from collector.query.view import View

CURSOR_TYPES: Final = (int, str)
"""Of the key of a cursor of traces."""
SPANS_PER_TRACE: Final = 8
"""Matching spans that are read at first for each trace that is wanted; then ever more."""
GROWTH: Final = 4
BATCH_SPANS_MAX: Final = 20_000

_TRACE_ID: Final = re.compile("[0-9a-f]{32}")


class TraceWalk:
    """A walk along matching spans, which meets traces at their places."""

    def __init__(
        self,
        view: View,
        when: TimeRange,
        wanted: TraceQuestion,
        edge: Edge | None = None,
        *,
        is_backward: bool = False,
    ) -> None:
        self._view = view
        self._when = when
        self._wanted = wanted
        self._edge = edge
        self._is_backward = is_backward

    async def run(self, limit: int) -> list[Edge]:
        """Return the places of the first ``limit`` traces behind the edge, in walking order."""
        met: set[bytes] = set()
        found: list[Edge] = []
        at, batch = self._edge, min(limit * SPANS_PER_TRACE, BATCH_SPANS_MAX)
        while True:
            rows = await self._view.rows(
                trace_sql.spans_beyond(
                    self._when, self._wanted, at, is_backward=self._is_backward, limit=batch
                )
            )
            spans = [Edge(*row) for row in rows]
            new = {s.trace_id: s for s in reversed(spans) if s.trace_id not in met}
            met.update(new)
            found += await self._placed(new)
            found.sort(reverse=not self._is_backward)
            if len(spans) < batch:
                return found[:limit]
            at, batch = spans[-1], min(batch * GROWTH, BATCH_SPANS_MAX)
            if sum(not self._is_behind(place, at) for place in found) >= limit:
                return found[:limit]

    async def _placed(self, new: dict[bytes, Edge]) -> list[Edge]:
        """Return the places of traces that were met first at these, but for those before the edge."""
        if self._edge is None or not new:
            return list(new.values())
        rows = await self._view.rows(trace_sql.places(self._when, self._wanted, list(new)))
        edge = self._edge
        return [place for row in rows if self._is_behind(place := Edge(*row), edge)]

    def _is_behind(self, place: Edge, edge: Edge) -> bool:
        return place > edge if self._is_backward else place < edge


def edge_of(cursor: Cursor) -> Edge:
    """Return where a cursor stands.

    Raises:
        BadParameterError: none of ours stands there.
    """
    time, trace = cursor.key if len(cursor.key) == 2 else (None, None)
    if isinstance(time, int) and isinstance(trace, str) and _TRACE_ID.fullmatch(trace):
        return Edge(time, bytes.fromhex(trace))
    raise foreign_cursor()


def key_of(place: Edge) -> Key:
    """Return the key of a cursor that stands at a trace's place."""
    return (place.time, place.trace_id.hex())
