"""The table of API keys as a daemon reads it: how much, and what it hears when it may not."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from collector.receive.token import Token
from collector.settings import DatabaseSettings
from collector.store import api_keys
from collector.store.pool import Connection, Database

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
