"""Redis is frozen under load, for a while: no request waits for it, and no memory grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.oracle import Verdict
from tests.fault.sender import RecordingSender
from tests.fault.watching import Watcher, flat, linked, run_watched
from tests.redis_server import redis_server

REQUESTS = 150
FILLING_PAUSE_S = 0.15
PAUSE_S = 1.0
"""Of the sender, until a backlog is full, and then: enough to see whether anything waits."""
TIMEOUT_S = 10.0
"""For an answer of Redis: time to fill a backlog, and far more than any request takes."""
GROWTH_BYTES_MAX = 12 * 2**20
"""Of a process, with a backlog of 1 MiB: what else a load takes and gives back."""


class Frozen(NamedTuple):
    """What was seen until the last worker had given Redis up."""

    before_s: float
    """The longest wait of a request before Redis stood still."""
    wait_s: float
    """The longest from then on."""
    timeout_s: float
    """So long a request would have waited for an answer of Redis."""
    overflowed: bool
    """A backlog was full, and dropped its oldest, before its link was given up."""

    def assert_unnoticed(self) -> None:
        """Fail when a request has waited for Redis, or in line behind one that did."""
        assert self.wait_s < self.before_s + self.timeout_s / 2, self


@pytest.mark.parametrize("seed", [21, *(pytest.param(n, marks=pytest.mark.long) for n in (22, 23))])
async def test_no_request_waits_and_the_tail_tells_the_gap(
    database_settings: DatabaseSettings, seed: int
) -> None:
    """By SIGSTOP: its kernel accepts connections, and nobody answers. Then it goes on.

    With a publisher that is waited for: ``test_negative_controls.py``.
    """
    verdict, frozen = await run_frozen(database_settings, seed)

    verdict.assert_promises_kept()
    frozen.assert_unnoticed()
    assert frozen.overflowed


async def run_frozen(
    database: DatabaseSettings,
    seed: int,
    *,
    timeout_s: float = TIMEOUT_S,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Verdict, Frozen]:
    """Return the verdict on a daemon whose Redis stood still for a while, and what was seen then."""
    seen: list[Frozen] = []
    with redis_server() as server:

        async def freeze(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
            await linked(daemon, 2)
            began_s = time.monotonic()
            await sender.acknowledged(REQUESTS)
            await watcher.until(lambda: watcher.seen.total() > REQUESTS)
            async with flat(daemon, GROWTH_BYTES_MAX):
                frozen_s = time.monotonic()
                before_s = sender.longest_wait_s(began_s)
                server.freeze()
                try:
                    overflowed = await overflows(daemon)
                    sender.pause_s = PAUSE_S
                    await linked(daemon, 0)
                    wait_s = sender.longest_wait_s(frozen_s)
                    seen.append(Frozen(before_s, wait_s, timeout_s, overflowed))
                    await watcher.until(lambda: watcher.links == [False])
                finally:
                    server.thaw()
            await linked(daemon, 2)
            await watcher.until(lambda: watcher.links == [False, True])
            await watcher.until(lambda: watcher.why["lost"] > REQUESTS)
            shown = watcher.seen.total()
            await watcher.until(lambda: watcher.seen.total() > shown + REQUESTS)

        verdict = await run_watched(
            freeze,
            database,
            seed=seed,
            pause_s=FILLING_PAUSE_S,
            environment={
                "REDIS_URL": server.url,
                "OTLPG_REDIS__TIMEOUT_S": f"{timeout_s}s",
                "OTLPG_TAIL__BACKLOG_BYTES_MAX": "1MiB",
                **environment,
            },
        )
    return verdict, seen[0]


async def overflows(daemon: Daemon) -> bool:
    """Return, once a backlog has dropped something, whether that was for want of room.

    A worker that gives its link up says so first, and then drops all that waits for it.
    """
    await daemon.until_metric("otlpg_tail_skipped_total", cause="backlog")
    return await asyncio.to_thread(daemon.metric, "otlpg_tail_link_up") == 2
