"""Redis has no memory left for what others store; and Redis ends subscriptions, as it does slow ones."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ResponseError

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.watching import Watcher, linked, run_watched
from tests.redis_server import RedisServer, redis_server

REQUESTS = 150


async def test_a_full_redis_still_carries_tails(database_settings: DatabaseSettings) -> None:
    """It keeps nothing of ours, so it needs no room for us."""
    with redis_server(maxmemory="1mb", maxmemory_policy="noeviction") as server:

        async def go_on(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
            await linked(daemon, 2)
            with server.client() as client, pytest.raises(ResponseError, match="maxmemory"):
                client.set("another's", "value")
            await sender.acknowledged(REQUESTS)
            await watcher.until(lambda: watcher.seen.total() > REQUESTS)
            assert watcher.links == []

        verdict = await run_watched(
            go_on, database_settings, seed=41, environment={"REDIS_URL": server.url}
        )

    verdict.assert_promises_kept()


def cut_off(server: RedisServer) -> int:
    """Let Redis close the connections of all its clients but the test's; return how many."""
    with server.client() as client:
        return int(client.client_kill_filter(skipme=True, _type="pubsub"))


@pytest.mark.long
async def test_subscriptions_that_redis_ends_come_back(database_settings: DatabaseSettings) -> None:
    """As it does with the buffers of slow subscribers; the gap is told."""
    with redis_server() as server:

        async def end_them(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
            await linked(daemon, 2)
            for _ in range(3):
                seen = watcher.seen.total()
                await watcher.until(lambda: watcher.seen.total() > seen + 50)  # noqa: B023
                assert await asyncio.to_thread(cut_off, server) >= 3
                await watcher.until(lambda: watcher.links[-2:] == [False, True])
                watcher.links.clear()
                await linked(daemon, 2)
            await sender.acknowledged(REQUESTS)

        verdict = await run_watched(
            end_them, database_settings, seed=42, environment={"REDIS_URL": server.url}
        )

    verdict.assert_promises_kept()
