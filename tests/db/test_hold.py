"""PostgreSQL away: senders are held, then refused; back: nothing lost, nothing twice, no restart."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collector.buffer.entry import End, Outcome
from collector.errors import CommitUnknownError, HoldExpiredError, QueueFullError
from collector.store import migrate
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres, StopMode
from collector.store.pool import connect
from collector.store.transaction import write_batch
from collector.telemetry.probe import TestProbe
from tests.conftest import settings_of
from tests.converted import log_row, request
from tests.db.flushing import HOLD_S, flushing
from tests.db.writing import NOW, context, count, make_leaves, rows_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings

DURABLE = {"autovacuum": "off", "shared_buffers": "32MB", "max_connections": "30"}
"""fsync stays on: these tests pull the plug."""


_names = (f"hold_{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Generator[EmbeddedPostgres]:
    """A server of this file's own, which its tests may stop."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-hold-"))
    postgres = EmbeddedPostgres(parameters=DURABLE)
    postgres.start(folder / "server")
    yield postgres
    postgres.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture
async def settings(server: EmbeddedPostgres) -> DatabaseSettings:
    """A migrated database on it, with leaves around now."""
    name = next(_names)
    admin = await connect(settings_of(server, "postgres", role=SUPERUSER))
    await admin.execute(f"CREATE DATABASE {name} OWNER {ROLE}")
    await admin.close()
    settings = settings_of(server, name)
    connection = await connect(settings)
    await migrate.up(connection)
    await connection.close()
    await make_leaves(settings)
    return settings


def logs(name: str) -> ConvertedRequest:
    """Return a request with three records."""
    return request(name, rows=[log_row(time=NOW + n, body=name) for n in range(3)])


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_what_was_held_is_stored_when_postgres_is_back(
    server: EmbeddedPostgres, settings: DatabaseSettings, mode: StopMode
) -> None:
    """Some wait in the queue, some were taken, one is about to commit: all are stored once."""
    async with flushing(settings, flushers=2) as stand:
        await stand.send(logs("before"))
        stand.probe.hold("flush.before_commit")
        senders = [stand.send(logs("cut before its commit"))]
        await stand.probe.reached("flush.before_commit", 2)
        await asyncio.to_thread(server.stop, mode)
        stand.probe.release("flush.before_commit")
        senders += [stand.send(logs(f"held {n}")) for n in range(20)]
        await stand.probe.reached("flush.failed", 4)
        assert stand.metrics.store_up.values == {(): 0}

        await asyncio.to_thread(server.start, server.log_file.parent)

        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        assert stand.metrics.store_up.values == {(): 1}
        stand.check_books()
    connection = await connect(settings)
    assert await count(connection, "logs") == 22 * 3
    assert await rows_of(connection, "SELECT DISTINCT seen FROM ingest_ledger") == [(1,)]
    await connection.close()


async def test_senders_leave_when_their_hold_is_over(
    server: EmbeddedPostgres, settings: DatabaseSettings
) -> None:
    """What nobody waits for any more is gone, taken or not: the queue is free while nothing works."""
    async with flushing(settings) as stand:
        await stand.send(logs("before"))
        await asyncio.to_thread(server.stop)
        taken = stand.send(logs("taken"), hold_s=1.0)
        await stand.probe.reached("flush.failed")
        failed = stand.probe.counts["flush.failed"]
        waiting = [stand.send(logs(f"waiting {n}"), hold_s=1.0) for n in range(5)]
        await stand.probe.reached("flush.failed", failed + 3)
        assert stand.queue.entries_waiting == 5, "a flusher in trouble takes nothing new"

        for sender in (taken, *waiting):
            with pytest.raises(HoldExpiredError):
                await sender
        async with asyncio.timeout(HOLD_S):
            await stand.queue.empty()

        assert stand.books[End.REFUSED] == 18
        await asyncio.to_thread(server.start, server.log_file.parent)
        assert await stand.send(logs("taken")) is Outcome.STORED
        assert await stand.send(logs("waiting 0")) is Outcome.STORED
        stand.check_books()
        assert stand.books[End.STORED] == 9
        assert stand.books[End.DUPLICATE] == 0


async def test_queue_stays_bounded_while_postgres_is_away(
    server: EmbeddedPostgres, settings: DatabaseSettings
) -> None:
    """Senders that go on pushing are refused at the bound, and nothing is forgotten."""
    async with flushing(settings) as stand:
        stand.queue.items_max = 30
        await asyncio.to_thread(server.stop)
        senders: list[asyncio.Task[Outcome]] = []
        refused = 0
        for n in range(40):
            try:
                senders.append(stand.send(logs(f"pushed {n}")))
            except QueueFullError:
                refused += 1
        assert len(senders) == 10
        assert refused == 30

        await asyncio.to_thread(server.start, server.log_file.parent)

        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        stand.check_books()


async def test_commit_that_did_not_wait_for_its_standby_is_not_acknowledged(
    server: EmbeddedPostgres, settings: DatabaseSettings
) -> None:
    """The server committed locally and gave up waiting: a warning, and no OK of ours.

    The retry is a duplicate, and it too has to wait for the standby: its mark in the ledger is WAL.
    """
    admin = await connect(settings, user=SUPERUSER)
    writer = await connect(settings)
    await writer.execute("SELECT 1")
    await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await admin.execute("SELECT pg_reload_conf()")
    waits = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {writer.get_server_pid()} AND wait_event = 'SyncRep'"
    probe = TestProbe()

    for seen in (1, 2):
        writing = asyncio.create_task(
            write_batch(writer, [logs("a")], context(settings, probe=probe))
        )
        await probe.reached("flush.before_commit", seen)
        while not await admin.fetchval(waits):
            assert not writing.done(), "it was acknowledged without its standby"
        await admin.execute("SELECT pg_cancel_backend($1)", writer.get_server_pid())
        with pytest.raises(CommitUnknownError) as caught:
            await writing
        assert caught.value.stored == (seen == 1,)
        assert await count(admin, "logs") == 3, "it is committed here all the same"
        assert await rows_of(admin, "SELECT seen FROM ingest_ledger") == [(seen,)]

    await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await admin.execute("SELECT pg_reload_conf()")
    assert (await write_batch(writer, [logs("a")], context(settings))).stored == [False]
    for connection in (admin, writer):
        await connection.close()
