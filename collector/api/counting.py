"""What the API counts of its answers: how many, how they ended, and how soon they began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

NO_ROUTE: Final = "none"
"""Of a path that no route has: such paths are the callers' own words, and without end."""
LEFT: Final = "left"
"""How an answer ended whose reader left before it began."""


class Answers:
    """Counts the answers of HTTP and of gRPC alike."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def expect(self) -> Answer:
        """Return what is told of an answer from now on."""
        return Answer(self._metrics, self._clock)


class Answer:
    """One answer, from the request to its end."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._asked_s = clock.monotonic_s()
        self._took_s: float | None = None

    def begin(self) -> None:
        """Note that it begins, once: what follows is the pace of its reader."""
        if self._took_s is None:
            self._took_s = self._clock.monotonic_s() - self._asked_s

    def end(self, route: str, status: str) -> None:
        """Count it; unless its reader left, it has begun now at the latest."""
        self._metrics.api_requests.add(1, route, status)
        if status != LEFT:
            self.begin()
        if self._took_s is not None:
            self._metrics.api_answer_seconds.observe(self._took_s, route)


class Counted:
    """Counts what an application answers; the outermost layer, so that refusals count, too."""

    def __init__(self, app: ASGIApp, answers: Answers, paths: Mapping[Any, str]) -> None:
        """``paths`` tells how the route is written that leads to an endpoint."""
        self._app = app
        self._answers = answers
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and count it under its route and status."""
        answer = self._answers.expect()
        status = LEFT

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                answer.begin()
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            answer.end(self._paths.get(scope.get("endpoint"), NO_ROUTE), status)
