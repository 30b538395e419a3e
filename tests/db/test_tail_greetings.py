"""A worker that comes late says so, over what really carries it: a Redis server and a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.rows import Signal
from collector.settings import RedisSettings
from collector.tail.link import PublisherLink, SubscriberLink
from collector.tail.local_link import LocalPublisherLink, LocalServer, LocalSubscriberLink
from collector.tail.redis_link import RedisPublisherLink, RedisSubscriberLink
from tests.redis_server import redis_server

STEP_S_MAX = 10.0

Links = Callable[
    [Path], contextlib.AbstractAsyncContextManager[tuple[PublisherLink, SubscriberLink]]
]


@contextlib.asynccontextmanager
async def over_redis(folder: Path) -> AsyncGenerator[tuple[PublisherLink, SubscriberLink]]:
    """Lend the two ends of a link for logs."""
    del folder  # it has one of its own
    with redis_server() as server:
        settings = RedisSettings(url=SecretStr(server.url))
        yield RedisPublisherLink(settings), RedisSubscriberLink(settings, Signal.LOGS)


@contextlib.asynccontextmanager
async def over_a_socket(folder: Path) -> AsyncGenerator[tuple[PublisherLink, SubscriberLink]]:
    """Lend the two ends of a link for logs."""
    path = folder / "tail"
    server = LocalServer(path)
    serving = asyncio.create_task(server.run())
    try:
        while not path.exists():  # noqa: ASYNC110 -- only the kernel knows, and it tells nobody
            await asyncio.sleep(0)
        yield LocalPublisherLink(path), LocalSubscriberLink(server, Signal.LOGS)
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


@pytest.mark.parametrize("links", [over_redis, over_a_socket])
async def test_a_worker_that_comes_after_the_question_greets_unasked(
    links: Links, tmp_path: Path
) -> None:
    """Else the API would believe, after an outage, that nobody publishes what it receives."""
    greeted = asyncio.Queue[Sequence[Signal]]()

    async with (
        asyncio.timeout(STEP_S_MAX),
        links(tmp_path) as (publisher, subscriber),
        subscriber.subscribed(),
    ):
        asked = await subscriber.hello()
        async with publisher.connected():
            watching = asyncio.create_task(publisher.watch(greeted.put_nowait))
            first = await greeted.get()
            watching.cancel()
            await asyncio.wait((watching,))

    assert asked == 0
    assert first == [Signal.LOGS]
