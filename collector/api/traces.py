"""``/api/v1/traces``: found, read whole, as OTLP, and what they waited for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from collector.api.parameters import Parameters, TraceId
from collector.api.questions import JSON, Questions, accepts, written
from collector.api.routing import PROTOBUF, gives, gives_otlp, gives_page, router
from collector.api.spans import SpansAsked
from collector.errors import NotFoundError
from collector.query.critical_path import Segment, critical_path
from collector.query.trace_repository import TraceRepository
from collector.query.trace_types import StoredTraces, Trace, TraceSummary
from collector.query.trace_walk import CURSOR_TYPES
from collector.restore.otlp_json import to_json
from collector.restore.traces import restore_traces

SPANS_MAX: Final = 20_000
IS_WHOLE: Final = "otlpg-is-whole"
"""Header of a trace as OTLP, which cannot say it: ``true``, or ``false`` when spans are missing."""


class TraceAsked(Parameters):
    """How much of it."""

    limit: int = Field(
        10_000, ge=1, le=SPANS_MAX, description="spans; the first to start are given"
    )


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """What the root of a trace waited for, earliest first.

    Attributes:
        is_whole: False: spans of the trace are missing, and the path may be another one.
    """

    trace_id: bytes
    is_whole: bool
    segments: tuple[Segment, ...]


def routes(questions: Questions, traces: TraceRepository) -> APIRouter:
    """Return the routes; what grows with a trace is done in a thread, beside live tails."""
    found = router("/traces", "traces")

    @found.get("", **gives_page(TraceSummary))
    async def find_traces(request: Request, asked: Annotated[SpansAsked, Query()]) -> Response:
        """The traces of which one span starts in a range and matches, by the newest such span."""
        when, wanted = asked.when(questions.now_ns()), asked.wanted
        return await questions.page(
            request,
            lambda limit, cursor: traces.find(when, wanted, limit=limit, cursor=cursor),
            limit=asked.limit,
            cursor=asked.place(*CURSOR_TYPES),
        )

    @found.get("/{trace_id}", **gives(Trace))
    async def get_trace(
        request: Request, trace_id: TraceId, asked: Annotated[TraceAsked, Query()]
    ) -> Response:
        """A trace with all its spans, by their start."""
        return await questions.answer(
            request, lambda: traces.get(bytes.fromhex(trace_id), spans_max=asked.limit)
        )

    @found.get("/{trace_id}/critical-path", **gives(CriticalPath))
    async def get_critical_path(
        request: Request, trace_id: TraceId, asked: Annotated[TraceAsked, Query()]
    ) -> Response:
        """At each moment of the root span, the span that it waited for."""

        async def path() -> CriticalPath:
            trace = await traces.get(bytes.fromhex(trace_id), spans_max=asked.limit)
            segments = await asyncio.to_thread(critical_path, trace.spans)
            return CriticalPath(trace.trace_id, trace.is_whole, segments)

        return await questions.answer(request, path)

    @found.get("/{trace_id}/otlp", **gives_otlp("The request that an SDK would have sent."))
    async def get_otlp(
        request: Request, trace_id: TraceId, asked: Annotated[TraceAsked, Query()]
    ) -> Response:
        """A trace as OTLP: an ExportTraceServiceRequest, in JSON or, to who accepts it, protobuf.

        The header `otlpg-is-whole` tells whether all its spans are there.
        """
        stored = await questions.ask(
            request,
            lambda: traces.get_stored((bytes.fromhex(trace_id),), spans_max=asked.limit),
        )
        media_type = PROTOBUF if accepts(request, PROTOBUF) else JSON
        body = await asyncio.to_thread(_otlp, stored, media_type)
        answer = written(body)
        answer.headers["content-type"] = media_type
        answer.headers[IS_WHOLE] = str(stored.is_whole).lower()
        return answer

    return found


def _otlp(stored: StoredTraces, media_type: str) -> bytes:
    """Return the one trace that was asked for.

    Raises:
        NotFoundError: there is no span of it.
    """
    if not stored.rows:
        raise NotFoundError("no such trace; it may be older than what is kept")
    [rows] = stored.rows.values()
    request = restore_traces(rows, stored.dimensions)
    return request.SerializeToString() if media_type == PROTOBUF else to_json(request)
