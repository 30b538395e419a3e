"""Redis is killed under load and comes back, more than once."""

from __future__ import annotations

import asyncio

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.watching import Fault, Watcher, linked, run_watched
from tests.redis_server import RedisServer, redis_server

REQUESTS = 150


def killed(server: RedisServer, times: int) -> Fault:
    """Return the fault that kills and starts it so often."""

    async def fault(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
        for _ in range(times):
            await linked(daemon, 2)
            seen, lost = watcher.seen.total(), watcher.why["lost"]
            await watcher.until(lambda: watcher.seen.total() > seen + REQUESTS)  # noqa: B023
            await asyncio.to_thread(server.kill)
            await sender.acknowledged(REQUESTS)
            await linked(daemon, 0)
            await asyncio.to_thread(server.start)
            await watcher.until(lambda: watcher.why["lost"] > lost)  # noqa: B023
        await watcher.until(lambda: watcher.links == [False, True] * times)

    return fault


@pytest.mark.parametrize("times", [2, 6])
@pytest.mark.long
async def test_tails_come_back_and_tell_exactly_what_they_missed(
    database_settings: DatabaseSettings, times: int
) -> None:
    """Seen and told together are what is stored."""
    with redis_server() as server:
        verdict = await run_watched(
            killed(server, times),
            database_settings,
            seed=30 + times,
            environment={"REDIS_URL": server.url},
        )

    verdict.assert_promises_kept()
