"""Redis is absent, hung or slow when the daemon starts; ingest does not notice, tails wait for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.proxy import Proxy, Weather
from tests.fault.sender import RecordingSender
from tests.fault.watching import Watcher, linked, run_watched
from tests.redis_server import RedisServer, redis_server

ACKNOWLEDGED = 150
SLOW = Weather(delay_s=2.0)
"""Four times the ``redis.timeout_s`` of the defaults, for most answers."""


@asynccontextmanager
async def hung() -> AsyncGenerator[int]:
    """Lend a port that accepts connections and says nothing: the kernel does, for nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@asynccontextmanager
async def slow() -> AsyncGenerator[int]:
    """Lend a port of a real Redis where each answer comes late."""
    with redis_server() as server:
        async with Proxy(str(server.path)) as proxy:
            proxy.weather = SLOW
            yield proxy.port


@asynccontextmanager
async def nonsense() -> AsyncGenerator[int]:
    """Lend a port where each command has an answer of another one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


KINDS = {"hung": hung, "slow": slow, "nonsense": nonsense}


async def take_the_load(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
    """Serve as ever, and tell the reader that there is nothing to see."""
    del daemon
    await sender.acknowledged(ACKNOWLEDGED)
    await watcher.until(lambda: False in watcher.links)


@pytest.mark.parametrize("kind", ["hung", pytest.param("slow", marks=pytest.mark.long), "nonsense"])
async def test_ingest_does_not_notice(database_settings: DatabaseSettings, kind: str) -> None:
    """The daemon starts, stores, answers and drains."""
    async with KINDS[kind]() as port:
        verdict = await run_watched(
            take_the_load,
            database_settings,
            seed=11,
            exact=False,
            environment={"REDIS_URL": f"redis://127.0.0.1:{port}/0"},
        )

    verdict.assert_promises_kept()
    assert verdict.acknowledged > ACKNOWLEDGED // 2  # some replies are to repeats


async def test_a_redis_that_comes_late_is_found(database_settings: DatabaseSettings) -> None:
    """Absent at start; the reader is told that it missed something, and sees what comes then."""
    with TemporaryDirectory(prefix="otlpg-redis-") as folder:
        server = RedisServer(Path(folder))

        async def come_late(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
            await sender.acknowledged(ACKNOWLEDGED)
            await watcher.until(lambda: watcher.links == [False])
            await asyncio.to_thread(server.start)
            await linked(daemon, 2)
            await watcher.until(lambda: watcher.links == [False, True])
            await watcher.until(lambda: watcher.unknown > 0 and watcher.seen.total() > ACKNOWLEDGED)

        try:
            verdict = await run_watched(
                come_late,
                database_settings,
                seed=12,
                exact=False,
                environment={"REDIS_URL": server.url},
            )
        finally:
            server.kill()

    verdict.assert_promises_kept()
