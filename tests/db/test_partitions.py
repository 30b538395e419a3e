"""Leaves are made beside everything that runs, by anybody, at any time, and never overlap."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from collector.errors import RetryableStoreError
from collector.maintain.partitions import Partitions
from collector.rows import PG_EPOCH_UNIX_US, LogRow
from collector.settings import DatabaseSettings, PartitionSettings
from collector.store.ledger import SENTINEL_DAY
from collector.store.migrate import LOCK_CLASS, MIGRATIONS_KEY
from collector.store.pool import Connection, Database, connect
from collector.telemetry.metrics import Metrics
from tests.clocks import NOON, HandClock

pytestmark = pytest.mark.postgres_versions

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def us(moment: datetime) -> int:
    """Return a moment as rows hold it."""
    return round(moment.timestamp() * 1e6) - PG_EPOCH_UNIX_US


NOW = us(NOON)


@asynccontextmanager
async def maker(
    settings: DatabaseSettings, *, metrics: Metrics | None = None, **partitions: Any
) -> AsyncGenerator[Partitions]:
    """Leaves as one process sees them, on connections of its own."""
    database = Database(settings)
    yield Partitions(PartitionSettings(**partitions), database, HandClock(), metrics or Metrics())
    await database.stop()


async def leaves(connection: Connection, table: str) -> list[tuple[str, int, int]]:
    """Return name, start and end of each leaf of a table, in order."""
    rows = await connection.fetch(
        "SELECT leaf, starts_at, ends_at FROM otlpg_leaves() WHERE parent = $1", table
    )
    return [(row["leaf"], row["starts_at"], row["ends_at"]) for row in rows]


def log_row(time: int) -> tuple[Any, ...]:
    """Return the smallest log row of a moment."""
    return LogRow(
        time, 0, None, None, None, 9, None, "hello", None, None, None, None, 0, "{}", None, 1, 1, None
    )  # fmt: skip


async def copy_logs(connection: Connection, *times: int) -> None:
    """COPY one log row for each moment."""
    await connection.copy_records_to_table(
        "logs", columns=LogRow._fields, records=[log_row(time) for time in times]
    )


@asynccontextmanager
async def copy_held_open(connection: Connection, time: int) -> AsyncGenerator[None]:
    """Keep a COPY into ``logs`` in mid-stream for a block, inside a transaction, then commit."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def records() -> AsyncGenerator[tuple[Any, ...]]:
        for _ in range(20_000):  # enough to leave the driver's buffer: the server has begun
            yield log_row(time)
        begun.set()
        await go_on.wait()
        yield log_row(time)

    async def copy() -> None:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "logs", columns=LogRow._fields, records=records()
            )

    task = asyncio.create_task(copy())
    await begun.wait()
    yield
    go_on.set()
    await task


@asynccontextmanager
async def select_held_open(connection: Connection) -> AsyncGenerator[None]:
    """Keep a SELECT over all of ``logs`` open for a block, with a cursor in mid-way."""
    async with connection.transaction():
        cursor = await connection.cursor("SELECT time FROM logs")
        await cursor.fetch(1)
        yield


