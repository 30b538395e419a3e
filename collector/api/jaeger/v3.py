"""Jaeger's third HTTP API, which its own page speaks: OTLP in JSON.

Spec: ``jaeger.api_v3.QueryService`` as Jaeger's HTTP gateway writes it; int64 as text, ids in hex.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from starlette.requests import Request
from starlette.responses import Response

from collector.api.jaeger import v3_parameters
from collector.api.jaeger.answering import Answer, Answering, json_answer, long_answer
from collector.api.jaeger.stored import StoredSpans, Traces
from collector.api.jaeger.summaries import summaries_of
from collector.api.jaeger.units import flag_of, trace_id_of
from collector.errors import BadParameterError, NotFoundError
from collector.items import KIND_BY_NUMBER
from collector.restore.otlp_json import document_of
from collector.restore.traces import restore_traces

_INTERNAL: Final = "internal"
"""What an operation without a kind is called here."""


class V3Routes:
    """The routes, and what each answers."""

    def __init__(self, stored: StoredSpans, answering: Answering) -> None:
        self._stored = stored
        self._answering = answering

    def by_path(self) -> dict[str, Answer]:
        """Return the answers, by path."""
        answers: dict[str, Answer] = {
            "/api/v3/services": self._services,
            "/api/v3/operations": self._operations,
            "/api/v3/trace-summaries": self._summaries,
            "/api/v3/traces": self._search,
            "/api/v3/traces/{trace_id:path}": self._trace,
        }
        return {path: self._answering.guarded(answer, _problem) for path, answer in answers.items()}

    async def _services(self, _request: Request) -> Response:
        return json_answer({"services": await self._stored.services()})

    async def _operations(self, request: Request) -> Response:
        query = request.query_params
        service = query.get("service", "")
        if not service:
            raise BadParameterError("service", "is required")
        found = await self._stored.operations(service, v3_parameters.value_of(query, "spanKind"))
        operations = [
            {"name": one.name, "spanKind": KIND_BY_NUMBER.get(one.kind, _INTERNAL)} for one in found
        ]
        return json_answer({"operations": operations})

    async def _summaries(self, request: Request) -> Response:
        """Answer with a line for each trace; one that is cut is counted where it was stored."""
        search = v3_parameters.search_of(request.query_params)
        found = await self._stored.find(search)
        known = await self._stored.find_summaries(search) if found.cut else ()
        return await long_answer(lambda: {"summaries": summaries_of(found.stored, known)})

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        flag_of("query.rawTraces", v3_parameters.value_of(query, "query.rawTraces"))
        return await _traces(
            await self._stored.find(v3_parameters.search_of(query)), "no traces found"
        )

    async def _trace(self, request: Request) -> Response:
        """Answer with one trace; when it was is checked and not needed to find it."""
        query = request.query_params
        trace_id = trace_id_of("trace_id", request.path_params["trace_id"])
        v3_parameters.between_of(query)
        flag_of("rawTraces", v3_parameters.value_of(query, "rawTraces"))
        return await _traces(await self._stored.get_many([trace_id]), "trace not found")


async def _traces(found: Traces, otherwise: str) -> Response:
    """Answer with all spans as one message; none at all is not found, as Jaeger has it."""
    stored = found.stored
    if not stored.rows:
        raise NotFoundError(otherwise)

    def content() -> dict[str, Any]:
        requests = (restore_traces(rows, stored.dimensions) for rows in stored.rows.values())
        groups = chain.from_iterable(request.resource_spans for request in requests)
        return {"result": document_of(TracesData(resource_spans=groups))}

    return await long_answer(content)


def _problem(status: int, text: str) -> dict[str, Any]:
    return {"error": {"httpCode": status, "message": text}}
