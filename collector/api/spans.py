"""``/api/v1/spans``, ``/api/v1/exceptions`` and ``/api/v1/dependencies``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from collector.api.parameters import Q_CHARACTERS_MAX, PageParameters, RangeParameters
from collector.api.questions import Questions
from collector.api.routing import gives, gives_page, router
from collector.query.filters import Filter
from collector.query.page import LIMIT, LIMIT_MAX
from collector.query.span_repository import (
    CURSOR_TYPES,
    EVENT_CURSOR_TYPES,
    ExceptionCount,
    FoundEvent,
    SpanRepository,
)
from collector.query.spans import Span
from collector.query.trace_question import TraceQuestion
from collector.query.trace_repository import TraceRepository
from collector.query.trace_types import Dependency
from collector.rows import SERVICE_NAME_CHARACTERS_MAX

NAME_CHARACTERS_MAX = 4_096
_SERVICE = "of this service, exactly"


class SpansAsked(PageParameters):
    """Which spans."""

    service: str | None = Field(None, max_length=SERVICE_NAME_CHARACTERS_MAX, description=_SERVICE)
    operation: str | None = Field(
        None, max_length=NAME_CHARACTERS_MAX, description="name of the span, exactly"
    )

    @property
    def wanted(self) -> TraceQuestion:
        """What a span must have.

        Raises:
            BadParameterError: no stored text can be one of the texts.
            FilterError: ``q`` is no filter.
        """
        return TraceQuestion(self.filter, self.service, self.operation)


class EventsAsked(SpansAsked):
    """Which events."""

    name: str | None = Field(
        None, max_length=NAME_CHARACTERS_MAX, description="of the event, exactly"
    )


class ExceptionsAsked(RangeParameters):
    """In which spans."""

    q: str = Field(
        "",
        max_length=Q_CHARACTERS_MAX,
        description="filter for spans, in the grammar of live tails",
        json_schema_extra={"format": "otlpg-filter"},
    )
    service: str | None = Field(None, max_length=SERVICE_NAME_CHARACTERS_MAX, description=_SERVICE)
    limit: int = Field(LIMIT, ge=1, le=LIMIT_MAX)


def routes(questions: Questions, spans: SpanRepository, traces: TraceRepository) -> APIRouter:
    """Return the routes."""
    found = router("", "spans")

    @found.get("/spans", **gives_page(Span))
    async def find_spans(request: Request, asked: Annotated[SpansAsked, Query()]) -> Response:
        """The spans that start in a range, newest first."""
        when, wanted = asked.when(questions.now_ns()), asked.wanted
        return await questions.page(
            request,
            lambda limit, cursor: spans.find(when, wanted, limit=limit, cursor=cursor),
            limit=asked.limit,
            cursor=asked.place(*CURSOR_TYPES),
        )

    @found.get("/spans/events", **gives_page(FoundEvent))
    async def find_events(request: Request, asked: Annotated[EventsAsked, Query()]) -> Response:
        """What happened in spans that start in a range, those of the newest span first."""
        when, wanted = asked.when(questions.now_ns()), asked.wanted
        return await questions.page(
            request,
            lambda limit, cursor: spans.events(
                when, wanted, name=asked.name, limit=limit, cursor=cursor
            ),
            limit=asked.limit,
            cursor=asked.place(*EVENT_CURSOR_TYPES),
        )

    @found.get("/exceptions", **gives(tuple[ExceptionCount, ...]))
    async def count_exceptions(
        request: Request, asked: Annotated[ExceptionsAsked, Query()]
    ) -> Response:
        """What was thrown in spans of a range, by service, type and message; the most frequent first.

        Each on its own is one of `/api/v1/spans/events?name=exception`.
        """
        when = asked.when(questions.now_ns())
        wanted = TraceQuestion(Filter.parse(asked.q), asked.service)
        return await questions.answer(
            request, lambda: spans.exceptions(when, wanted, limit=asked.limit)
        )

    @found.get("/dependencies", **gives(tuple[Dependency, ...]))
    async def list_dependencies(
        request: Request, asked: Annotated[RangeParameters, Query()]
    ) -> Response:
        """Which services called which others, and how often that failed."""
        when = questions.slow_range(asked)
        return await questions.slow_answer(
            request, ("dependencies", when), lambda: traces.dependencies(when)
        )

    return found
