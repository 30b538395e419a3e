"""What a reader hears when a request fails: one problem document, on all routes but Jaeger's.

Spec: RFC 9457. ``type`` is always about:blank, since ``cause`` names what went wrong, in the words of
``receive/status.py``; ``code`` is its number there, which is gRPC's.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from collector.errors import BadParameterError, StoreError
from collector.receive.auth import CHALLENGE
from collector.receive.status import RETRY_AFTER_S, Code, Verdict, is_expected, to_verdict
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

PROBLEM: Final = "application/problem+json"
PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "cause"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do otherwise."},
        "code": {"type": "integer", "description": "google.rpc.Code"},
        "cause": {"type": "string"},
    },
}
_NAME_CHARACTERS: Final = 40

_ROUTING: Final = {
    HTTPStatus.NOT_FOUND: (Code.NOT_FOUND, "no_such_path"),
    HTTPStatus.METHOD_NOT_ALLOWED: (Code.UNIMPLEMENTED, "no_such_method"),
}


class Failures:
    """Answers for errors; PostgreSQL's and our own faults are logged, now and then."""

    def __init__(self, clock: Clock) -> None:
        self._trouble = Trouble("otlpg.api", clock)

    def answer(self, error: Exception) -> Response:
        """Return the answer for ``error``."""
        if isinstance(error, HTTPException):
            return _no_such_call(error)
        if isinstance(error, RequestValidationError):
            error = _bad_parameter(error)
        self.note(error)
        verdict = verdict_of(error)
        return _problem(
            verdict.http_status, verdict.code, verdict.cause, verdict.text, headers_of(verdict)
        )

    def note(self, error: Exception) -> None:
        """Log what is PostgreSQL's fault or ours; for answers in another form, or cut short."""
        kind = type(error).__name__
        if isinstance(error, StoreError):
            self._trouble.warn("a question has no answer", error.sqlstate or kind, error=str(error))
        elif not is_expected(error):
            self._trouble.error("request failed by our own fault", kind, exc_info=error)


def problem_complaint(text: str) -> tuple[str, bytes]:
    """Return content type and body of the answer to what is no HTTP, as to any malformed call."""
    return PROBLEM, _document(HTTPStatus.BAD_REQUEST, Code.INVALID_ARGUMENT, "malformed_call", text)


def verdict_of(error: Exception) -> Verdict:
    """Return what a reader hears of ``error``, in either protocol.

    That PostgreSQL does not answer it hears; where that is and what it says is for the log alone.
    """
    if not isinstance(error, StoreError):
        return to_verdict(error)
    if error.is_about_rights:
        text = "PostgreSQL does not let us read: see api.dsn"
        return Verdict(Code.UNAVAILABLE, True, "no_right", text)
    return Verdict(Code.UNAVAILABLE, True, "postgres_away", "PostgreSQL is away")


def headers_of(verdict: Verdict) -> dict[str, str]:
    """Return what the head of an answer says of ``verdict``, whatever its form."""
    headers: dict[str, str] = {}
    if verdict.retryable:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if verdict.http_status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = CHALLENGE
    return headers


def _no_such_call(error: HTTPException) -> Response:
    """Answer another path or method than ours."""
    status = HTTPStatus(error.status_code)
    code, cause = _ROUTING.get(status, (Code.INVALID_ARGUMENT, "malformed_call"))
    return _problem(status, code, cause, status.description or status.phrase, error.headers)


def _bad_parameter(error: RequestValidationError) -> BadParameterError:
    """Return the first complaint of pydantic as one of ours; what was sent is not repeated."""
    first: dict[str, Any] = error.errors()[0]
    name = str(first["loc"][-1])[:_NAME_CHARACTERS]
    match first["type"]:
        case "extra_forbidden":
            return BadParameterError(name, "is not known here")
        case "missing":
            return BadParameterError(name, "must be given")
        case "value_error":
            return BadParameterError(name, str(first["ctx"]["error"]))
        case _:
            return BadParameterError(name, f"cannot be used: {first['msg']}")


def _problem(
    status: int, code: int, cause: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        _document(status, code, cause, detail),
        status,
        {**(headers or {}), "cache-control": "no-store"},
        media_type=PROBLEM,
    )


def _document(status: int, code: int, cause: str, detail: str) -> bytes:
    return orjson.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": int(status),
            "detail": detail,
            "code": int(code),
            "cause": cause,
        }
    )
