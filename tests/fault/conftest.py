"""A PostgreSQL that may be pulled the plug on: fsync and full page writes as in production."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.pool import connect
from tests.conftest import default_binaries, settings_of

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def durable_server() -> Generator[EmbeddedPostgres]:
    """A server with PostgreSQL's own defaults; nothing about durability is relaxed."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-fault-"))
    server = EmbeddedPostgres(binaries=default_binaries())
    server.start(folder / "server")
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture
async def durable_database(durable_server: EmbeddedPostgres) -> AsyncGenerator[DatabaseSettings]:
    """A migrated database of this test's own on the durable server."""
    name = f"fault_{next(_numbers)}"
    admin = await connect(settings_of(durable_server, "postgres", role=SUPERUSER))
    await admin.execute(f"CREATE DATABASE {name} OWNER {ROLE}")
    await admin.close()
    settings = settings_of(durable_server, name)
    connection = await connect(settings)
    assert await connection.fetchval("SHOW fsync") == "on"
    await migrate.up(connection)
    await connection.close()
    yield settings
    admin = await connect(settings_of(durable_server, "postgres", role=SUPERUSER))
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
