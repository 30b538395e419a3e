"""Jaeger's first HTTP API, which Grafana's plugin speaks.

Every answer is ``{"data": .., "total": .., "limit": 0, "offset": 0, "errors": null | [..]}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from collector.api.jaeger import v1_parameters
from collector.api.jaeger.answering import Answer, Answering, json_answer, long_answer
from collector.api.jaeger.mapping import JaegerTrace, JaegerTraces, trace_id_text
from collector.api.jaeger.stored import StoredSpans, Traces
from collector.api.jaeger.units import flag_of, trace_id_of
from collector.errors import BadParameterError, NotFoundError
from collector.items import KIND_BY_NUMBER

_CUT: Final = "some spans are missing: an answer takes no more of them"
_GONE: Final = "some spans are missing: they are kept no longer"


class V1Routes:
    """The routes, and what each answers."""

    def __init__(self, stored: StoredSpans, answering: Answering) -> None:
        self._stored = stored
        self._answering = answering

    def by_path(self) -> dict[str, Answer]:
        """Return the answers, by path."""
        answers: dict[str, Answer] = {
            "/api/services": self._services,
            "/api/services/{service:path}/operations": self._operation_names,
            "/api/operations": self._operations,
            "/api/traces": self._search,
            "/api/traces/{trace_id:path}": self._trace,
        }
        return {
            path: self._answering.guarded(answer, problem_of) for path, answer in answers.items()
        }

    async def _services(self, _request: Request) -> Response:
        return json_answer(content_of(await self._stored.services()))

    async def _operation_names(self, request: Request) -> Response:
        """Answer with each name once, whatever its kinds."""
        found = await self._stored.operations(request.path_params["service"])
        names = list(dict.fromkeys(operation.name for operation in found))
        return json_answer(content_of(names))

    async def _operations(self, request: Request) -> Response:
        service = request.query_params.get("service", "")
        if not service:
            raise BadParameterError("service", "is required")
        found = await self._stored.operations(service, request.query_params.get("spanKind", ""))
        content = [
            {"name": one.name, "spanKind": KIND_BY_NUMBER.get(one.kind, "")} for one in found
        ]
        return json_answer(content_of(content))

    async def _search(self, request: Request) -> Response:
        """Answer with traces by name, or with those that a search finds."""
        query = request.query_params
        trace_ids = v1_parameters.trace_ids_of(query)
        if not trace_ids:
            search = v1_parameters.search_of(query, self._stored.now_unix_nano())
            return await _traces(await self._stored.find(search))
        found = await self._stored.get_many(trace_ids)
        return await _traces(found, _errors(trace_ids, found))

    async def _trace(self, request: Request) -> Response:
        """Answer with one trace; when it was is checked and not needed to find it."""
        trace_id = trace_id_of("traceID", request.path_params["trace_id"])
        v1_parameters.between_of(request.query_params)
        flag_of("raw", request.query_params.get("raw", ""))
        found = await self._stored.get_many([trace_id])
        if not found.stored.rows:
            raise NotFoundError("trace not found")
        return await _traces(found)


async def _traces(found: Traces, errors: list[Any] | None = None) -> Response:
    return await long_answer(lambda: content_of(_shown(found), errors))


def _shown(found: Traces) -> list[JaegerTrace]:
    warnings = (_CUT if found.is_full else _GONE,)
    traces = JaegerTraces(found.stored.dimensions)
    return [
        traces.trace_of(rows, warnings if trace_id in found.cut else ())
        for trace_id, rows in found.stored.rows.items()
    ]


def _errors(trace_ids: Sequence[bytes], found: Traces) -> list[dict[str, Any]]:
    """Return what there is to say of those traces that are not in the answer."""
    there = found.stored.rows.keys()
    errors: list[dict[str, Any]] = []
    for trace_id in trace_ids:
        if trace_id in there:
            continue
        code, text = HTTPStatus.NOT_FOUND, "trace not found"
        if found.is_full and trace_id in found.cut:
            code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            text = "trace too large for this answer: ask for it alone"
        errors.append({"code": code, "msg": text, "traceID": trace_id_text(trace_id)})
    return errors


def content_of(data: list[Any] | None, errors: list[Any] | None = None) -> dict[str, Any]:
    """Return what every answer of this version holds."""
    total = len(data) if data is not None else 0
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors or None}


def problem_of(status: int, text: str) -> dict[str, Any]:
    """Return what an answer holds that is none."""
    return content_of(None, [{"code": status, "msg": text}])
