"""api.counting: which requests are counted, under which route and status, and what their time is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from collector.api.admission import Admission
from collector.api.application import build
from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.leaving import while_there
from collector.errors import NotFoundError
from collector.receive.auth import Gate
from collector.settings import Settings, TlsSettings
from collector.telemetry.metrics import Metrics
from tests.asking import Asker
from tests.clocks import HandClock


class Rig:
    """An application whose answers take a second, of time that stands still otherwise."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        app = build(
            Admission(Gate(TlsSettings(), None), Settings()),
            Failures(self.clock),
            Answers(self.metrics, self.clock),
            [],
            others={
                "/things/{thing}": self._thing,
                "/slow": self._slow,
                "/stream": self._stream,
            },
        )
        self.asker = Asker(app)

    async def _thing(self, request: Request) -> Response:
        self.clock.move(timedelta(seconds=1))
        if request.path_params["thing"] == "none":
            raise NotFoundError("there is no such thing")
        return PlainTextResponse("a")

    async def _slow(self, request: Request) -> Response:
        await while_there(request.receive, asyncio.Event().wait())
        raise AssertionError("nobody sets it")

    async def _stream(self, _request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield "a"
            self.clock.move(timedelta(seconds=60))
            yield "b"

        self.clock.move(timedelta(seconds=1))
        return StreamingResponse(lines())

    def seconds(self, route: str) -> float:
        """Return the sum of what answers of a route took."""
        return self.metrics.api_answer_seconds.values[(route,)][-1]


@pytest.fixture
def rig() -> Rig:
    """Ask here."""
    return Rig()


async def test_requests_count_by_route_and_status(rig: Rig) -> None:
    """A path is the caller's word: what it holds, or that it leads nowhere, is no label."""
    for path in ("/things/a", "/things/b", "/things/none", "/no/such/path", "/nor/this"):
        await rig.asker.get(path)
    await rig.asker.get("/things/a", method="DELETE")
    await rig.asker.get("/things/a", headers={"host": "evil.example"})

    assert rig.metrics.api_requests.values == {
        ("/things/{thing}", "200"): 2,
        ("/things/{thing}", "404"): 1,
        ("/things/{thing}", "405"): 1,
        ("none", "404"): 2,
        ("none", "403"): 1,
    }
    assert rig.seconds("/things/{thing}") == 3.0


async def test_the_pace_of_a_reader_is_not_our_time(rig: Rig) -> None:
    """A stream has taken what passed before its head."""
    await rig.asker.get("/stream")

    assert rig.seconds("/stream") == 1.0


async def test_who_leaves_before_the_answer_counts_as_that(rig: Rig) -> None:
    """And adds nothing to what answers take."""
    gone = asyncio.Event()
    gone.set()

    await rig.asker.get("/slow", leaves=gone)

    assert rig.metrics.api_requests.values == {("/slow", "left"): 1}
    assert not rig.metrics.api_answer_seconds.values
