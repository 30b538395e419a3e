"""Redis is absent, hung or slow, and ingest does not notice.

``serve`` does not use Redis yet; these tests hold that for the tails to come. The figure for them,
ingest p99 with Redis hung ÷ without Redis, is measured when tails exist.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import run_under, serves_again

ACKNOWLEDGED = 150
SLOW_S = 2.0
"""Four times the ``redis.timeout_s`` of the defaults."""


@asynccontextmanager
async def absent() -> AsyncGenerator[int]:
    """Lend a port at which nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def hung() -> AsyncGenerator[int]:
    """Lend a port that accepts connections and says nothing: the kernel does, for nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@asynccontextmanager
async def slow() -> AsyncGenerator[int]:
    """Lend a port where each command has its answer, but late."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await asyncio.sleep(SLOW_S)
            writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


KINDS = {"absent": absent, "hung": hung, "slow": slow}


async def serve_on(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
    """Take the load as ever, and have nothing to say about Redis."""
    del rng
    await sender.acknowledged(ACKNOWLEDGED)
    await serves_again(sender)
    assert "redis" not in daemon.log_text().lower()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("absent", marks=pytest.mark.long),
        "hung",
        pytest.param("slow", marks=pytest.mark.long),
    ],
)
async def test_ingest_does_not_notice(database_settings: DatabaseSettings, kind: str) -> None:
    """The daemon starts, stores, answers and drains."""
    async with KINDS[kind]() as port:
        verdict = await run_under(
            serve_on,
            database_settings,
            seed=11,
            environment={"REDIS_URL": f"redis://127.0.0.1:{port}/0"},
        )

    verdict.assert_promises_kept()
    assert (
        verdict.acknowledged > ACKNOWLEDGED // 2
    )  # of several replies to one request some are repeats
