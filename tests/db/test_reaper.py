"""The reaper: ends our own hung backends, and only those."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from collector.errors import StoreUnavailableError
from collector.store.failures import translate
from collector.store.pool import Database, connect
from collector.store.reaper import Looks, Reaper, reap
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.converted import log_row
from tests.db.writing import NOW, count, make_leaves

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

pytestmark = pytest.mark.postgres_versions


@pytest.fixture
async def settings(database_settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now, whose transactions are old at once."""
    await make_leaves(database_settings)
    return database_settings.model_copy(update={"reap_after_s": 0.05})


async def ask(connection: Connection) -> None:
    """Ask for anything, with our errors."""
    try:
        await connection.execute("SELECT 1")
    except Exception as error:
        raise translate(error, connection=connection) from error


async def test_backend_frozen_in_mid_copy_is_ended(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The one hang that no timeout of the server ends."""
    half_way, never = asyncio.Event(), asyncio.Event()

    async def half_of_the_rows() -> AsyncGenerator[tuple[object, ...]]:
        yield log_row(time=NOW)
        half_way.set()
        await never.wait()

    async def freeze(frozen: Connection) -> None:
        await frozen.execute("BEGIN; SET LOCAL statement_timeout = 10")
        try:
            await frozen.copy_records_to_table("logs", records=half_of_the_rows())
        except Exception as error:
            raise translate(error, connection=frozen) from error

    frozen = await connect(settings)
    hanging = asyncio.create_task(freeze(frozen))
    await half_way.wait()
    gone = asyncio.Event()
    frozen.add_termination_listener(lambda _: gone.set())

    ended, looks = 0, Looks()
    while not ended:  # its transaction has to be 50 ms old
        ended = await reap(connection, settings, looks)

    assert ended == 1
    await gone.wait()
    never.set()
    with pytest.raises(StoreUnavailableError):  # it woke up, and will try again
        await hanging


async def test_slow_copy_that_moves_on_is_left_alone(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A giant request on a slow way: old, and waiting for its client at each look, but alive."""
    pieces: asyncio.Queue[int] = asyncio.Queue()
    row = log_row(time=NOW, body="x" * 1_000)

    async def rows() -> AsyncGenerator[tuple[object, ...]]:
        while number := await pieces.get():
            for _ in range(number):
                yield row

    async def copy(slow: Connection) -> None:
        async with slow.transaction():
            await slow.copy_records_to_table("logs", records=rows())

    slow = await connect(settings)
    copying = asyncio.create_task(copy(slow))
    looks = Looks()
    read = 0
    for _ in range(3):
        pieces.put_nowait(2_000)
        await more_is_read(connection, read)

        assert await reap(connection, settings, looks) == 0
        read = await more_is_read(connection, 0)  # at least as much as the look has seen

    pieces.put_nowait(0)
    await copying
    assert await count(connection, "logs") == 6_000
    slow.terminate()


async def more_is_read(connection: Connection, before: int) -> int:
    """Return how many bytes of a COPY the server has read, once there is more and it waits."""
    while True:
        row = await connection.fetchrow(
            "SELECT p.bytes_processed FROM pg_stat_progress_copy AS p JOIN pg_stat_activity USING (pid)"
            " WHERE wait_event = 'ClientRead' AND xact_start < clock_timestamp() - interval '50 ms'"
        )
        if row is not None and row[0] > before:
            return row[0]


async def test_idle_and_foreign_backends_are_left_alone(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """No transaction, or another application's: not ours to end."""
    idle = await connect(settings)
    foreign = await connect(settings.model_copy(update={"app_name": "somebody else"}))
    await foreign.execute("BEGIN; SELECT 1")
    hung = await connect(settings)
    await hung.execute("BEGIN; SELECT 1")

    ended, looks = 0, Looks()
    while not ended:
        ended = await reap(connection, settings, looks)

    assert ended == 1
    assert await idle.fetchval("SELECT 1") == 1
    assert await foreign.fetchval("SELECT 1") == 1
    with pytest.raises(StoreUnavailableError):
        await ask(hung)
    for other in (idle, foreign, hung):
        other.terminate()


async def test_backend_that_is_slow_to_go_is_counted_once(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """On a busy machine the next look may still find it."""
    hung = await connect(settings)
    await hung.execute("BEGIN; SELECT 1")
    pid = hung.get_server_pid()
    while not await count(
        connection, "pg_stat_activity", f"pid = {pid} AND wait_event = 'ClientRead'"
    ):
        pass
    os.kill(pid, signal.SIGSTOP)
    looks = Looks()
    try:
        while not await reap(connection, settings, looks):
            pass

        assert await reap(connection, settings, looks) == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    hung.terminate()


async def test_reaper_looks_again_and_counts(settings: DatabaseSettings) -> None:
    """It runs until cancelled and survives a server that does not answer."""
    database, metrics, probe = Database(settings), Metrics(), TestProbe()
    reaper = asyncio.create_task(Reaper(database, settings, metrics=metrics, probe=probe).run())
    hung = await connect(settings)
    await hung.execute("BEGIN; SELECT 1")
    gone = asyncio.Event()
    hung.add_termination_listener(lambda _: gone.set())
    await gone.wait()
    looked = probe.counts["reaper.looked"]
    await probe.reached("reaper.looked", looked + 1)
    assert metrics.reaped.values == {(): 1}

    await database.stop()  # from now on every look fails
    await probe.reached("reaper.looked", probe.counts["reaper.looked"] + 3)

    assert not reaper.done()
    reaper.cancel()
    await asyncio.wait([reaper])
