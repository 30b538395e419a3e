"""An idle daemon knows whether PostgreSQL is there."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database
from collector.store.pulse import Pulse
from collector.store.standing import Standing
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe

HANG_UP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
"""So that the next question goes over a connection with the settings of now."""


def pulse_of(database: Database, metrics: Metrics, probe: TestProbe) -> Pulse:
    """Return a quick one."""
    standing = Standing(clock=SystemClock(), metrics=metrics)
    return Pulse(database, standing=standing, probe=probe, every_s=0.01)


@pytest.mark.parametrize(
    ("spoil", "mend", "words"),
    [
        pytest.param(
            "REVOKE INSERT ON logs FROM CURRENT_USER",
            "GRANT INSERT ON logs TO CURRENT_USER",
            "INSERT on logs",
            id="no privilege on facts",
        ),
        pytest.param(
            "REVOKE UPDATE ON ingest_ledger FROM CURRENT_USER",
            "GRANT UPDATE ON ingest_ledger TO CURRENT_USER",
            "UPDATE on ingest_ledger",
            id="no privilege on the ledger",
        ),
        pytest.param(
            "ALTER TABLE resources RENAME TO away",
            "ALTER TABLE away RENAME TO resources",
            "no table resources",
            id="no table",
        ),
        pytest.param(
            "ALTER DATABASE {} SET search_path = pg_catalog",
            "ALTER DATABASE {} RESET search_path",
            "search_path is pg_catalog",
            id="wrong search_path",
        ),
        pytest.param(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            "SET default_transaction_read_only = off;"
            " ALTER DATABASE {} RESET default_transaction_read_only",
            "read-only",
            id="read-only",
        ),
    ],
)
async def test_a_server_that_answers_and_takes_no_rows_is_not_up(
    database_settings: DatabaseSettings,
    connection: Connection,
    spoil: str,
    mend: str,
    words: str,
) -> None:
    """The line says what is missing, and what to do; nobody has to send for it."""
    database, metrics, probe = Database(database_settings), Metrics(), TestProbe()
    pulse = pulse_of(database, metrics, probe)
    name = await connection.fetchval("SELECT current_database()")
    seen: list[float] = []

    with capture_logs() as logged:
        beating = asyncio.create_task(pulse.run())
        for change in (spoil, mend):
            await connection.execute(change.format(name))
            await connection.execute(HANG_UP)
            await probe.reached("pulse.asked", probe.counts["pulse.asked"] + 3)
            seen.append(metrics.store_up.values[()])
        beating.cancel()
        await asyncio.wait((beating,))
    await database.stop()

    assert seen == [0, 1]
    away = [line for line in logged if line["event"] == "store takes no rows"]
    assert words in away[0]["error"]
    assert away[0]["hint"]
    assert len(away) == 1


async def test_the_gauge_follows_the_server_and_each_change_is_told_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Up, away for several beats, and back: two lines."""
    database, metrics, probe = Database(database_settings), Metrics(), TestProbe()
    pulse = pulse_of(database, metrics, probe)
    name = await connection.fetchval("SELECT current_database()")
    seen: list[float] = []

    async def beat() -> None:
        await probe.reached("pulse.asked", probe.counts["pulse.asked"] + 2)
        seen.append(metrics.store_up.values[()])

    with capture_logs() as logged:
        beating = asyncio.create_task(pulse.run())
        await beat()
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await connection.execute(HANG_UP)
        await beat()
        await beat()
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        await beat()
        beating.cancel()
        await asyncio.wait((beating,))
    await database.stop()

    assert seen == [1, 0, 0, 1]
    assert [line["event"] for line in logged] == ["store is away", "store is back"]
