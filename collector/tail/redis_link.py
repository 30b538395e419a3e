"""Messages over Redis pub/sub, between any number of daemons and APIs.

One channel for each signal, and one for hellos; no name holds anything that a sender wrote. Nothing
is stored in Redis. Who uses a link decides what a failure means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeAlias

from redis.exceptions import RedisError

from collector.errors import LinkError
from collector.rows import Signal
from collector.settings import RedisSettings
from collector.tail.redis_client import Client, as_link_errors, client_of

PubSub: TypeAlias = Any
"""redis-py's own; its annotations leave most types open."""

ASK_S: Final = 1.0
"""Between two questions who listens."""

PING_S: Final = 2.0
"""A subscription that is silent for so long is asked whether it is alive."""


def channel(prefix: str, signal: Signal) -> str:
    """Return the channel of a signal."""
    return f"{prefix}:tail:{signal.value}"


def _hello_channel(prefix: str) -> str:
    return f"{prefix}:tail:hello"


async def ping(settings: RedisSettings) -> None:
    """Return when Redis answers.

    Raises:
        LinkError: it does not.
    """
    client = client_of(settings)
    try:
        with as_link_errors():
            await client.ping()
    finally:
        await client.aclose()


async def _next_message(pubsub: PubSub, timeout_s: float) -> tuple[bytes, bytes] | None:
    """Return channel and data of the next message, None for everything that is none.

    Raises:
        TimeoutError: the subscription does not answer.
    """
    message: dict[str, Any] | None = await pubsub.get_message(timeout=PING_S)
    if message is None:
        await pubsub.ping()
        message = await pubsub.get_message(timeout=timeout_s)
        if message is None:
            raise TimeoutError
    if message["type"] != "message":
        return None
    return message["channel"], message["data"]


class RedisPublisherLink:
    """A worker's end."""

    retry_s_max = 5.0
    patience_s = 0.0

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._prefix = settings.channel_prefix
        self._client: Client | None = None
        self._listeners: dict[Signal, int] | None = None  # None: not asked yet
        self._failed = False

    def wanted(self, signal: Signal) -> bool:
        """Whether somebody listened a second ago; not while Redis is away."""
        if self._listeners is None:
            return not self._failed
        return self._listeners[signal] > 0

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Have a connection inside the block, and know who listens."""
        client = self._client = client_of(self._settings)
        try:
            await self._ask()
            yield
        finally:
            self._failed, self._listeners, self._client = True, None, None
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def watch(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Ask who listens, each second and whenever a reader says hello."""
        assert self._client is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_regularly(greet))
            tasks.create_task(self._hear_hellos(self._client.pubsub(), greet))

    async def send(self, signal: Signal, body: bytes) -> None:
        """Publish; how many it reached is as good as asking, but who is new is left to ``_ask``."""
        assert self._client is not None
        with as_link_errors():
            reached = int(await self._client.publish(channel(self._prefix, signal), body))
        if self._listeners is not None:
            self._listeners[signal] = min(self._listeners[signal], reached)

    async def _ask_regularly(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        while True:
            await asyncio.sleep(ASK_S)
            greet(await self._ask())

    async def _ask(self) -> list[Signal]:
        """Learn who listens; return the signals with more listeners than before."""
        assert self._client is not None
        channels = [channel(self._prefix, signal) for signal in Signal]
        with as_link_errors():
            answer: list[tuple[bytes, int]] = await self._client.pubsub_numsub(*channels)
        counts = {name.decode(): int(count) for name, count in answer}
        before = self._listeners or dict.fromkeys(Signal, 0)
        self._listeners = {
            signal: counts.get(channel(self._prefix, signal), 0) for signal in Signal
        }
        return [signal for signal in Signal if self._listeners[signal] > before[signal]]

    async def _hear_hellos(self, pubsub: PubSub, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Greet those who listen already, then whoever says hello; nobody comes between the two."""
        async with contextlib.aclosing(pubsub):
            with as_link_errors():
                await pubsub.subscribe(_hello_channel(self._prefix))
                await _next_message(pubsub, self._settings.timeout_s)  # that it is subscribed
            await self._ask()
            greet([signal for signal in Signal if self.wanted(signal)])
            while True:
                with as_link_errors():
                    heard = await _next_message(pubsub, self._settings.timeout_s)
                if heard is not None:
                    asked = heard[1].decode(errors="replace")
                    grown = await self._ask()
                    greet(
                        [s for s in Signal if s in grown or (s.value == asked and self.wanted(s))]
                    )


class RedisSubscriberLink:
    """The API's end, for one signal."""

    def __init__(self, settings: RedisSettings, signal: Signal) -> None:
        self._settings = settings
        self._signal = signal
        self._client: Client | None = None

    @contextlib.asynccontextmanager
    async def subscribed(self) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Listen to the signal's channel inside the block."""
        name = channel(self._settings.channel_prefix, self._signal)
        client = self._client = client_of(self._settings)
        pubsub = client.pubsub()
        try:
            with as_link_errors():
                await pubsub.subscribe(name)
                await _next_message(pubsub, self._settings.timeout_s)  # that it is subscribed
            yield self._messages(pubsub)
        finally:
            self._client = None
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()
                await client.aclose()

    async def _messages(self, pubsub: PubSub) -> AsyncIterator[bytes]:
        while True:
            with as_link_errors():
                heard = await _next_message(pubsub, self._settings.timeout_s)
            if heard is not None:
                yield heard[1]

    async def hello(self) -> int:
        """Publish a hello; Redis tells how many publishers heard it."""
        if self._client is None:  # a reader asks while a broken subscription is being closed
            raise LinkError("Redis is away")
        name = _hello_channel(self._settings.channel_prefix)
        with as_link_errors():
            return int(await self._client.publish(name, self._signal.value))