async def test_a_first_start_logs_one_line_per_table(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """With how many leaves were made and where they begin and end; nothing made, nothing said."""
    before = {leaf for leaf, *_ in await leaves(connection, "ingest_ledger")}
    async with maker(database_settings) as partitions:
        with capture_logs() as lines:
            await partitions.prepare()
            await partitions.prepare()

    made = {line["table"]: line for line in lines if line["event"] == "leaves made"}
    assert len(made) == len(lines) == 5
    for table, line in made.items():
        names = [name for name, *_ in await leaves(connection, table) if name not in before]
        assert (line["count"], line["first"], line["last"]) == (len(names), names[0], names[-1])


async def test_prepare_reaches_ahead_for_every_table(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """After prepare each table takes rows from an hour ago to ahead_h from now."""
    metrics = Metrics()
    async with maker(database_settings, metrics=metrics, ahead_h=48) as partitions:
        await partitions.prepare()

        for table in ("trace_spans", "metric_data_points", "logs", "traces", "ingest_ledger"):
            assert partitions.covers(table, NOW - HOUR_US, NOW + 48 * HOUR_US)
            assert not partitions.covers(table, NOW - HOUR_US, NOW + 20 * DAY_US)
            assert not partitions.covers(table, NOW - 20 * DAY_US, NOW)
        made = dict(metrics.leaves_made.values)
        await partitions.prepare()  # again: nothing to do

    assert metrics.leaves_made.values == made
    assert made["trace_spans",] == 3
    assert made["metric_data_points",] == 10
    await copy_logs(connection, NOW - HOUR_US, NOW, NOW + 48 * HOUR_US)


async def test_leaves_are_made_beside_an_open_copy_and_select(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """A COPY in mid-stream and a long SELECT neither wait for a new leaf nor hold it up."""
    reading = await connect(database_settings)
    async with maker(database_settings) as partitions:
        await partitions.prepare()
        await copy_logs(connection, NOW)
        async with copy_held_open(other_connection, NOW), select_held_open(reading):
            await partitions.ensure("logs", [NOW - 5 * DAY_US])
            await copy_logs(connection, NOW - 5 * DAY_US, NOW)  # nobody queues behind it either

    assert await connection.fetchval("SELECT count(*) FROM logs") == 20_004
    await reading.close()


async def test_the_same_with_partition_of_would_block(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """The control of the test above: PARTITION OF does wait for the open COPY."""
    async with maker(database_settings) as partitions:
        await partitions.prepare()
    async with copy_held_open(other_connection, NOW):
        await connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await connection.execute(
                "CREATE TABLE blocked PARTITION OF logs"
                " FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
            )


async def test_many_makers_make_each_leaf_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Processes that want the same new leaves at once end with one set of them and no error."""
    times = [NOW - day * DAY_US for day in range(12)]
    together = asyncio.Barrier(6)

    async def make(seed: int) -> float:
        metrics = Metrics()
        order = random.Random(seed).sample(times, len(times))
        async with maker(database_settings, metrics=metrics) as partitions:
            await together.wait()
            await asyncio.gather(*(partitions.ensure("logs", [t]) for t in order))
            assert all(partitions.covers("logs", t, t) for t in times)
        return sum(metrics.leaves_made.values.values())

    made = await asyncio.gather(*map(make, range(6)))

    assert sum(made) == 12
    assert len(await leaves(connection, "logs")) == 12


async def test_the_function_alone_makes_a_leaf_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Whoever calls it by hand, many at once, gets one leaf and otherwise NULL, never an error."""
    peers = [await connect(database_settings) for _ in range(6)]
    try:
        calls = (peer.fetchval("SELECT otlpg_make_leaf('logs', $1, 24)", NOW) for peer in peers)
        made = await asyncio.gather(*calls)
    finally:
        for peer in peers:
            peer.terminate()

    assert sorted(made, key=str) == [None] * 5 + ["logs_p20261121"]


@pytest.mark.parametrize("seed", range(5))
async def test_leaves_of_changing_length_never_overlap(
    database_settings: DatabaseSettings, connection: Connection, seed: int
) -> None:
    """Whatever the leaf length was before, a new leaf takes the gap that is there."""
    rng = random.Random(seed)
    wanted: list[int] = []
    for _ in range(12):
        async with maker(database_settings, logs_leaf_h=rng.choice([1, 6, 24])) as partitions:
            times = [NOW - rng.randrange(3 * DAY_US) for _ in range(rng.randint(1, 3))]
            await partitions.ensure("logs", times)
            wanted += times
            assert all(partitions.covers("logs", t, t) for t in wanted)

    found = await leaves(connection, "logs")
    assert all(before[2] <= after[1] for before, after in itertools.pairwise(found))
    await copy_logs(connection, *wanted)


async def test_a_longer_leaf_fills_the_gap_between_shorter_ones(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The names tell day, hour and, for an odd gap, its start; bounds are UTC."""
    six = NOW - 6 * HOUR_US
    async with maker(database_settings, logs_leaf_h=1) as partitions:
        await partitions.ensure("logs", [six])
    async with maker(database_settings, logs_leaf_h=24) as partitions:
        await partitions.ensure("logs", [six - HOUR_US, six + HOUR_US, six + DAY_US])

    assert [name for name, _, _ in await leaves(connection, "logs")] == [
        "logs_p20261121_h00",
        "logs_p20261121_h06",
        "logs_p20261121_h07",
        "logs_p20261122",
    ]


async def test_one_slot_may_have_many_gaps(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """With a leaf in every other hour of a day, one call fills the twelve gaps between."""
    midnight = NOW - 12 * HOUR_US
    async with maker(database_settings, logs_leaf_h=1) as partitions:
        await partitions.ensure("logs", range(midnight, midnight + DAY_US, 2 * HOUR_US))
    async with maker(database_settings, logs_leaf_h=24) as partitions:
        await partitions.ensure("logs", range(midnight, midnight + DAY_US, HOUR_US // 2))

        assert partitions.covers("logs", midnight, midnight + DAY_US - 1)
    assert len(await leaves(connection, "logs")) == 24


async def test_bounds_are_utc_whatever_the_session_says(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A database with another time zone and date style gets the same leaves."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    await connection.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
    async with maker(database_settings, logs_leaf_h=6) as partitions:
        await partitions.ensure("logs", [NOW])
        await partitions.ensure_day("traces", NOON.date())

        assert partitions.covers("logs", NOW, NOW + 6 * HOUR_US - 1)
        assert not partitions.covers("logs", NOW - 1, NOW)

    midnight = us(datetime(2026, 11, 21, tzinfo=UTC))
    assert await leaves(connection, "logs") == [("logs_p20261121_h12", NOW, NOW + 6 * HOUR_US)]
    assert await leaves(connection, "traces") == [("traces_p20261121", midnight, midnight + DAY_US)]


async def test_a_dropped_leaf_is_made_again_after_forget(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """What is known is trusted until forget; then the catalog counts."""
    async with maker(database_settings) as partitions:
        await partitions.ensure("logs", [NOW])
        await connection.execute("DROP TABLE logs_p20261121")
        assert partitions.covers("logs", NOW, NOW)

        partitions.forget()
        assert not partitions.covers("logs", NOW, NOW)
        await partitions.ensure("logs", [NOW])

    await copy_logs(connection, NOW)


async def test_a_maker_does_not_wait_long_for_a_migration(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """While a migration runs, ensure fails in a retryable way, after statement_s_max."""
    await connection.execute(f"SELECT pg_advisory_lock({LOCK_CLASS}, {MIGRATIONS_KEY})")
    impatient = database_settings.model_copy(update={"statement_s_max": 0.1})
    async with maker(impatient) as partitions:
        with pytest.raises(RetryableStoreError) as caught:
            await partitions.ensure("logs", [NOW])
        assert caught.value.sqlstate == "55P03"

        await connection.execute(f"SELECT pg_advisory_unlock({LOCK_CLASS}, {MIGRATIONS_KEY})")
        await partitions.ensure("logs", [NOW])


async def test_leaves_have_what_their_parents_say(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A leaf has its parent's indexes and comments; those of traces leave room for updates."""
    async with maker(database_settings) as partitions:
        await partitions.prepare()

    assert await connection.fetchval(
        "SELECT reloptions FROM pg_class WHERE relname = 'traces_p20261121'"
    ) == ["fillfactor=80"]
    indexes = (
        "SELECT count(*) FROM pg_index AS i JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid"
        " WHERE i.indrelid = $1::text::regclass AND i.indisvalid"
    )
    assert await connection.fetchval(indexes, "trace_spans_p20261121") == 2
    assert await connection.fetchval(indexes, "logs_p20261121") == 2
    assert await connection.fetchval(indexes, "ingest_ledger_p20261121") == 1


async def test_a_leaf_that_is_dropped_meanwhile_covers_no_more_than_its_own(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """A look that began before the drop sees the leaf as it was, never one without bounds."""
    async with maker(database_settings) as partitions:
        await partitions.ensure("logs", [NOW])
    before = await leaves(connection, "logs")
    async with other_connection.transaction(isolation="repeatable_read"):
        await other_connection.execute("SELECT count(*) FROM pg_class")  # its snapshot begins here
        await connection.execute("DROP TABLE logs_p20261121")

        assert await leaves(other_connection, "logs") == before != []

    assert await leaves(connection, "logs") == []


async def test_a_drop_in_progress_makes_no_look_at_the_leaves_wait(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """Whoever asks for the leaves waits for no lock on one of them."""
    async with maker(database_settings) as partitions:
        await partitions.ensure("logs", [NOW])
    async with connection.transaction():
        await connection.execute("LOCK TABLE logs_p20261121 IN ACCESS EXCLUSIVE MODE")
        await other_connection.execute("SET lock_timeout = '50ms'")

        assert len(await leaves(other_connection, "logs")) == 1


@pytest.mark.parametrize(
    "call",
    [
        "otlpg_make_leaf('resources', now(), 24)",
        "otlpg_make_leaf('logs; DROP TABLE logs', now(), 24)",
        "otlpg_make_leaf(NULL, now(), 24)",
        "otlpg_make_leaf('logs', now(), 5)",
        "otlpg_make_leaf('logs', now(), NULL)",
        "otlpg_make_leaf('traces', now(), 6)",
        "otlpg_make_leaf('logs', NULL, 24)",
        "otlpg_make_leaf('logs', 'infinity', 24)",
        "otlpg_make_leaf('logs', '2100-01-01 00:00+00', 24)",
        "otlpg_make_leaf('logs', '1999-12-31 23:59+00', 24)",
    ],
)
async def test_strange_arguments_make_no_leaf(connection: Connection, call: str) -> None:
    """The function that an insert-only role may call refuses what is not ours to make."""
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await connection.execute(f"SELECT {call}")


async def test_only_days_near_the_present_get_a_ledger_leaf(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Days in the retention, and two ahead, are themselves; all others are the sentinel day."""
    today = NOON.date()
    async with maker(database_settings, retention_days=30) as partitions:
        for day, kept in (
            (today, today),
            (today - timedelta(days=30), today - timedelta(days=30)),
            (today + timedelta(days=2), today + timedelta(days=2)),
            (today - timedelta(days=31), SENTINEL_DAY),
            (today + timedelta(days=3), SENTINEL_DAY),
            (date(9999, 12, 31), SENTINEL_DAY),
        ):
            assert partitions.ledger_day(day, today) == kept
        assert not partitions.covers_day("ingest_ledger", today)
        await partitions.ensure_day("ingest_ledger", today)

        assert partitions.covers_day("ingest_ledger", today)
        assert partitions.covers_day("ingest_ledger", SENTINEL_DAY)
    assert [name for name, _, _ in await leaves(connection, "ingest_ledger")] == [
        "ingest_ledger_sentinel",
        "ingest_ledger_p20261121",
    ]
