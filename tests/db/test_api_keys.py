"""The table of API keys as a daemon reads it: how much, and what it hears when it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from collector.app import Daemon
from collector.errors import StoreError
from collector.receive.token import Token
from collector.settings import AuthSettings, DatabaseSettings, ReceiveSettings, Settings
from collector.store import api_keys
from collector.store.pool import Connection, Database
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe

pytestmark = pytest.mark.postgres_versions


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """The connections of a daemon."""
    opened = Database(database_settings)
    yield opened
    await opened.stop()


async def add(connection: Connection, *, ago_s: int) -> str:
    """Make a key so long ago and return its id."""
    token = Token.new()
    await connection.execute(
        "INSERT INTO api_keys (id, name, scopes, hash, created_at)"
        " VALUES ($1, 'a', '{ingest}', $2, now() - make_interval(secs => $3))",
        token.id, token.hash, ago_s,
    )  # fmt: skip
    return token.id


@pytest.mark.parametrize("made", [2, 3, 4])
async def test_a_reading_shows_whether_it_was_cut(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch, made: int
) -> None:
    """One key more than are kept says that there are more; the newest come first."""
    monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
    ids = [await add(connection, ago_s=number) for number in range(made)]

    found = await api_keys.read_live_keys(database)

    assert [key.id for key in found] == ids[:3]


async def test_a_daemon_that_may_not_see_the_keys_is_not_ready(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Until they are there again: each reading tells."""
    probe = TestProbe()
    daemon = Daemon(
        Settings(
            receive=ReceiveSettings(grpc_port=0, http_port=0),
            auth=AuthSettings(keys=True, refresh_s=1),
            database=database_settings,
        ),
        clock=SystemClock(), metrics=Metrics(), probe=probe,
    )  # fmt: skip
    await daemon.start()
    try:
        async with asyncio.timeout(30):
            await probe.reached("keys.read")
            await probe.reached("schedule.round")
            ready = [daemon.ready]
            for name, other in (("api_keys", "hidden_keys"), ("hidden_keys", "api_keys")):
                await connection.execute(f"ALTER TABLE {name} RENAME TO {other}")
                await probe.reached("keys.read", probe.counts["keys.read"] + 2)
                ready.append(daemon.ready)
    finally:
        await daemon.stop()

    assert ready == [True, False, True]


async def test_a_missing_right_is_told_by_its_code(
    database: Database, connection: Connection
) -> None:
    """By which the keyring knows that this is no outage."""
    role = await connection.fetchval("SELECT current_user")
    await connection.execute(f'REVOKE ALL ON api_keys FROM "{role}"')

    with pytest.raises(StoreError) as caught:
        await api_keys.read_live_keys(database)

    assert caught.value.sqlstate == "42501"
