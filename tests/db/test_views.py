"""query.view: questions end in time, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from collector.errors import QueryTimeoutError, StoreError
from collector.query.statement import Statement
from collector.query.time_range import TimeRange
from collector.query.view import Views
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database
from tests.server_activity import until_counted

FOR_EVER = Statement("SELECT pg_sleep(600)")

RUNNING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'active' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """A pool with room for one question."""
    pool = Database(database_settings.model_copy(update={"connections_max": 1}))
    yield pool
    await pool.stop()


async def test_a_view_is_of_one_moment(database: Database, connection: Connection) -> None:
    """What is committed after its first question is not in it."""
    count = Statement("SELECT count(*) AS n FROM dead_letters")
    async with Views(database, 10).open() as view:
        before = await view.row(count)
        await connection.execute(
            "INSERT INTO dead_letters (signal, received_at, reason, outcome, payload)"
            " VALUES ('logs', now(), 'nul', 'repaired', '')"
        )
        after = await view.row(count)

    assert before == after


async def test_nothing_can_be_written(database: Database) -> None:
    """Whatever role it is."""
    with pytest.raises(StoreError) as caught:
        async with Views(database, 10).open() as view:
            await view.rows(Statement("DELETE FROM dead_letters"))

    assert caught.value.sqlstate == "25006"


async def test_a_question_that_takes_too_long_is_ended(
    database: Database, connection: Connection
) -> None:
    """By PostgreSQL, and the connection serves the next one."""
    views = Views(database, 0.05)
    with pytest.raises(QueryTimeoutError, match="shorter"):
        async with views.open() as view:
            await view.rows(FOR_EVER)

    await until_counted(connection, RUNNING, 0)
    async with views.open(timeout_s=10) as view:
        assert await view.row(Statement("SELECT 1 AS one")) is not None


async def test_a_question_that_nobody_waits_for_is_cancelled(
    database: Database, connection: Connection
) -> None:
    """At once, and not at its timeout; the one connection is free again."""
    views = Views(database, 600)

    async def ask() -> None:
        async with views.open() as view:
            await view.rows(FOR_EVER)

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(30):
        await until_counted(connection, RUNNING, 1)
        asking.cancel()
        await asyncio.wait((asking,))
        await until_counted(connection, RUNNING, 0)

    assert asking.cancelled()
    async with views.open() as view:
        assert await view.row(Statement("SELECT 1 AS one")) is not None


async def test_chunks_are_all_rows_and_none_is_larger_than_asked(database: Database) -> None:
    """An answer of any length, in bounded pieces."""
    statement = Statement("SELECT n FROM generate_series(1, $1::bigint) AS n", (7,))
    async with Views(database, 10).open() as view:
        chunks = [[row["n"] for row in chunk] async for chunk in view.chunks(statement, rows=3)]

    assert chunks == [[1, 2, 3], [4, 5, 6], [7]]


@pytest.mark.parametrize("end_ns", [-(10**30), 0, 10**30])
async def test_every_range_is_one_for_postgresql(database: Database, end_ns: int) -> None:
    """Its bounds are times that the server can compare, and write."""
    found = TimeRange.from_unix_ns(-(10**30), end_ns)
    statement = Statement("SELECT $1::timestamptz::text AS a, $2::timestamptz::text AS b", found)
    async with Views(database, 10).open() as view:
        assert await view.row(statement) is not None
