"""An idle daemon knows whether PostgreSQL is there."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database
from collector.store.pulse import Pulse
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe


async def test_the_gauge_follows_the_server_and_each_change_is_told_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Up, away for several beats, and back: two lines."""
    database, metrics, probe = Database(database_settings), Metrics(), TestProbe()
    pulse = Pulse(database, metrics=metrics, probe=probe, every_s=0.01)
    name = await connection.fetchval("SELECT current_database()")
    seen: list[float] = []

    async def beat() -> None:
        await probe.reached("pulse.asked", probe.counts["pulse.asked"] + 2)
        seen.append(metrics.store_up.values[()])

    with capture_logs() as logged:
        beating = asyncio.create_task(pulse.run())
        await beat()
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await beat()
        await beat()
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        await beat()
        beating.cancel()
        await asyncio.wait((beating,))
    await database.stop()

    assert seen == [1, 0, 0, 1]
    assert [line["event"] for line in logged] == ["store is away", "store is back"]
