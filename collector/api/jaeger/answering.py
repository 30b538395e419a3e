"""What both versions of the API share: answers in JSON, and failures in the form of their version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from collector.api.errors import Failures
from collector.api.questions import Questions
from collector.receive.status import to_verdict

Answer = Callable[[Request], Awaitable[Response]]

_KEPT_HEADERS: Final = ("retry-after", "www-authenticate")


def json_answer(content: Any, status: int = 200) -> Response:
    """Return an answer with this content."""
    return Response(orjson.dumps(content), status, media_type="application/json")


async def long_answer(content_of: Callable[[], Any]) -> Response:
    """Return an answer whose content takes long to make: others have their turn meanwhile."""
    return await asyncio.to_thread(lambda: json_answer(content_of()))


class Answering:
    """How all routes answer: each in its turn, and never for a reader who has left."""

    def __init__(self, questions: Questions, failures: Failures) -> None:
        self._questions = questions
        self._failures = failures

    def guarded(self, answer: Answer, content_of: Callable[[int, str], Any]) -> Answer:
        """Return the answer with its failures told as ``content_of`` their status and text has it."""

        async def answered(request: Request) -> Response:
            try:
                return await self._questions.ask(request, lambda: answer(request))
            except ClientDisconnect:
                raise
            except Exception as error:  # noqa: BLE001 -- told in Jaeger's form; Failures logs our faults
                told, text = self._failures.answer(error), to_verdict(error).text
            response = json_answer(content_of(told.status_code, text), told.status_code)
            for name in _KEPT_HEADERS:
                if name in told.headers:
                    response.headers[name] = told.headers[name]
            return response

        return answered
