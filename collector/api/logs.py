"""``/api/v1/logs``: stored log records, how many there are, and what stands around one."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from collector.api.parameters import (
    FilterText,
    Length,
    PageParameters,
    Parameters,
    PlaceParameters,
    RangeParameters,
    TraceId,
)
from collector.api.questions import Questions
from collector.api.routing import gives, gives_page, router
from collector.errors import BadParameterError
from collector.query.filters import Filter
from collector.query.lengths import length_ns
from collector.query.log_pages import CURSOR_TYPES, KEY_TYPES
from collector.query.log_records import LogContext, LogRecord, SeverityStep
from collector.query.log_repository import CONTEXT_RECORDS, LogRepository
from collector.query.log_sql import LogKey
from collector.query.page import CURSOR_CHARACTERS_MAX, Cursor, Total

STEP = "1m"
CONTEXT_RECORDS_MAX = 500


class LogsAsked(PageParameters):
    """Which records, and in which order."""

    order: Literal["newest", "oldest"] = Field("newest", description="which come first")


class TotalAsked(RangeParameters):
    """Which records are counted."""

    q: FilterText = ""


class HistogramAsked(TotalAsked):
    """In steps of which length."""

    step: Length = Field(STEP, description="length of a step; at most 1000 are in the range")


class ContextAsked(Parameters):
    """The neighbours of which record."""

    key: str = Field(max_length=CURSOR_CHARACTERS_MAX, description="key of a record")
    before: int = Field(CONTEXT_RECORDS, ge=0, le=CONTEXT_RECORDS_MAX)
    after: int = Field(CONTEXT_RECORDS, ge=0, le=CONTEXT_RECORDS_MAX)
    same: Literal["service", "resource"] = Field("resource", description="whose records count")

    @property
    def record(self) -> LogKey:
        """Which record is meant.

        Raises:
            BadParameterError: no answer has given this key.
        """
        try:
            found = Cursor.parse(self.key, *KEY_TYPES)
        except BadParameterError:
            raise BadParameterError("key", "must be one that an answer has given") from None
        return LogKey(*cast("tuple[int, int, int]", found.key))


def routes(questions: Questions, logs: LogRepository) -> APIRouter:
    """Return the routes."""
    found = router("", "logs")

    @found.get("/logs", **gives_page(LogRecord))
    async def find_logs(request: Request, asked: Annotated[LogsAsked, Query()]) -> Response:
        """Log records that match a filter, in pages both ways."""
        when, wanted = asked.when(questions.now_ns()), asked.filter
        newest_first = asked.order == "newest"
        return await questions.page(
            request,
            lambda limit, cursor: logs.find(
                when, wanted, newest_first=newest_first, limit=limit, cursor=cursor
            ),
            limit=asked.limit,
            cursor=asked.place(*CURSOR_TYPES),
        )

    @found.get("/logs/histogram", **gives(tuple[SeverityStep, ...]))
    async def count_logs(request: Request, asked: Annotated[HistogramAsked, Query()]) -> Response:
        """How many records of each level there are in each step of a range."""
        when, wanted = asked.when(questions.now_ns()), Filter.parse(asked.q)
        step_us = length_ns(asked.step) // 1_000
        return await questions.answer(request, lambda: logs.histogram(when, step_us, wanted))

    @found.get("/logs/total", **gives(Total))
    async def total_logs(request: Request, asked: Annotated[TotalAsked, Query()]) -> Response:
        """How many records match: exact up to ten thousand, an estimate beyond."""
        when, wanted = asked.when(questions.now_ns()), Filter.parse(asked.q)
        return await questions.answer(request, lambda: logs.total(when, wanted))

    @found.get("/logs/context", **gives(LogContext))
    async def show_context(request: Request, asked: Annotated[ContextAsked, Query()]) -> Response:
        """A record with those before and after it, of its resource or its service."""
        key = asked.record
        return await questions.answer(
            request,
            lambda: logs.context(key, before=asked.before, after=asked.after, same=asked.same),
        )

    @found.get("/traces/{trace_id}/logs", **gives_page(LogRecord))
    async def find_logs_of_trace(
        request: Request, trace_id: TraceId, asked: Annotated[PlaceParameters, Query()]
    ) -> Response:
        """The log records of a trace, oldest first; whenever they came, unless a range is given."""
        when = asked.when(questions.now_ns()) if asked.is_given else None
        return await questions.page(
            request,
            lambda limit, cursor: logs.by_trace(
                bytes.fromhex(trace_id), when, limit=limit, cursor=cursor
            ),
            limit=asked.limit,
            cursor=asked.place(*CURSOR_TYPES),
        )

    return found
