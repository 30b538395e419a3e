"""What is past the window leaves the ledger; what is inside it never does, not for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, timedelta

import asyncpg
import pytest

from collector.errors import RetryableStoreError, StoreUnavailableError
from collector.maintain.leaves import day_us
from collector.maintain.ledger import LedgerRetirement
from collector.maintain.partitions import Partitions
from collector.rows import PG_EPOCH_UNIX_US
from collector.settings import DatabaseSettings, PartitionSettings
from collector.store.ledger import SENTINEL_DAY
from collector.store.pool import Connection, Database, connect
from collector.store.reaper import Looks, reap
from collector.store.transaction import write_batch
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe, TestProbe
from tests.clocks import NOON, HandClock
from tests.converted import log_row, request
from tests.db import writing
from tests.db.server_clock import set_server_clock

pytestmark = pytest.mark.postgres_versions

HOUR_US = 3_600_000_000
NOW = round(NOON.timestamp() * 1e6) - PG_EPOCH_UNIX_US
TODAY = NOON.date()
LAST_WEEK = TODAY - timedelta(days=7)
WINDOW_H = 24


@pytest.fixture
async def database_settings(database_settings: DatabaseSettings) -> DatabaseSettings:
    """A database whose server says that it is noon."""
    await set_server_clock(database_settings, NOON)
    return database_settings


@asynccontextmanager
async def household(
    settings: DatabaseSettings, clock: HandClock, probe: Probe | None = None
) -> AsyncGenerator[tuple[LedgerRetirement, Partitions]]:
    """What one process uses to keep its ledger."""
    database = Database(settings)
    partitions = Partitions(PartitionSettings(), database, clock, Metrics())
    yield LedgerRetirement(WINDOW_H, database, clock, probe=probe or Probe()), partitions
    await database.stop()


async def claim(connection: Connection, day: date, digest: bytes, received_at: int) -> None:
    """Write one request into the ledger."""
    await connection.execute(
        "INSERT INTO ingest_ledger (day, digest, received_at, items) VALUES ($1, $2, $3, 1)",
        day,
        digest,
        received_at,
    )


async def ledger(connection: Connection) -> set[bytes]:
    """Return the digests that the ledger knows."""
    return {row["digest"] for row in await connection.fetch("SELECT digest FROM ingest_ledger")}


async def ledger_tables(connection: Connection) -> list[str]:
    """Return the tables of the ledger's leaves, attached or not."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ingest_ledger_p%'"
        " ORDER BY 1"
    )
    return [row["relname"] for row in rows]


