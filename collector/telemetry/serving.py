"""uvicorn as a part of a process that has its own signals, and its own way to accept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence

import uvicorn

Accept = Callable[["EmbeddedServer", Sequence[socket.socket]], Awaitable[None]]
"""Accepts connections on bound sockets until cancelled, and closes them; see ``TlsListener``."""


class EmbeddedServer(uvicorn.Server):
    """uvicorn, without its signal handlers and with a moment at which it listens.

    ``accept`` takes the connections instead of uvicorn; None leaves them to it, in clear.
    """

    def __init__(self, config: uvicorn.Config, accept: Accept | None = None) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._accept = accept
        self._accepting: asyncio.Future[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the owner, who drains."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        if self._accept is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._accepting = asyncio.ensure_future(self._accept(self, sockets or ()))
            self._accepting.add_done_callback(self._accepted_last)
            await asyncio.sleep(0)  # it listens within its first step
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, and end as uvicorn does.

        Raises:
            Exception: what ended ``accept`` before it was time.
        """
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait((self._accepting,))
        await super().shutdown(sockets)
        if self._accepting is not None and not self._accepting.cancelled():
            self._accepting.result()

    def _accepted_last(self, _accepting: asyncio.Future[None]) -> None:
        self.should_exit = True
