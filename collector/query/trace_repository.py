"""Traces: found by what one of their spans has, read whole, and what they say of services.

A trace has its place by its newest matching span in the range, so a search walks along matching
spans and takes each trace where it meets that one. The pages of one range are stable: they neither
shift nor repeat as others come. A trace that gets a newer matching span in between moves, though,
to where its new place is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from collector.errors import BadParameterError, NotFoundError
from collector.query import trace_sql
from collector.query.dimensions import resource_of, scope_of
from collector.query.page import Cursor, Page
from collector.query.spans import Span, span_of
from collector.query.statement import Statement
from collector.query.time_range import TimeRange, unix_ns
from collector.query.trace_sql import Edge, TraceQuestion

if TYPE_CHECKING:
    from collector.query.view import View, Views

CURSOR_TYPES: Final = (int, str)
"""Of the key of a cursor of traces."""
SPANS_PER_TRACE: Final = 8
"""Matching spans that are read at first for each trace that is wanted; then ever more."""
GROWTH: Final = 4
BATCH_SPANS_MAX: Final = 20_000

_TRACE_ID: Final = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace, in a line.

    Attributes:
        end_unix_nano: to the microsecond, as the start.
        root_name: None: the root span has not come; then the other ``root_*`` are None, too.
        services: of its spans, at most as many as otlpg keeps, sorted.
    """

    trace_id: bytes
    start_unix_nano: int
    end_unix_nano: int
    span_count: int
    error_count: int
    root_service: str | None
    root_name: str | None
    root_status_code: int | None
    root_duration_ns: int | None
    services: tuple[str, ...]

    @property
    def duration_ns(self) -> int:
        """From its first start to its last end."""
        return self.end_unix_nano - self.start_unix_nano


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of a trace, by start. ``is_whole``: these are all that were ever stored."""

    trace_id: bytes
    spans: tuple[Span, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Dependency:
    """How often spans of ``parent`` had a child in another service, and how many of them failed."""

    parent: str
    child: str
    calls: int
    errors: int


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
        edge = None if cursor is None else _edge_of(cursor)
        is_backward = cursor is not None and cursor.is_backward
        async with self._views.open(timeout_s) as view:
            search = _Search(view, when, wanted or TraceQuestion(), edge, is_backward=is_backward)
            found = await search.run(limit + 1)
            has_more, found = len(found) > limit, found[:limit]
            if is_backward:
                found.reverse()
            merged = await _summaries(view, [each.trace_id for each in found])
        has_next, has_previous = (True, has_more) if is_backward else (has_more, edge is not None)
        if not found:
            return Page((), None, None)
        return Page(
            tuple(merged[each.trace_id] for each in found if each.trace_id in merged),
            _cursor(found[-1], is_backward=False) if has_next else None,
            _cursor(found[0], is_backward=True) if has_previous else None,
        )

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
        spans_max: int = 20_000,
        timeout_s: float | None = None,
    ) -> tuple[Trace, ...]:
        """Return those of the traces that there are, in the order of the ids, each once.

        ``spans_max`` is for all of them: the last ones may be cut, or left out.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        ids = list(dict.fromkeys(trace_ids))
        async with self._views.open(timeout_s) as view:
            known = await view.rows(trace_sql.summaries(ids)) if ids else []
            if not known and when is None:
                return ()
            reach = when or TimeRange(
                min(row["start_time"] for row in known), max(row["end_time"] for row in known) + 1
            )
            spans = await _spans(view, trace_sql.spans_of(ids, reach, spans_max))
        counts = dict.fromkeys(ids, 0)
        for row in known:
            counts[row["trace_id"]] += row["span_count"]
        by_trace: dict[bytes, list[Span]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, []).append(span)
        return tuple(
            Trace(trace_id, tuple(of_it), is_whole=len(of_it) >= counts[trace_id])
            for trace_id, of_it in by_trace.items()
        )

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


class _Search:
    """A walk along matching spans, which meets traces at their places."""

    def __init__(
        self,
        view: View,
        when: TimeRange,
        wanted: TraceQuestion,
        edge: Edge | None,
        *,
        is_backward: bool,
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
        at, batch = self._edge, limit * SPANS_PER_TRACE
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
    return TraceSummary(
        trace_id=trace_id,
        start_unix_nano=unix_ns(min(day["start_time"] for day in days), None),
        end_unix_nano=unix_ns(max(day["end_time"] for day in days), None),
        span_count=sum(day["span_count"] for day in days),
        error_count=sum(day["error_count"] for day in days),
        root_service=root["root_service"],
        root_name=root["root_name"],
        root_status_code=root["root_status_code"],
        root_duration_ns=root["root_duration_ns"],
        services=tuple(sorted({name for day in days for name in day["services"]})),
    )


async def _spans(view: View, statement: Statement) -> list[Span]:
    """Return the spans of rows of ``spans.COLUMNS``, each with its resource and scope."""
    rows = await view.rows(statement)
    resources = await _known(view, "resources", "resource_id", rows)
    scopes = await _known(view, "scopes", "scope_id", rows)
    of_resource = {row["resource_id"]: resource_of(row) for row in resources}
    of_scope = {row["scope_id"]: scope_of(row) for row in scopes}
    return [
        span_of(row, of_resource[row["resource_id"]], of_scope[row["scope_id"]]) for row in rows
    ]


async def _known(view: View, table: str, key: str, rows: list[Any]) -> list[Any]:
    ids = list({row[key] for row in rows})
    return await view.rows(
        Statement(f"SELECT * FROM {table} WHERE {key} = ANY ($1::bigint[])", (ids,))  # noqa: S608
    )


def _edge_of(cursor: Cursor) -> Edge:
    time, trace = cursor.key if len(cursor.key) == 2 else (None, None)
    if isinstance(time, int) and isinstance(trace, str) and _TRACE_ID.fullmatch(trace):
        return Edge(time, bytes.fromhex(trace))
    raise BadParameterError("cursor", "must be one that an answer has given")


def _cursor(place: Edge, *, is_backward: bool) -> Cursor:
    return Cursor((place.time, place.trace_id.hex()), is_backward)
