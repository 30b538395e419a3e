"""Redis is frozen under load, for a while: no request waits for it, and no memory grows."""

from __future__ import annotations

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.watching import Watcher, flat, linked, pace, run_watched
from tests.redis_server import redis_server

REQUESTS = 300


@pytest.mark.parametrize("seed", [21, *(pytest.param(n, marks=pytest.mark.long) for n in (22, 23))])
async def test_ingest_keeps_its_pace_and_the_tail_tells_the_gap(
    database_settings: DatabaseSettings, seed: int
) -> None:
    """By SIGSTOP: its kernel accepts connections, and nobody answers. Then it goes on."""
    with redis_server() as server:

        async def freeze(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
            await linked(daemon, 2)
            before_s = await pace(sender, REQUESTS)
            await watcher.until(lambda: watcher.seen.total() > REQUESTS)
            async with flat(daemon):
                server.freeze()
                try:
                    frozen_s = await pace(sender, REQUESTS)
                    await linked(daemon, 0)
                    frozen_s = min(frozen_s, await pace(sender, REQUESTS))
                    await watcher.until(lambda: watcher.links == [False])
                finally:
                    server.thaw()
            await linked(daemon, 2)
            await watcher.until(lambda: watcher.links == [False, True])
            await watcher.until(lambda: watcher.why["lost"] > REQUESTS)
            seen = watcher.seen.total()
            await watcher.until(lambda: watcher.seen.total() > seen + REQUESTS)
            assert frozen_s < 1.5 * before_s + 0.5, (before_s, frozen_s)

        verdict = await run_watched(
            freeze, database_settings, seed=seed, environment={"REDIS_URL": server.url}
        )

    verdict.assert_promises_kept()
