"""What publishers and readers need of whatever carries messages between them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from collector.errors import LinkError
from collector.rows import Signal


class PublisherLink(Protocol):
    """The end at a worker."""

    retry_s_max: float
    """Longest pause between two attempts to connect."""
    patience_s: float
    """It may be away for so long, at a start for instance, before that is worth a line in the log."""

    def wanted(self, signal: Signal) -> bool:
        """Whether somebody listens, as far as is known; True while nobody knows. Costs nothing."""
        ...

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Connect, and be away again at the end of the block.

        Raises:
            LinkError: it is away; also from what waits inside the block.
        """
        ...

    async def watch(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Keep knowing who listens until cancelled; ``greet`` on signals that a reader asks for.

        Raises:
            LinkError: it is away.
        """
        ...

    async def send(self, signal: Signal, body: bytes) -> None:
        """Send a message to whoever listens.

        Raises:
            LinkError: it was not sent.
        """
        ...


class SubscriberLink(Protocol):
    """The end at the API."""

    def subscribed(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Listen inside the block; the iterator gives messages as they come.

        Raises:
            LinkError: it is away; also from the iterator.
        """
        ...

    async def hello(self) -> int:
        """Ask every publisher for a greeting; return how many there are, as far as the link knows.

        Inside ``subscribed``.

        Raises:
            LinkError: it is away.
        """
        ...


class AbsentLink:
    """The end at the API of a daemon that has no way to carry anything."""

    def __init__(self, why: str) -> None:
        self._why = why

    @contextlib.asynccontextmanager
    async def subscribed(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Say why it cannot.

        Raises:
            LinkError: always.
        """
        raise LinkError(self._why)
        yield

    async def hello(self) -> int:
        """Ask nobody."""
        return 0
