"""The two ends of a link that a test holds in its hand: nothing is between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from collector.errors import LinkError
from collector.rows import Signal

END = b""
"""Breaks a subscriber's link."""


class HandPublisherLink:
    """A publisher's link: the test says who listens and when it fails, and sees what was sent."""

    def __init__(self, *listened: Signal) -> None:
        self.retry_s_max = 5.0
        self.patience_s = 0.0
        self.listened = set(listened)
        self.sent: list[tuple[Signal, bytes]] = []
        self.failure: Exception | None = None
        self.connections = 0
        self.greet: Callable[[Sequence[Signal]], None] | None = None
        self.watched = asyncio.Event()
        self._broken = asyncio.Event()

    def wanted(self, signal: Signal) -> bool:
        """Whether the test said so."""
        return signal in self.listened

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Connect, unless there is a failure."""
        self.connections += 1
        self._check()
        yield

    async def watch(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Wait for ``fail``."""
        self.greet = greet
        self.watched.set()
        self._broken.clear()
        await self._broken.wait()
        self._check()

    async def send(self, signal: Signal, body: bytes) -> None:
        """Keep the message."""
        self._check()
        self.sent.append((signal, body))

    def fail(self, error: Exception | None = None) -> None:
        """Break at the next use, and while waiting."""
        self.failure = error or LinkError("broken by the test")
        self._broken.set()

    def mend(self) -> None:
        """Be there again."""
        self.failure = None

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


class HandSubscriberLink:
    """A subscriber's link into which the test puts messages."""

    def __init__(self, publishers: int = 1) -> None:
        self.publishers = publishers
        self.failure: Exception | None = None
        self.hellos = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.left = asyncio.Event()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._change = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def subscribed(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Listen, unless there is a failure; ``left`` is set when that is over."""
        if self.failure is not None:
            raise self.failure
        try:
            yield self._messages()
        finally:
            self.left.set()

    async def _messages(self) -> AsyncIterator[bytes]:
        while (raw := await self._queue.get()) != END:
            yield raw
        raise LinkError("broken by the test")

    async def hello(self) -> int:
        """Count the hello."""
        async with self._change:
            self.hellos += 1
            self._change.notify_all()
        await self.may_answer.wait()
        return self.publishers

    async def said_hello(self, times: int = 1) -> None:
        """Return once so many hellos were said."""
        async with self._change:
            await self._change.wait_for(lambda: self.hellos >= times)

    def put(self, raw: bytes) -> None:
        """Let a message come."""
        self._queue.put_nowait(raw)
