"""The round of maintenance goes on, whatever fails in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr

from collector.maintain.leaves import day_us
from collector.maintain.ledger import LedgerRetirement
from collector.maintain.partitions import Partitions
from collector.maintain.schedule import Schedule
from collector.settings import DatabaseSettings, PartitionSettings
from collector.store.pool import Connection, Database
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.clocks import NOON, HandClock
from tests.db.server_clock import set_server_clock

TODAY = day_us(NOON.date())


@pytest.fixture
async def database_settings(database_settings: DatabaseSettings) -> DatabaseSettings:
    """A database whose server says that it is noon."""
    await set_server_clock(database_settings, NOON)
    return database_settings


@asynccontextmanager
async def running(
    settings: DatabaseSettings, clock: HandClock
) -> AsyncGenerator[tuple[Partitions, TestProbe]]:
    """Run rounds without a pause for a block."""
    database = Database(settings)
    probe = TestProbe()
    partitions = Partitions(PartitionSettings(), database, clock, Metrics())
    ledger = LedgerRetirement(24, database, clock, probe=probe)
    schedule = Schedule(partitions, ledger, probe=probe, every_s=0, retry_s=0)
    task = asyncio.create_task(schedule.run())
    yield partitions, probe
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await database.stop()


async def test_rounds_keep_pace_with_the_clock(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Three days later there are leaves for that day, and the ledger's old ones are gone."""
    clock = HandClock()
    async with running(database_settings, clock) as (partitions, probe):
        await probe.reached("schedule.round")
        assert partitions.covers_day("ingest_ledger", NOON.date())

        await set_server_clock(database_settings, NOON + timedelta(days=3))
        clock.move(timedelta(days=3))
        await probe.reached("schedule.round", probe.counts["schedule.round"] + 2)

        assert partitions.covers("logs", TODAY + 3 * 86_400_000_000, TODAY + 4 * 86_400_000_000)
    left = await connection.fetch(
        "SELECT leaf FROM otlpg_leaves() WHERE parent = 'ingest_ledger' AND ends_at <= $1",
        TODAY + 2 * 86_400_000_000,
    )
    assert [row["leaf"] for row in left] == ["ingest_ledger_sentinel"]


async def test_one_failing_job_does_not_keep_the_other_from_its_turn(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """While no leaf can be made the ledger is still cleaned; afterwards all is well again."""
    await connection.execute(
        "INSERT INTO ingest_ledger (day, digest, received_at, items)"
        " VALUES ('1970-01-01', 'old', '2026-01-01 00:00+00', 1);"
        "ALTER FUNCTION otlpg_make_leaf RENAME TO away"
    )
    async with running(database_settings, HandClock()) as (partitions, probe):
        await probe.reached("schedule.failed", 2)
        assert await connection.fetchval("SELECT count(*) FROM ingest_ledger") == 0
        assert not partitions.covers("logs", TODAY, TODAY)

        await connection.execute("ALTER FUNCTION away RENAME TO otlpg_make_leaf")
        await probe.reached("schedule.round")

        assert partitions.covers("logs", TODAY, TODAY)


async def test_a_round_without_a_host_of_the_wanted_kind_fails_like_any_other(
    database_settings: DatabaseSettings,
) -> None:
    """A failover leaves only a standby for a while: the loop must not end, or the worker would."""
    assert database_settings.dsn is not None
    dsn = database_settings.dsn.get_secret_value() + "&target_session_attrs=standby"
    away = database_settings.model_copy(update={"dsn": SecretStr(dsn)})

    async with asyncio.timeout(10), running(away, HandClock()) as (_, probe):
        await probe.reached("schedule.failed", 2)
