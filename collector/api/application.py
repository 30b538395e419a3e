"""The application: every route behind one gate, and what it says of itself at ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from collector import __version__
from collector.api import docs
from collector.api.admission import Admission
from collector.api.counting import Answers, Counted
from collector.api.errors import PROBLEM, PROBLEM_SCHEMA, Failures
from collector.api.guard import Guard
from collector.api.unsent import Unsent

TITLE: Final = "otlpg"
_ABOUT: Final = (
    "OpenTelemetry in PostgreSQL, read over HTTP. 64-bit integers are text, ids are hex, and so is a "
    "double that JSON lacks: NaN, Infinity, -Infinity. Errors are application/problem+json (RFC 9457)."
)
_SECURITY: Final[dict[str, Any]] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}

Answer = Callable[[Request], Awaitable[Response]]


def build(
    admission: Admission,
    failures: Failures,
    answers: Answers,
    routers: Sequence[APIRouter],
    *,
    others: Mapping[str, Answer] | None = None,
    operations: Mapping[str, dict[str, Any]] | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        admission: is asked before anything else, whatever the path.
        failures: make answers of what is raised.
        answers: count all of them.
        routers: of the routes that describe themselves; each also answers HEAD.
        others: further answers to GET and HEAD, by path: a stream, or another API's routes.
        operations: what is to be known of some of ``others``, as OpenAPI has it, by path.
    """
    routes = [
        *(Route(path, answer, methods=["GET"]) for path, answer in (others or {}).items()),
        *(route for part in routers for each in part.routes for route in _with_head(each)),
        *docs.routes(),
    ]
    paths = {route.endpoint: route.path for route in routes if isinstance(route, Route)}
    return _Application(
        title=TITLE,
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        middleware=[
            Middleware(Counted, answers, paths),
            Middleware(Guard, admission, failures),
            Middleware(Unsent),
        ],
        exception_handlers={HTTPException: _raised, RequestValidationError: _raised},
        routes=routes,
    ).described(operations or {})


class _Application(FastAPI):
    """FastAPI's, whose document also knows routes that are not FastAPI's."""

    _operations: Mapping[str, dict[str, Any]]

    def described(self, operations: Mapping[str, dict[str, Any]]) -> _Application:
        """Return it, with what OpenAPI says of further routes."""
        self._operations = operations
        return self

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is made when somebody first asks for it."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path, operation in self._operations.items():
                document["paths"][path] = {"get": operation}
            components = document.setdefault("components", {})
            components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
            components["responses"] = {"Problem": _PROBLEM_ANSWER}
            components["securitySchemes"] = _SECURITY
            document["security"] = [{}, *({name: list[str]()} for name in _SECURITY)]
        return super().openapi()


_PROBLEM_ANSWER: Final[dict[str, Any]] = {
    "description": "400: a parameter or the filter cannot be used. 401: no valid key. 403: not for this "
    "reader. 404: there is no such thing. 503: not now, come again after Retry-After. 504: no answer in "
    "time, ask for less.",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _with_head(route: BaseRoute) -> Iterator[BaseRoute]:
    """Yield a route and, undescribed, the same for HEAD; the server leaves the body out."""
    yield route
    if isinstance(route, APIRoute):
        head = copy(route)
        head.methods = {"HEAD"}
        head.include_in_schema = False
        yield head


async def _raised(_request: Request, error: Exception) -> Response:
    """Leave the error to the guard, which has one form for all."""
    raise error
