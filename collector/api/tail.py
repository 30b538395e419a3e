"""``GET /api/v1/tail``: what is committed, as Server-Sent Events.

Events: ``item`` (one item in JSON, with an id to go on from), ``live`` (the stored items are over),
``skipped`` (items that are not shown, and why), ``link`` (the workers cannot be heard, or can be
again), ``notice`` (what else the reader should know). Behind them, and as a heartbeat, comes an id
without an event: so far the reader knows everything, whether or not it was for it.

Spec: WHATWG HTML, server-sent events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collector.api.admission import CLIENT, Admission
from collector.api.errors import Failures
from collector.api.leaving import while_there
from collector.api.stored import StoredItems
from collector.api.tail_parameters import TailParameters
from collector.errors import ForbiddenError, KeysAwayError, StoreError, UnauthenticatedError
from collector.query.snapshot import Snapshot
from collector.receive.http_protocol import ABORT
from collector.tail.hub import Hub
from collector.tail.reader import Event, LinkState, Notice, Reader, Shown, Skipped
from collector.tail.subscriber import Started
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

HEARTBEAT_S: Final = 15.0
"""Proxies close what is silent for a minute; a client takes three of these for the end."""

CHECK_S: Final = 5.0
"""Between two looks whether the key of a reader still holds, which come with an event or a heartbeat."""

SLICE_EVENTS: Final = 64
"""Stored items that go out together; a slow reader has no more of them in its connection."""

SEND_S_MAX: Final = 300.0
"""A reader that takes nothing for so long is let go."""

_KINDS: Final = {Skipped: "skipped", LinkState: "link", Notice: "notice"}
_WAIT: Final = b": stored items are looked for\n\n"
_MEDIA_TYPE: Final = "text/event-stream"
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would wait for more
}


T = TypeVar("T")
Write = Callable[[bytes], Awaitable[None]]


class TailRoute:
    """Answers with a stream for each reader, until it leaves or ``drain``."""

    def __init__(
        self,
        hub: Hub,
        admission: Admission,
        stored: StoredItems,
        failures: Failures,
        *,
        link: str,
        clock: Clock,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """``link`` is what carries the items, for the reader to know."""
        self._hub = hub
        self._admission = admission
        self._stored = stored
        self._failures = failures
        self._link = link
        self._heartbeat_s = heartbeat_s
        self._trouble = Trouble("otlpg.api", clock)
        self._draining = False

    def drain(self) -> None:
        """End every stream soon."""
        self._draining = True
        self._hub.wake()

    async def answer(self, request: Request) -> Response:
        """Return the stream, or what is wrong with the request."""
        parameters = TailParameters.from_query(request.query_params)
        if request.method == "HEAD":
            return Response(media_type=_MEDIA_TYPE, headers=_HEADERS)
        after = request.headers.get("last-event-id")
        may_read = partial(self._may_read, request)
        client: str = getattr(request.state, CLIENT)
        return _Stream(partial(self._stream, parameters, after, client, may_read), self._failures)

    async def _stream(
        self,
        parameters: TailParameters,
        after: str | None,
        client: str,
        may_read: Callable[[], Awaitable[bool]],
        write: Write,
    ) -> None:
        """Write events until the daemon drains; the caller cancels when the reader leaves."""
        async with self._hub.open(
            parameters.signals,
            parameters.filter.matches,
            after,
            sees_all=parameters.sees_all,
            client=client,
        ) as (reader, started):
            # A head at once: who waits for stored items knows that somebody is here.
            await write(b":\n\n")
            snapshot: Snapshot | None = None
            if after is None and parameters.stored:
                snapshot, events = await self._beating(self._read(parameters), write)
                for start in range(0, len(events), SLICE_EVENTS):
                    await write(b"".join(events[start : start + SLICE_EVENTS]))
            live = self._live(reader, started)
            news = reader.take_now()
            loop = asyncio.get_running_loop()
            checked_s = loop.time()
            while True:
                at = self._hub.place()  # all before it is among the news, or not for this reader
                if snapshot is not None:
                    news = [event for event in news if not _was_read(event, snapshot)]
                await write(b"".join((live, *map(_encode, news))) + b"id: %b\n\n" % at.encode())
                if self._draining:
                    return
                live = b""
                news = await self._take(reader)
                if loop.time() - checked_s > CHECK_S:
                    checked_s = loop.time()
                    if not await may_read():
                        await write(_event("notice", {"message": "this key may not read any more"}))
                        return

    async def _may_read(self, request: Request) -> bool:
        """Return whether the key of a reader still holds; also while nobody can tell."""
        try:
            await self._admission.check(request)
        except (UnauthenticatedError, ForbiddenError):
            return False
        except KeysAwayError:
            return True
        return True

    async def _read(self, parameters: TailParameters) -> tuple[Snapshot | None, list[bytes]]:
        """Return the events of the last stored items, and the snapshot that they were read in."""
        try:
            found = await self._stored.find(
                parameters.signals,
                parameters.filter,
                since=parameters.since,
                limit=parameters.stored,
            )
        except StoreError as error:
            self._trouble.warn(
                "stored items cannot be read",
                error.sqlstate or type(error).__name__,
                error=str(error),
            )
            reason = "the role may not read: see api.dsn" if error.is_about_rights else "for now"
            message = f"stored items cannot be read, {reason}"
            return None, [_event("notice", {"message": message})]
        events = [_event("item", item) for item in found.items]
        if not found.is_whole:
            notice = "the time was up before all stored items were looked at; more may match"
            events.insert(0, _event("notice", {"message": notice}))
        return found.snapshot, events

    async def _beating(self, work: Coroutine[Any, Any, T], write: Write) -> T:
        """Return what ``work`` returns; until then the reader is told now and then to wait."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait((task,), timeout=self._heartbeat_s))[0]:
                await write(_WAIT)
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait((task,))

    def _live(self, reader: Reader, started: Started) -> bytes:
        """Return the event; who publishes is not known while the link is away."""
        workers, expected = started if reader.link_up else (None, None)
        return _event("live", {"workers": workers, "expected": expected, "link": self._link})

    async def _take(self, reader: Reader) -> list[Event]:
        """Return what has come; nothing when it is time for a heartbeat."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                return await reader.take()
        except TimeoutError:
            return []


def _encode(event: Event) -> bytes:
    if isinstance(event, Shown):
        return event.event
    return _event(_KINDS[type(event)], event._asdict())


def _was_read(event: Event, snapshot: Snapshot) -> bool:
    """Whether an item was there when the stored ones were read."""
    if not isinstance(event, Shown) or event.transaction_id is None:
        return False
    return snapshot.sees(event.transaction_id)


def _event(kind: str, content: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps(content) + b"\n\n"


class _Stream(Response):
    """A response that begins with the first byte, so that what fails before is an ordinary error."""

    def __init__(
        self,
        run: Callable[[Write], Awaitable[None]],
        failures: Failures,
    ) -> None:
        super().__init__(None, media_type=_MEDIA_TYPE, headers=_HEADERS)
        del self.headers["content-length"]
        self._run = run
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader leaves, or there is no more."""
        begun = False

        async def write(chunk: bytes) -> None:
            nonlocal begun
            async with asyncio.timeout(SEND_S_MAX):
                if not begun:
                    begun = True
                    await send(
                        {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                    )
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

        try:
            await while_there(receive, self._run(write))
            await write(b"")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            return
        except Exception as error:
            if not begun:
                await self._failures.answer(error)(scope, receive, send)
            elif isinstance(error, TimeoutError):
                scope["state"][ABORT]()  # to close would wait for ever until all is taken
            else:
                raise
