"""Answers on their way: what readers do not take is bounded in bytes and in time.

The server takes an answer at once, however large, and keeps it until its reader has it: measured, 60
readers of a trace of 20,000 spans who read nothing held 750 MB, for as long as they liked. So a large
answer goes out in pieces, each when the one before is gone; a reader who takes none for ``SEND_S_MAX``
is let go; and of all that wait no more than ``BYTES_MAX`` are held: beyond that a reader is told to
come again. What is no larger than a piece, as every event of a live tail, passes as it is.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.errors import TooManyAnswersError
from collector.receive.http_protocol import ABORT

PIECE_BYTES: Final = 64 * 1024
"""What goes out at once: as much as asyncio holds before it asks to wait."""
BYTES_MAX: Final = 64 * 2**20
"""Of all answers that wait. A single one may be larger, where no other waits."""
SEND_S_MAX: Final = 60.0
"""A reader that takes no piece for so long is let go."""


class Unsent:
    """Middleware between the application and the server."""

    def __init__(
        self, app: ASGIApp, *, bytes_max: int = BYTES_MAX, send_s_max: float = SEND_S_MAX
    ) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._send_s_max = send_s_max
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            TooManyAnswersError: too much waits already; nothing of this answer has left, unless it
                is a stream that had begun.
            ClientDisconnect: its reader takes nothing; the connection is cut.
        """
        head: Message | None = None

        async def watched(message: Message) -> None:
            nonlocal head
            if message["type"] != "http.response.body":
                head = message
                return
            size = len(message.get("body", b""))
            if size > PIECE_BYTES:
                self._hold(size)
            try:
                if head is not None:
                    begin, head = head, None
                    await send(begin)
                if size <= PIECE_BYTES:
                    await send(message)
                else:
                    await self._send_large(message, scope, receive, send)
            finally:
                self._held_bytes -= size if size > PIECE_BYTES else 0

        await self._app(scope, receive, watched)

    def _hold(self, size: int) -> None:
        if self._held_bytes and self._held_bytes + size > self._bytes_max:
            raise TooManyAnswersError(self._bytes_max)
        self._held_bytes += size

    async def _send_large(
        self, message: Message, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send a body in pieces, and return once all but the last of them is gone."""
        body = memoryview(message["body"])
        try:
            for place in range(0, len(body), PIECE_BYTES):
                piece = bytes(body[place : place + PIECE_BYTES])
                await self._send_in_time(send, {**message, "body": piece, "more_body": True})
            await self._send_in_time(send, {**message, "body": b""})
        except TimeoutError:
            await _cut(scope, receive)
            raise ClientDisconnect from None

    async def _send_in_time(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._send_s_max):
            await send(message)


async def _cut(scope: Scope, receive: Receive) -> None:
    """Cut the connection; return when the server knows, and so will not miss the rest."""
    scope["state"][ABORT]()
    while (await receive())["type"] != "http.disconnect":
        pass
