"""How a route asks: not too many at once, never for a reader who has left, and as JSON or as a stream.

A reader who leaves cancels its question, and PostgreSQL is told (see ``query.view``). Questions use
fewer connections than the API has, so that keys and live tails have theirs; whoever waits too long for
a turn is asked to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from collector.api.encoding import encode
from collector.api.errors import Failures
from collector.api.kept import Kept
from collector.api.leaving import while_there
from collector.api.parameters import RangeParameters
from collector.api.unsent import PIECE_BYTES, SEND_S_MAX
from collector.errors import BadParameterError, TooManyQuestionsError
from collector.query.page import LIMIT_MAX, Cursor, Page
from collector.query.time_range import TimeRange
from collector.receive.http_protocol import ABORT
from collector.telemetry.clock import Clock

TURN_S_MAX: Final = 5.0
"""So long a question waits for its turn."""
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

T = TypeVar("T")
FindPage = Callable[[int, Cursor | None], Awaitable[Page[Any]]]
"""Asks for a page: how many items, and where to begin."""


class Turns:
    """Lets ``questions_max`` be asked at once, in the order in which they came."""

    def __init__(self, questions_max: int, wait_s_max: float = TURN_S_MAX) -> None:
        self._max = questions_max
        self._wait_s_max = wait_s_max
        self._free = asyncio.Semaphore(questions_max)
        self.asked = 0
        self.waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Have a turn for a block.

        Raises:
            TooManyQuestionsError: none came free in time.
        """
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s_max):
                await self._free.acquire()
        except TimeoutError:
            raise TooManyQuestionsError(self._max) from None
        finally:
            self.waiting -= 1
        self.asked += 1
        try:
            yield
        finally:
            self.asked -= 1
            self._free.release()


class Questions:
    """What all routes answer with."""

    def __init__(
        self, turns: Turns, failures: Failures, clock: Clock, kept: Kept | None = None
    ) -> None:
        """``kept`` None: every answer is a new one."""
        self._turns = turns
        self._failures = failures
        self._clock = clock
        self._kept = kept

    def now_ns(self) -> int:
        """Return what time it is, since 1970."""
        return self._clock.unix_ns()

    def slow_range(self, asked: RangeParameters) -> TimeRange:
        """Return the range of a question whose answer may be kept.

        Raises:
            BadParameterError: as ``RangeParameters.when``.
        """
        return asked.when(self.now_ns(), grid_s=self._kept.lifetime_s if self._kept else 0.0)

    async def ask(self, request: Request, question: Callable[[], Awaitable[T]]) -> T:
        """Return what a repository says, as long as the reader is there.

        Raises:
            ClientDisconnect: the reader has left; the question is cancelled.
            TooManyQuestionsError: its turn did not come in time.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        return await while_there(request.receive, self._in_turn(question))

    async def answer(self, request: Request, question: Callable[[], Awaitable[object]]) -> Response:
        """Return what a repository says as JSON; it raises what ``ask`` does."""
        return written(await while_there(request.receive, self._encoded(question)))

    async def slow_answer(
        self,
        request: Request,
        about: tuple[object, ...],
        question: Callable[[], Awaitable[object]],
    ) -> Response:
        """Return the same of an answer that moves slowly: one that was given a moment ago will do.

        ``about`` is the question, complete; see ``Kept.answer``.
        """
        if self._kept is None:
            return await self.answer(request, question)
        answering = self._kept.answer(about, lambda: self._encoded(question))
        return written(await while_there(request.receive, answering))

    async def page(
        self,
        request: Request,
        find: FindPage,
        *,
        limit: int,
        cursor: Cursor | None,
        about: tuple[object, ...] | None = None,
    ) -> Response:
        """Return a page as JSON; or, to who accepts NDJSON, its items and those of the pages after it.

        What goes wrong before the first item is an ordinary error. Later the connection is cut, so
        that nobody takes a part for the whole. With ``about`` a page is a ``slow_answer``.

        Raises:
            BadParameterError: more items than a page may have.
        """
        if not accepts(request, NDJSON):
            if limit > LIMIT_MAX:
                raise BadParameterError("limit", f"must be at most {LIMIT_MAX} without {NDJSON}")
            if about is not None:
                about = (*about, limit, cursor)
                return await self.slow_answer(request, about, lambda: find(limit, cursor))
            return await self.answer(request, lambda: find(limit, cursor))
        first = await self.ask(request, lambda: find(min(limit, LIMIT_MAX), cursor))
        return _Lines(self._lines(first, find, limit), self._failures)

    async def _in_turn(self, question: Callable[[], Awaitable[T]]) -> T:
        async with self._turns.one():
            return await question()

    async def _encoded(self, question: Callable[[], Awaitable[object]]) -> bytes:
        """Return the JSON of what a repository says, made beside the loop: live tails go on."""
        async with self._turns.one():
            return await asyncio.to_thread(encode, await question())

    async def _lines(self, page: Page[Any], find: FindPage, limit: int) -> AsyncIterator[bytes]:
        """Yield the lines of each page; they alone wait for the reader, and no turn is held."""
        left = limit
        while True:
            lines = await asyncio.to_thread(_lines_of, page)
            left -= len(page.items)
            following = page.next
            del page
            yield lines
            if left <= 0 or following is None:
                return
            size = min(left, LIMIT_MAX)
            async with self._turns.one():
                page = await find(size, following)


def _lines_of(page: Page[Any]) -> bytes:
    return b"".join(encode(item) + b"\n" for item in page.items)


def written(body: bytes) -> Response:
    """Return an answer whose JSON is there."""
    return Response(body, headers=_HEADERS, media_type=JSON)


def accepts(request: Request, media_type: str) -> bool:
    """Tell whether the reader names a media type; quality values count for nothing."""
    accepted = ",".join(request.headers.getlist("accept")).lower()
    return any(part.partition(";")[0].strip() == media_type for part in accepted.split(","))


class _Lines(Response):
    """A stream of lines, until there are no more or the reader leaves."""

    def __init__(self, lines: AsyncIterator[bytes], failures: Failures) -> None:
        super().__init__(None, headers=_HEADERS, media_type=NDJSON)
        del self.headers["content-length"]
        self._lines = lines
        self._failures = failures
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; a stream that breaks ends without its last chunk.

        Raises:
            TooManyAnswersError: too much waits already for its first page; nothing has left.
        """
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await while_there(receive, self._write(send))
        except ClientDisconnect:
            return
        except TimeoutError:  # it takes nothing; to close would wait for ever until all is taken
            scope["state"][ABORT]()
        except Exception as error:
            if not self._has_begun:
                raise
            self._failures.note(error)  # the head is out, no answer can follow
            scope["state"][ABORT]()

    async def _write(self, send: Send) -> None:
        async for chunk in self._lines:
            # A larger one goes out in pieces, each of which has its time.
            async with asyncio.timeout(SEND_S_MAX if len(chunk) <= PIECE_BYTES else None):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._has_begun = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})
