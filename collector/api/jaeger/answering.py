"""What both versions of the API share: answers in JSON, and failures in the form of their version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from collector.api.errors import Failures, headers_of, verdict_of
from collector.api.questions import Questions

Answer = Callable[[Request], Awaitable[Response]]


def json_answer(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer with this content."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


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
                self._failures.note(error)
                verdict = verdict_of(error)
            content = content_of(verdict.http_status, verdict.text)
            return json_answer(content, verdict.http_status, headers_of(verdict))

        return answered
