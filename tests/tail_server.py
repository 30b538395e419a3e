"""A server that speaks the contract of ``GET /api/v1/tail``, and says what a test tells it to say.

>>> with TailServer() as server:
...     with Tail(server.url, "logs") as tail:
...         server.wait_for_request()
...         server.item({"signal": "logs", "body": "hello"}, id="1")
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.certificates import ServerFiles

WAIT_S_MAX = 30.0


class Asked(NamedTuple):
    """A request as it came."""

    parameters: dict[str, str]
    headers: dict[str, str]


class TailServer:
    """Real HTTP on a port of loopback; inside ``with`` it runs, and may be stopped and started.

    What is said goes to the newest connection; ``refuse_with`` is the answer to all that come later.
    """

    def __init__(self, files: ServerFiles | None = None) -> None:
        self._files = files
        self._port = 0
        self._changed = threading.Condition()
        self._asked: list[Asked] = []
        self._lines: asyncio.Queue[bytes | None] | None = None
        self._refusal: Response | None = None
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # -- life --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it is, and is again after a stop."""
        return f"{'https' if self._files else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen; a second time on the same port."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        app = Starlette(routes=[Route("/{path:path}", self._tail)])
        files = self._files
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=0,
            ssl_certfile=str(files.certificate) if files else None,
            ssl_keyfile=str(files.key) if files else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=(self._server, listener))
        self._thread.start()

    def stop(self) -> None:
        """End all connections and listen no more."""
        if self._server is None:
            return
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(WAIT_S_MAX)
        assert not self._thread.is_alive()
        self._server = None

    def _run(self, server: uvicorn.Server, listener: socket.socket) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await server.serve([listener])

        with listener:
            asyncio.run(serve())

    # -- what it hears -----------------------------------------------------------------------------

    def wait_for_request(self, number: int = 1) -> Asked:
        """Return the request of this number, the first being 1, once it is here."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._asked) >= number, WAIT_S_MAX)
            assert came, f"{len(self._asked)} of {number} requests"
            return self._asked[number - 1]

    # -- what it says ------------------------------------------------------------------------------

    def say(self, text: str | bytes) -> None:
        """Write a piece of the stream, as it is."""
        self._put(text.encode() if isinstance(text, str) else text)

    def event(self, kind: str, data: Any, *, id: str = "") -> None:  # noqa: A002 -- as the stream calls it
        """Write an event with JSON."""
        self.say((f"id: {id}\n" if id else "") + f"event: {kind}\ndata: {json.dumps(data)}\n\n")

    def item(self, fields: dict[str, Any], *, id: str = "") -> None:  # noqa: A002 -- likewise
        """Write an item."""
        self.event("item", fields, id=id)

    def live(self) -> None:
        """Say that stored items are over."""
        self.event("live", {"workers": 1, "expected": 1, "link": "local"})

    def drop(self) -> None:
        """End the newest connection."""
        self._put(None)

    def _put(self, piece: bytes | None) -> None:
        loop, lines = self._loop, self._lines
        assert loop is not None, "it was never started"
        assert lines is not None, "nobody has asked"
        loop.call_soon_threadsafe(lines.put_nowait, piece)

    def refuse_with(self, status: int, message: str = "", **headers: str) -> None:
        """Answer all requests from now on with an error."""
        self.answer_with(JSONResponse({"code": 3, "detail": message}, status, headers))

    def answer_with(self, response: Response | None) -> int:
        """Answer all requests from now on with this; None: with tails again.

        Return how many came before.
        """
        with self._changed:
            self._refusal = response
            return len(self._asked)

    async def _tail(self, request: Request) -> Response:
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        asked = Asked({"path": request.url.path, **request.query_params}, dict(request.headers))
        with self._changed:
            self._lines = lines
            self._asked.append(asked)
            refusal = self._refusal
            self._changed.notify_all()
        if refusal is not None:
            return refusal
        return StreamingResponse(self._pieces(lines), media_type="text/event-stream")

    async def _pieces(self, lines: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
        yield b"retry: 100\n\n"
        while (piece := await lines.get()) is not None:
            yield piece
