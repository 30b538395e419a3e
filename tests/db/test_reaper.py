"""The reaper: ends our own hung backends, and only those."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from collector.errors import StoreUnavailableError
from collector.store.commit import GRACE_S, PATIENCE_PATTERN, commit
from collector.store.embedded import SUPERUSER
from collector.store.failures import translate
from collector.store.pool import Database, connect
from collector.store.reaper import MARGIN_S, Looks, Reaper, reap
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.conftest import settings_of
from tests.converted import log_row
from tests.db.writing import NOW, count

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.settings import DatabaseSettings
    from collector.store.embedded import EmbeddedPostgres
    from collector.store.pool import Connection

pytestmark = pytest.mark.postgres_versions


@pytest.fixture
async def settings(settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now, whose transactions are old at once."""
    return settings.model_copy(update={"reap_after_s": 0.05})


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
        await frozen.execute("BEGIN; SET LOCAL statement_timeout = 200")
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
        assert not hanging.done(), "a timeout has ended it"
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


@asynccontextmanager
async def absent_standby(server: EmbeddedPostgres) -> AsyncGenerator[None]:
    """Let each synchronous COMMIT inside wait for a standby that there is not."""
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    await admin.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()


async def committing(
    settings: DatabaseSettings, connection: Connection, statement: str
) -> tuple[Connection, asyncio.Task[None]]:
    """Return a connection whose ``statement``, a COMMIT, waits for its standby."""

    async def send() -> None:
        try:
            await waiter.execute(statement)
        except Exception as error:
            raise translate(error, connection=waiter) from error

    waiter = await connect(settings)
    await waiter.execute("SET synchronous_commit = on")
    while True:
        await waiter.execute("BEGIN; SELECT pg_logical_emit_message(true, 'otlpg', '')")
        task = asyncio.create_task(send())
        while not task.done():  # until the server's process has heard of the standby
            if await age_s(connection, waiter) is not None:
                return waiter, task
        await task


async def age_s(connection: Connection, waiter: Connection) -> float | None:
    """Return for how long the COMMIT has waited for its standby, by the server's clock."""
    age: float | None = await connection.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - query_start)::float8 FROM pg_stat_activity"
        " WHERE pid = $1 AND wait_event = 'SyncRep'",
        waiter.get_server_pid(),
    )
    return age


async def test_commit_that_its_client_still_waits_for_is_left_alone(
    settings: DatabaseSettings, connection: Connection, server_under_test: EmbeddedPostgres
) -> None:
    """However old its transaction is, and with whatever ``statement_s_max``: a giant has time."""
    hasty = settings.model_copy(update={"statement_s_max": 0.05})
    patience_s = GRACE_S + hasty.statement_s_max + MARGIN_S
    async with absent_standby(server_under_test):
        waiter, task = await committing(hasty, connection, "COMMIT /* waits 60 s */")
        looks = Looks()
        while (await age_s(connection, waiter) or 0.0) < patience_s + 0.5:
            assert await reap(connection, hasty, looks) == 0

    await task
    waiter.terminate()


@pytest.mark.parametrize(
    "statement", ["COMMIT /* waits 1 s */", "COMMIT"], ids=["it says so", "it does not say"]
)
async def test_commit_that_its_client_has_given_up_is_ended(
    settings: DatabaseSettings,
    connection: Connection,
    server_under_test: EmbeddedPostgres,
    statement: str,
) -> None:
    """Not before that, by the statement's own word or else by ``statement_s_max``, and a margin."""
    hasty = settings.model_copy(update={"statement_s_max": 0.05})
    patience_s = 1.0 if "waits" in statement else hasty.statement_s_max + GRACE_S
    async with absent_standby(server_under_test):
        waiter, task = await committing(hasty, connection, statement)
        looks, waited_s = Looks(), 0.0
        while not await reap(connection, hasty, looks):
            waited_s = await age_s(connection, waiter) or waited_s
        after_s = await age_s(connection, waiter)
        with pytest.raises(StoreUnavailableError):  # before the standby is there and confirms it
            await task

    assert after_s is None or after_s > patience_s + MARGIN_S
    assert patience_s + MARGIN_S - 0.5 < waited_s
    waiter.terminate()


async def test_a_commit_says_how_long_its_client_waits(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """In whole seconds, upwards, where the reaper finds them."""
    waiter = await connect(settings)
    await waiter.execute("BEGIN")

    await commit(waiter, timeout_s=12.3)

    said = await connection.fetchval(
        "SELECT substring(query FROM $1) FROM pg_stat_activity WHERE pid = $2",
        PATIENCE_PATTERN,
        waiter.get_server_pid(),
    )
    assert said == "13"
    waiter.terminate()


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
