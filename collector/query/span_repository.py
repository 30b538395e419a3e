"""Spans: found by a filter and paged, with what happened in them: events, and exceptions in groups.

The pages of one range are stable: they neither shift nor repeat as other spans come. Of spans that
are equal in every column, as when one was stored twice, those behind the edge of a page are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from collector.query import span_sql
from collector.query.page import LIMIT, Cursor, Page, foreign_cursor, page_of
from collector.query.span_sql import EVENT_KEYS, SPAN_KEYS
from collector.query.spans import Span, SpanEvent, event_of
from collector.query.texts import text_of
from collector.query.trace_question import SPAN_BYTES, Key, TraceQuestion
from collector.query.trace_reading import dimensions_of, spans_of
from collector.rows import SpanRow

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.query.view import Views
    from collector.store.fetching import Fetched

CURSOR_TYPES: Final = (int, str, str, int)
"""Of the key of a cursor of spans."""
EVENT_CURSOR_TYPES: Final = (*CURSOR_TYPES, int)
"""Of the key of a cursor of events."""
EXCEPTION: Final = "exception"
"""Spec: OpenTelemetry semantic conventions, "Exceptions on spans": the event's name."""


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event, and the span in which it happened."""

    trace_id: bytes
    span_id: bytes
    service: str | None
    span_name: str
    event: SpanEvent


@dataclass(frozen=True, slots=True)
class ExceptionCount:
    """The exceptions of one service with the same type and message.

    Attributes:
        type: its first ``TEXT_CHARACTERS``; None: not given. Likewise the message.
        first_unix_nano: when the first one was thrown; the start of its span where nobody says.
        trace_id: of the newest span with one.
    """

    service: str | None
    type: str | None
    message: str | None
    count: int
    first_unix_nano: int
    last_unix_nano: int
    trace_id: bytes


class SpanRepository:
    """Questions about spans."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(
        self,
        when: TimeRange,
        wanted: TraceQuestion | None = None,
        *,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[Span]:
        """Return a page of the spans that start in the range and match, newest first.

        Shape: a page of very large spans has fewer than ``limit``; one of events likewise.

        Raises:
            BadParameterError: the cursor is none of ours.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        edge, is_backward = _edge_of(cursor, SPAN_KEYS)
        statement = span_sql.spans(
            when, wanted or TraceQuestion(), edge, is_backward=is_backward, limit=limit + 1
        )
        async with self._views.open(timeout_s) as view:
            found = await view.first(statement, view.page_bytes_max, row_bytes=SPAN_BYTES)
            page = _page(found, SPAN_KEYS, cursor, limit)
            rows = [tuple(row[name] for name in SpanRow._fields) for row in page.items]
            dimensions = await dimensions_of(view, rows)
        spans = await asyncio.to_thread(spans_of, rows, dimensions)  # JSON of any size
        return page.holding(spans)

    async def events(
        self,
        when: TimeRange,
        wanted: TraceQuestion | None = None,
        *,
        name: str | None = None,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[FoundEvent]:
        """Return a page of the events of matching spans, those of the newest span first.

        Args:
            when: when their spans start.
            wanted: what a span has.
            name: of the event, exactly; None for any.
            limit: events of a page, at least 1.
            cursor: where to go on; None: the first page.
            timeout_s: for all of it.

        Raises:
            BadParameterError: the cursor is none of ours, or no stored text can be the name.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        edge, is_backward = _edge_of(cursor, EVENT_KEYS)
        statement = span_sql.events(
            when, wanted or TraceQuestion(), None if name is None else text_of("name", name), edge,
            is_backward=is_backward, limit=limit + 1,
        )  # fmt: skip
        async with self._views.open(timeout_s) as view:
            found = await view.first(statement, view.page_bytes_max)
        page = _page(found, EVENT_KEYS, cursor, limit)
        return page.holding(tuple(map(_found_event, page.items)))

    async def exceptions(
        self,
        when: TimeRange,
        wanted: TraceQuestion | None = None,
        *,
        limit: int = LIMIT,
        timeout_s: float | None = None,
    ) -> tuple[ExceptionCount, ...]:
        """Return what was thrown in matching spans, the most frequent first.

        Every matching span of the range is looked at. One by one they are ``events`` of the name
        ``EXCEPTION``.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(span_sql.exceptions(when, wanted or TraceQuestion(), limit))
        return tuple(
            ExceptionCount(
                row["service"], row["type"], row["message"], row["count"],
                int(row["first"]), int(row["last"]), row["trace_id"],
            )
            for row in rows
        )  # fmt: skip


def _found_event(row: Any) -> FoundEvent:
    return FoundEvent(
        row["trace_id"], row["span_id"], row["service_name"], row["name"],
        event_of(orjson.loads(row["event"])),
    )  # fmt: skip


def _page(found: Fetched, keys: Sequence[Key], cursor: Cursor | None, limit: int) -> Page[Any]:
    """Return the page of rows that a walk by these keys has found."""

    def key_of(row: Any) -> tuple[int | str, ...]:
        parts = (row[key.name] for key in keys)
        return tuple(part.hex() if isinstance(part, bytes) else part for part in parts)

    return page_of(found.rows, limit, cursor, key_of, is_cut=found.has_more)


def _edge_of(cursor: Cursor | None, keys: Sequence[Key]) -> tuple[tuple[Any, ...] | None, bool]:
    """Return the edge that a cursor stands at, and whether it goes back.

    Raises:
        BadParameterError: none of ours stands there.
    """
    if cursor is None:
        return None, False
    if len(cursor.key) != len(keys):
        raise foreign_cursor()
    return tuple(map(_part, cursor.key, keys)), cursor.is_backward


def _part(part: int | str | None, key: Key) -> int | bytes:
    """Return a part of a key as the statement takes it."""
    if key.type != "bytea" and isinstance(part, int):
        return part
    if key.type == "bytea" and isinstance(part, str):
        try:
            return bytes.fromhex(part)
        except ValueError:
            raise foreign_cursor() from None
    raise foreign_cursor()
