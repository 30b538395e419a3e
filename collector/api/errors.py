"""What a reader hears when a request fails, on every route."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from google.rpc import code_pb2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from collector.errors import StoreError
from collector.receive.auth import CHALLENGE
from collector.receive.status import RETRY_AFTER_S, is_expected, to_verdict
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

_NO_RIGHT: Final = "42501"
_CODES: Final = {
    HTTPStatus.NOT_FOUND: code_pb2.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: code_pb2.UNIMPLEMENTED,
}


class Failures:
    """Answers for errors; PostgreSQL's and our own faults are logged, now and then."""

    def __init__(self, clock: Clock) -> None:
        self._trouble = Trouble("otlpg.api", clock)

    def answer(self, error: Exception) -> Response:
        """Return the answer for ``error``."""
        if isinstance(error, StoreError):
            return self._of_store(error)
        if not is_expected(error):
            self._trouble.error(
                "request failed by our own fault", type(error).__name__, exc_info=error
            )
        verdict = to_verdict(error)
        headers: dict[str, str] = {}
        if verdict.retryable:
            headers["retry-after"] = str(RETRY_AFTER_S)
        if verdict.http_status == HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = CHALLENGE
        return _status(verdict.http_status, verdict.code, verdict.text, headers)

    def _of_store(self, error: StoreError) -> Response:
        """Answer that PostgreSQL does not; where it is and what it says is for the log alone."""
        self._trouble.warn(
            "a question has no answer", error.sqlstate or type(error).__name__, error=str(error)
        )
        reason = "does not let us read: see api.dsn" if error.sqlstate == _NO_RIGHT else "is away"
        return _status(
            HTTPStatus.SERVICE_UNAVAILABLE,
            code_pb2.UNAVAILABLE,
            f"PostgreSQL {reason}",
            {"retry-after": str(RETRY_AFTER_S)},
        )


async def no_such_call(_request: Request, error: Exception) -> Response:
    """Answer another path or method than ours."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return _status(status, _CODES.get(status, code_pb2.UNKNOWN), status.phrase, error.headers)


def _status(status: int, code: int, message: str, headers: object = None) -> Response:
    return JSONResponse(
        {"code": code, "message": message},
        status_code=status,
        headers=dict(headers) if headers else None,  # pyright: ignore[reportArgumentType, reportUnknownArgumentType, reportCallIssue]
    )
