"""Whole traces of any size, part by part, as rows for ``restore`` to turn into OTLP.

Nothing is cut: a cursor brings the spans of each trace from the earliest start on, and what is in
memory is bounded by the part, in spans and in bytes. A reader that takes its parts slowly holds a connection meanwhile,
and no longer than the time of the view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.errors import QueryTimeoutError
from collector.query import trace_sql
from collector.query.time_range import TimeRange
from collector.query.trace_question import SPAN_BYTES
from collector.query.trace_reading import dimensions_of, span_rows
from collector.rows import Dimensions, SpanRow
from collector.store.referred import NOTHING

if TYPE_CHECKING:
    from collector.query.view import View, Views

PART_SPANS: Final = 500
ALL: Final = 2**63 - 1
TRACES_PER_VIEW: Final = 100
"""Traces that are read in one transaction; all of them have one time limit."""

_TRACE: Final = SpanRow._fields.index("trace_id")


class TracePart(NamedTuple):
    """Spans of one trace, and what they refer to; more of it may follow at once.

    Shape: at least one row, at most ``PART_SPANS``, in ``SpanRow`` order. Rows of two chunks may meet
    in a part, so it has at most twice ``page_bytes_max`` of the view, and a last row.
    """

    trace_id: bytes
    rows: Sequence[tuple[Any, ...]]
    dimensions: Dimensions


Take = Callable[[TracePart], Awaitable[None]]


class TraceParts:
    """Reads traces by their ids."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def read(
        self, trace_ids: Sequence[bytes], take: Take, *, timeout_s: float | None = None
    ) -> None:
        """Hand over those of the traces that there are, each once, in the order of the ids.

        ``timeout_s`` is for all of them, the time that ``take`` needs included: a generator could
        not tell its reader, who waits elsewhere, that the time is up.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        limit_s = self._views.timeout_s if timeout_s is None else timeout_s
        loop = asyncio.get_running_loop()
        end_s = loop.time() + limit_s
        ids = list(dict.fromkeys(trace_ids))
        for first in range(0, len(ids), TRACES_PER_VIEW):
            left_s = end_s - loop.time()
            if left_s <= 0:
                raise QueryTimeoutError(limit_s)
            try:
                async with self._views.open(left_s) as view:
                    await _Reading(view, take).run(ids[first : first + TRACES_PER_VIEW])
            except QueryTimeoutError:  # it names what was left
                raise QueryTimeoutError(limit_s) from None


class _Reading:
    """The spans of some traces in one view, and what those in memory refer to."""

    def __init__(self, view: View, take: Take) -> None:
        self._view = view
        self._take = take
        self._dimensions = NOTHING
        self._rows: list[tuple[Any, ...]] = []

    async def run(self, trace_ids: Sequence[bytes]) -> None:
        """Hand over all spans, part by part."""
        known = await self._view.rows(trace_sql.summaries(list(trace_ids)))
        if not known:
            return
        reach = TimeRange(
            min(row["start_time"] for row in known), max(row["end_time"] for row in known) + 1
        )
        statement = trace_sql.spans_of(list(trace_ids), reach, ALL)
        bytes_max = self._view.page_bytes_max
        async for chunk in self._view.bounded_chunks(
            statement, PART_SPANS, bytes_max, row_bytes=SPAN_BYTES
        ):
            rows = span_rows(chunk)
            met = [*self._rows, *rows]
            self._dimensions = await dimensions_of(self._view, met, self._dimensions)
            for row in rows:
                if self._is_full(row):
                    await self._hand_over()
                self._rows.append(row)
            if chunk.bytes >= bytes_max:
                await self._hand_over()
        await self._hand_over()

    def _is_full(self, row: tuple[Any, ...]) -> bool:
        """Tell whether ``row`` begins another part."""
        held = self._rows
        return bool(held) and (row[_TRACE] != held[0][_TRACE] or len(held) == PART_SPANS)

    async def _hand_over(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            await self._take(TracePart(rows[0][_TRACE], rows, self._dimensions))
