"""api.tail: what goes over the wire, event by event, and while nothing else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson
from starlette.requests import Request

from collector.api.admission import CLIENT, Admission
from collector.api.errors import Failures
from collector.api.tail import TailRoute
from collector.items import Item
from collector.query.recent import Recent
from collector.query.snapshot import Snapshot
from collector.receive.auth import Gate
from collector.rows import Signal
from collector.settings import Settings, TlsSettings
from collector.tail.hub import Hub
from collector.tail.reader import Skipped
from collector.tail.subscriber import STRANGERS
from collector.telemetry.metrics import Metrics
from tests.clocks import HandClock
from tests.unit.tail.links import HandSubscriberLink

STEP_S_MAX = 20.0


def record(body: str) -> Item:
    """Return a log record."""
    return {"signal": "logs", "time": "2026-01-01T12:00:00.000000000Z", "body": body}


class Stored:
    """What the test says is stored, once it lets it be found."""

    def __init__(self, *bodies: str) -> None:
        self.found = asyncio.Event()
        self._items = [record(body) for body in bodies]

    async def find(self, *_: Any, **__: Any) -> Recent:
        """Return it, seen by a snapshot in which transaction 5 is over and 9 is not."""
        await self.found.wait()
        return Recent(self._items, Snapshot(9, 9, frozenset()), is_whole=True)


class Stand:
    """The route over a hub whose only link is in the test's hand, and what it wrote."""

    def __init__(self, *stored: str) -> None:
        clock = HandClock()
        settings = Settings()
        self.hub = Hub(
            settings.tail,
            lambda _: HandSubscriberLink(publishers=0),
            clock=clock,
            metrics=Metrics(),
        )
        self.stored = Stored(*stored)
        made: Any = self.stored
        self.route = TailRoute(
            self.hub,
            Admission(Gate(TlsSettings(), None), settings),
            made,
            Failures(clock),
            link="local",
            clock=clock,
            heartbeat_s=0.02,
        )
        self.written = b""
        self._change = asyncio.Event()

    @contextlib.asynccontextmanager
    async def reading(self, query: str = "signal=logs") -> AsyncGenerator[None]:
        """Read inside the block, as somebody on this machine."""
        left = asyncio.Event()

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.written += message.get("body", b"")
            self._change.set()

        scope: Any = {
            "type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")],
            "query_string": query.encode(), "client": ("127.0.0.1", 1),
            "state": {CLIENT: "127.0.0.1"},
        }  # fmt: skip
        running = asyncio.create_task(self.hub.run())
        await asyncio.sleep(0)
        response = await self.route.answer(Request(scope, receive))
        answering = asyncio.create_task(response(scope, receive, send))
        try:
            async with asyncio.timeout(STEP_S_MAX):
                yield
        finally:
            left.set()
            await asyncio.wait((answering,), timeout=STEP_S_MAX)
            running.cancel()
            await asyncio.wait((answering, running), timeout=STEP_S_MAX)

    async def until(self, is_there: Callable[[bytes], bool]) -> bytes:
        """Return what was written, once there is something in it."""
        while not is_there(self.written):
            self._change.clear()
            await self._change.wait()
        return self.written


def event(kind: str, **data: Any) -> bytes:
    """Return an event as it is written."""
    return f"event: {kind}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


async def test_each_event_has_its_form() -> None:
    """Items with an id to go on from, the rest without; behind all of them stands an id."""
    stand = Stand("stored")
    stand.stored.found.set()
    async with stand.reading("signal=logs&n=1"):
        await stand.until(lambda written: b"id: " in written)
        epoch = stand.hub.place().partition("-")[0]
        stand.hub.show(Signal.LOGS, [record("seen already")], 5)
        stand.hub.show(Signal.LOGS, [record('live\n"é"')], 9)
        stand.hub.tell(Signal.LOGS, Skipped("logs", 3, "sampled"))
        written = await stand.until(lambda written: f"id: {epoch}-3\n\n".encode() in written)

    live = (
        b'{"signal":"logs","time":"2026-01-01T12:00:00.000000000Z","body":"live\\n\\"\xc3\xa9\\""}'
    )
    assert written.startswith(
        b":\n\n"
        + event("item", **record("stored"))
        + event("live", workers=0, expected=0, link="local")
        + f"id: {epoch}-0\n\n".encode()
    )
    assert f"id: {epoch}-2\nevent: item\ndata: ".encode() + live + b"\n\n" in written
    assert event("skipped", signal="logs", items=3, why="sampled") in written
    assert b"seen already" not in written


async def test_links_and_strangers_are_told() -> None:
    """As events of their own kinds."""
    stand = Stand()
    async with stand.reading():
        await stand.until(lambda written: b"id: " in written)
        feed = stand.hub._feeds[Signal.LOGS][0]  # pyright: ignore[reportPrivateUsage]
        feed._set_up(False, "Redis does not answer")  # pyright: ignore[reportPrivateUsage]
        feed.has_strangers = True
        stand.hub.look_at_strangers(Signal.LOGS)
        written = await stand.until(lambda written: b"notice" in written)

    assert event("link", up=False, message="Redis does not answer") in written
    assert event("notice", message=STRANGERS) in written


async def test_a_reader_is_kept_while_stored_items_are_looked_for() -> None:
    """PostgreSQL may take longer than a proxy waits; comments are no events."""
    stand = Stand("found late")
    async with stand.reading("n=1"):
        before = await stand.until(lambda written: written.count(b"\n\n") >= 3)
        stand.stored.found.set()
        await stand.until(lambda written: b"event: live" in written)

    assert set(before.split(b"\n\n")) == {b":", b": stored items are looked for", b""}


async def test_a_reader_that_leaves_meanwhile_ends_the_search() -> None:
    """Nobody waits for what it wanted to know."""
    stand = Stand()
    async with stand.reading("n=1"):
        await stand.until(lambda written: b": stored" in written)
        searching = [task for task in asyncio.all_tasks() if "TailRoute._read" in repr(task)]

    assert [task.cancelled() for task in searching] == [True]