async def test_leaves_go_by_what_they_hold(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """An old day with a request of an hour ago stays; a day whose requests are old goes."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        for days in (3, 7):
            await partitions.ensure_day("ingest_ledger", TODAY - timedelta(days=days))
        await claim(connection, TODAY - timedelta(days=3), b"old", NOW - 25 * HOUR_US)
        await claim(connection, LAST_WEEK, b"old too", NOW - 25 * HOUR_US)
        await claim(connection, LAST_WEEK, b"young", NOW - 23 * HOUR_US)

        await retirement.retire()

    assert await ledger_tables(connection) == ["ingest_ledger_p20261114"]
    assert await ledger(connection) == {b"old too", b"young"}


async def test_leaves_of_the_window_and_ahead_stay_empty(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A leaf that was made for today or for tomorrow waits for its rows, however old they are."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.prepare()
        ahead = await ledger_tables(connection)
        await claim(connection, TODAY, b"old", NOW - 25 * HOUR_US)

        await retirement.retire()

    assert await ledger_tables(connection) == ahead != []


async def test_rows_of_the_sentinel_go_by_age(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The sentinel leaf stays for ever and loses its old rows."""
    async with household(database_settings, HandClock()) as (retirement, _):
        await claim(connection, SENTINEL_DAY, b"old", NOW - 25 * HOUR_US)
        await claim(connection, SENTINEL_DAY, b"young", NOW - 23 * HOUR_US)

        await retirement.retire()

    assert await ledger(connection) == {b"young"}


@pytest.mark.parametrize(
    ("worker_days", "server_days"), [(2, 0), (0, 2)], ids=["of a worker", "of the server"]
)
async def test_a_clock_that_is_ahead_lets_nothing_go(
    database_settings: DatabaseSettings, connection: Connection, worker_days: int, server_days: int
) -> None:
    """What is young for everybody else stays: in a leaf of its day, of an old day, in the sentinel.

    Nobody lets go of a row before both the worker's clock and the server's say that it is old.
    """
    await set_server_clock(database_settings, NOON + timedelta(days=server_days))
    clock = HandClock(NOON + timedelta(days=worker_days))
    async with household(database_settings, clock) as (retirement, partitions):
        for day in (TODAY, LAST_WEEK):
            await partitions.ensure_day("ingest_ledger", day)
        await claim(connection, TODAY, b"today", NOW)
        await claim(connection, LAST_WEEK, b"last week", NOW)
        await claim(connection, SENTINEL_DAY, b"no day", NOW)

        await retirement.retire()

    assert await ledger(connection) == {b"today", b"last week", b"no day"}


async def test_a_leaf_of_today_stays_under_a_clock_that_is_ahead(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """It is empty still, and there to be filled by all the others."""
    clock = HandClock(NOON + timedelta(days=2))
    async with household(database_settings, clock) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", TODAY)

        await retirement.retire()

    assert await ledger_tables(connection) == ["ingest_ledger_p20261121"]


@pytest.mark.parametrize("days", [-400, 400])
async def test_a_retry_is_known_after_a_worker_with_a_wrong_clock(
    database_settings: DatabaseSettings, connection: Connection, days: int
) -> None:
    """The claim bears the time of the server: not old at once, and not young for a year."""
    time = NOW - 7 * 24 * HOUR_US
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await partitions.ensure("logs", [time])
        one = request("a", rows=[log_row(time=time)], received_at=NOW + days * 24 * HOUR_US)
        assert (
            await write_batch(connection, [one], writing.context(database_settings))
        ).stored == [True]

        await retirement.retire()

    assert (await write_batch(connection, [one], writing.context(database_settings))).stored == [
        False
    ]
    assert await connection.fetchval("SELECT received_at FROM ingest_ledger") == NOW


async def test_a_table_that_is_no_leaf_stays(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Somebody's copy of a leaf, or a table of another owner under its name, is none of ours."""
    stranger = await connection.fetchval("SELECT 'stranger_' || current_database()")
    await connection.execute(
        "CREATE TABLE ingest_ledger_p20261114_backup AS TABLE ingest_ledger;"
        "CREATE TABLE ingest_ledger_p20261114_1_old (note text);"
        f"CREATE ROLE {stranger}; GRANT {stranger} TO otlpg; CREATE TABLE ingest_ledger_p20261113 (a text);"
        f"GRANT CREATE ON SCHEMA public TO {stranger};"
        f"ALTER TABLE ingest_ledger_p20261113 OWNER TO {stranger}"
    )
    foreign = await ledger_tables(connection)
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)

        await retirement.retire()

    assert await ledger_tables(connection) == foreign
    await connection.execute(f"DROP OWNED BY {stranger}; DROP ROLE {stranger}")


async def test_a_row_that_comes_while_its_leaf_goes_is_put_back(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A flush that was under way when the leaf was found old keeps its claim.

    Detaching waits for that flush; what it wrote is young, so the leaf is taken back as it is.
    """
    probe = TestProbe()
    async with household(database_settings, HandClock(), probe) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await claim(connection, LAST_WEEK, b"old", NOW - 25 * HOUR_US)
        retiring = await about_to_detach(retirement, probe)
        async with connection.transaction():  # a flush, before its COMMIT
            await claim(connection, LAST_WEEK, b"young", NOW)
            probe.release("ledger.free")
            await detach_begun(database_settings)

        await retiring

        assert await ledger(connection) == {b"old", b"young"}
        assert await ledger_tables(connection) == ["ingest_ledger_p20261114"]
        partitions.forget()
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await claim(connection, LAST_WEEK, b"later", NOW)


@pytest.mark.parametrize("name", ["ingest_ledger_p20261114", "ingest_ledger_p20261114_2"])
async def test_a_leaf_that_was_left_detached_is_taken_back_with_its_rows(
    database_settings: DatabaseSettings, connection: Connection, name: str
) -> None:
    """Who detached it died before it looked for young rows: a fresh leaf would hide them.

    A retry of a request in it would find no trace of the first time, and be stored twice.
    """
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await claim(connection, LAST_WEEK, b"young", NOW)
        await connection.execute(
            "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261114 CONCURRENTLY"
        )
        if name != "ingest_ledger_p20261114":
            await connection.execute(f"ALTER TABLE ingest_ledger_p20261114 RENAME TO {name}")
        partitions.forget()

        await partitions.ensure_day("ingest_ledger", LAST_WEEK)

        assert await ledger_tables(connection) == [name]
        with pytest.raises(asyncpg.UniqueViolationError):
            await claim(connection, LAST_WEEK, b"young", NOW)
        await retirement.retire()
        assert await ledger(connection) == {b"young"}


async def test_young_rows_of_a_detached_leaf_move_to_the_one_in_its_place(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """When the day has another leaf by now the rows go there; the old table goes."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await claim(connection, LAST_WEEK, b"old", NOW - 25 * HOUR_US)
        await claim(connection, LAST_WEEK, b"young", NOW)
        await connection.execute(
            "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261114 CONCURRENTLY"
        )
        await connection.execute(
            "CREATE TABLE ingest_ledger_p20261114_2 PARTITION OF ingest_ledger"
            " FOR VALUES FROM ('2026-11-14') TO ('2026-11-15')"
        )
        await claim(connection, LAST_WEEK, b"younger", NOW)

        await retirement.retire()

        assert await ledger(connection) == {b"young", b"younger"}
        assert await ledger_tables(connection) == ["ingest_ledger_p20261114_2"]


@pytest.mark.parametrize("table", ["ingest_ledger", "ingest_ledger_p20261114"])
async def test_no_detach_begins_while_a_transaction_looks_at_the_ledger(
    database_settings: DatabaseSettings,
    connection: Connection,
    other_connection: Connection,
    table: str,
) -> None:
    """As long as a dump runs, its leaves stay whole and take late requests; then they go."""
    hasty = database_settings.model_copy(update={"reap_after_s": 1.0})
    async with household(hasty, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        async with other_connection.transaction():
            await other_connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")  # pg_dump

            await retirement.retire()

            partitions.forget()
            await partitions.ensure_day("ingest_ledger", LAST_WEEK)
            await claim(connection, LAST_WEEK, b"late", NOW - 25 * HOUR_US)
            assert await ledger(connection) == {b"late"}

        await retirement.retire()

    assert await ledger_tables(connection) == []


async def test_a_detach_waits_for_flushes_that_are_under_way_only(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """On a busy ledger there is always another flush: who comes later holds nothing up."""
    probe = TestProbe()
    async with household(database_settings, HandClock(), probe) as (retirement, partitions):
        await partitions.prepare()
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        async with connection.transaction():
            await claim(connection, TODAY, b"first", NOW)
            retiring = asyncio.create_task(retirement.retire())
            await probe.reached("ledger.held")
            later = other_connection.transaction()
            await later.start()
            await claim(other_connection, TODAY, b"second", NOW)

        await probe.reached("ledger.free")
        await later.commit()
        await retiring

    assert "ingest_ledger_p20261114" not in await ledger_tables(connection)


async def test_a_snapshot_that_has_not_touched_the_ledger_holds_nothing_up(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """A long report on other tables is not waited for."""
    hasty = database_settings.model_copy(update={"reap_after_s": 1.0})
    async with household(hasty, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        async with other_connection.transaction(isolation="repeatable_read"):
            await other_connection.fetch("SELECT * FROM logs")

            await retirement.retire()

            assert await ledger_tables(connection) == []


async def test_no_leaf_is_made_beside_one_that_is_half_detached(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """Its rows are out of sight, so nothing is claimed for its day until they are back."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        await claim(connection, LAST_WEEK, b"young", NOW)
        async with other_connection.transaction():
            await other_connection.fetch("SELECT * FROM ingest_ledger")
            await connection.execute("SET statement_timeout = '100ms'")
            with pytest.raises(asyncpg.QueryCanceledError):
                await connection.execute(
                    "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261114"
                    " CONCURRENTLY"
                )
            await connection.execute("RESET statement_timeout")
            assert await ledger(connection) == set()

            with pytest.raises(asyncpg.CheckViolationError):
                await claim(connection, LAST_WEEK, b"young", NOW)
            partitions.forget()
            with pytest.raises(RetryableStoreError):
                await partitions.ensure_day("ingest_ledger", LAST_WEEK)
            await partitions.ensure_day("ingest_ledger", TODAY)  # others are not held up

        await retirement.retire()

        assert await ledger(connection) == {b"young"}
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        with pytest.raises(asyncpg.UniqueViolationError):
            await claim(connection, LAST_WEEK, b"young", NOW)


async def about_to_detach(retirement: LedgerRetirement, probe: TestProbe) -> asyncio.Task[None]:
    """Begin a round and return at the moment in which somebody may still come between."""
    probe.hold("ledger.free")
    retiring = asyncio.create_task(retirement.retire())
    await probe.reached("ledger.free")
    return retiring


async def detach_begun(settings: DatabaseSettings) -> None:
    """Return once a leaf of the ledger is on its way out."""
    connection = await connect(settings)
    while not await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"):
        pass
    await connection.close()


async def test_a_flush_never_waits_for_a_leaf_that_goes(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """While a detach waits for a slow reader, claims of other days go through at once."""
    probe = TestProbe()
    async with household(database_settings, HandClock(), probe) as (retirement, partitions):
        await partitions.prepare()
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        retiring = await about_to_detach(retirement, probe)
        async with other_connection.transaction():
            await other_connection.fetch("SELECT * FROM ingest_ledger")
            probe.release("ledger.free")
            await detach_begun(database_settings)
            await connection.execute("SET lock_timeout = '100ms'")

            await claim(connection, TODAY, b"now", NOW)

        await retiring
    assert "ingest_ledger_p20261114" not in await ledger_tables(connection)


async def test_a_detach_that_was_cut_short_is_finished_next_time(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """A leaf left half detached, or detached and not dropped, goes with the next round."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        for days in (7, 8):
            await partitions.ensure_day("ingest_ledger", TODAY - timedelta(days=days))
        await connection.execute(
            "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261113 CONCURRENTLY"
        )
        async with other_connection.transaction():
            await other_connection.fetch("SELECT * FROM ingest_ledger")
            await connection.execute("SET statement_timeout = '100ms'")
            with pytest.raises(asyncpg.QueryCanceledError):
                await connection.execute(
                    "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261114"
                    " CONCURRENTLY"
                )

        await retirement.retire()

    await connection.execute("RESET statement_timeout")
    assert await ledger_tables(connection) == []


async def test_a_half_detached_leaf_goes_before_an_older_one(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """PostgreSQL lets one leaf of a table be on its way out: that one is finished first."""
    async with household(database_settings, HandClock()) as (retirement, partitions):
        for days in (7, 8):
            await partitions.ensure_day("ingest_ledger", TODAY - timedelta(days=days))
        async with other_connection.transaction():
            await other_connection.fetch("SELECT * FROM ingest_ledger")
            await connection.execute("SET statement_timeout = '100ms'")
            with pytest.raises(asyncpg.QueryCanceledError):
                await connection.execute(
                    "ALTER TABLE ingest_ledger DETACH PARTITION ingest_ledger_p20261114"
                    " CONCURRENTLY"
                )

        await retirement.retire()

    await connection.execute("RESET statement_timeout")
    assert await ledger_tables(connection) == []


async def test_a_slow_reader_does_not_get_a_round_reaped(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A detach gives up before the reaper would end the transaction that guards it."""
    hasty = database_settings.model_copy(update={"reap_after_s": 0.5})
    reader = await connect(database_settings.model_copy(update={"app_name": "psql"}))
    probe = TestProbe()
    async with household(hasty, HandClock(), probe) as (retirement, partitions):
        await partitions.ensure_day("ingest_ledger", LAST_WEEK)
        retiring = await about_to_detach(retirement, probe)
        async with reader.transaction():
            await reader.fetch("SELECT * FROM ingest_ledger")
            probe.release("ledger.free")
            ended, looks = 0, Looks()
            while not retiring.done():
                ended += await reap(connection, hasty, looks)
            with pytest.raises(StoreUnavailableError):
                await retiring

    assert ended == 0
    reader.terminate()


async def test_many_processes_retire_at_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Rounds of several processes at the same time end with each leaf gone once, without error."""
    async with household(database_settings, HandClock()) as (_, partitions):
        for days in range(3, 9):
            await partitions.ensure_day("ingest_ledger", TODAY - timedelta(days=days))

    async def retire() -> None:
        async with household(database_settings, HandClock()) as (retirement, _):
            await retirement.retire()

    await asyncio.gather(*(retire() for _ in range(4)))

    assert await ledger_tables(connection) == []


def test_the_sentinel_day_is_the_one_of_the_schema() -> None:
    """0004_ledger.up.sql made a leaf for exactly this day."""
    assert day_us(SENTINEL_DAY) == -PG_EPOCH_UNIX_US
