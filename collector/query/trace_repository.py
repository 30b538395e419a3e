"""Traces: found by what one of their spans has, read whole, and what they say of services.

A trace has its place by its newest matching span in the range, so a search walks along matching
spans (``trace_walk``) and takes each trace where it meets that one. The pages of one range are
stable: they neither shift nor repeat as others come. A trace that gets a newer matching span in
between moves, though, to where its new place is.

Every stored span is counted in a row of ``traces``: the transaction that stores it writes both, after
what is quarantined was taken out (``tests/db/test_poison.py``). Only a trace whose rows there somebody
has deleted by hand is left out; a retention must drop the leaves of ``trace_spans`` first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from collector.errors import AnswerTooLargeError, NotFoundError
from collector.query import trace_sql
from collector.query.page import Cursor, Page, page_of
from collector.query.time_range import TimeRange, unix_ns
from collector.query.trace_question import TraceQuestion
from collector.query.trace_reading import stored_traces, traces_of
from collector.query.trace_types import Dependency, StoredTraces, Trace, TraceSummary
from collector.query.trace_walk import TraceWalk, edge_of, key_of

if TYPE_CHECKING:
    from collector.query.view import View, Views

SPANS_MAX: Final = 20_000
"""Spans of all traces of one answer together, unless somebody says otherwise."""
INSTEAD: Final = "fewer spans (limit), or for pages of them (/api/v1/spans?q=trace:ID)"
"""Of a trace that is too large."""


class TraceRepository:
    """Questions about traces."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(
        self,
        when: TimeRange,
        wanted: TraceQuestion | None = None,
        *,
        limit: int = 20,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[TraceSummary]:
        """Return a page of the traces that have a matching span in the range, newest first.

        Raises:
            BadParameterError: the cursor is none of ours.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        edge = None if cursor is None else edge_of(cursor)
        is_backward = cursor is not None and cursor.is_backward
        async with self._views.open(timeout_s) as view:
            walk = TraceWalk(view, when, wanted or TraceQuestion(), edge, is_backward=is_backward)
            page = page_of(await walk.run(limit + 1), limit, cursor, key_of)
            ids = [each.trace_id for each in page.items]
            merged = await _summaries(view, ids)
        return page.holding(tuple(merged[trace_id] for trace_id in ids if trace_id in merged))

    async def find_stored(
        self,
        when: TimeRange,
        wanted: TraceQuestion | None = None,
        *,
        limit: int = 20,
        spans_max: int = SPANS_MAX,
        timeout_s: float | None = None,
    ) -> StoredTraces:
        """Return the first traces that ``find`` would name, whole and as they were stored.

        A trace has also those of its spans that lie outside of the range. ``spans_max`` is for all
        of them: the last ones may be cut, or left out, also where all are too large for an answer.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            found = await TraceWalk(view, when, wanted or TraceQuestion()).run(limit)
            return await stored_traces(view, [each.trace_id for each in found], None, spans_max)

    async def get(
        self,
        trace_id: bytes,
        when: TimeRange | None = None,
        *,
        spans_max: int = 10_000,
        timeout_s: float | None = None,
    ) -> Trace:
        """Return a trace; with a range, only its spans that start in it.

        Raises:
            NotFoundError: there is no span of it.
            AnswerTooLargeError: its spans are larger than an answer may be.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        found = await self.get_many((trace_id,), when, spans_max=spans_max, timeout_s=timeout_s)
        if not found:
            raise NotFoundError("no such trace; it may be older than what is kept")
        return found[0]

    async def get_many(
        self,
        trace_ids: Sequence[bytes],
        when: TimeRange | None = None,
        *,
        spans_max: int = SPANS_MAX,
        timeout_s: float | None = None,
    ) -> tuple[Trace, ...]:
        """Return those of the traces that there are, in the order of the ids, each once.

        ``spans_max`` is for all of them: the last ones may be cut, or left out.

        Raises:
            AnswerTooLargeError: their spans are larger than an answer may be.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        found = await self.get_stored(trace_ids, when, spans_max=spans_max, timeout_s=timeout_s)
        if found.is_too_large:
            raise AnswerTooLargeError(self._views.whole_bytes_max, INSTEAD)
        return await asyncio.to_thread(traces_of, found)  # JSON of any size

    async def get_stored(
        self,
        trace_ids: Sequence[bytes],
        when: TimeRange | None = None,
        *,
        spans_max: int = SPANS_MAX,
        timeout_s: float | None = None,
    ) -> StoredTraces:
        """Return what ``get_many`` would, as it was stored; what is too large is cut.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            return await stored_traces(view, trace_ids, when, spans_max)

    async def dependencies(
        self, when: TimeRange, *, timeout_s: float | None = None
    ) -> tuple[Dependency, ...]:
        """Return which services call which others, by name; at most ``DEPENDENCIES_MAX``.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(trace_sql.dependencies(when))
        return tuple(Dependency(*row.values()) for row in rows)


async def _summaries(view: View, trace_ids: list[bytes]) -> dict[bytes, TraceSummary]:
    """Return the summaries of traces, merged over their days."""
    if not trace_ids:
        return {}
    days: dict[bytes, list[Any]] = {}
    for row in await view.rows(trace_sql.summaries(trace_ids)):
        days.setdefault(row["trace_id"], []).append(row)
    return {trace_id: _merged(trace_id, rows) for trace_id, rows in days.items()}


def _merged(trace_id: bytes, days: list[Any]) -> TraceSummary:
    root = next((day for day in days if day["root_name"] is not None), days[0])
    start = unix_ns(min(day["start_time"] for day in days), None)
    end = unix_ns(max(day["end_time"] for day in days), None)
    return TraceSummary(
        trace_id=trace_id,
        start_unix_nano=start,
        end_unix_nano=end,
        duration_ns=end - start,
        span_count=sum(day["span_count"] for day in days),
        error_count=sum(day["error_count"] for day in days),
        root_service=root["root_service"],
        root_name=root["root_name"],
        root_status_code=root["root_status_code"],
        root_duration_ns=root["root_duration_ns"],
        services=tuple(sorted({name for day in days for name in day["services"]})),
    )
