"""A PostgreSQL that may be pulled the plug on: fsync and full page writes as in production."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import ROLE, SUPERUSER, EmbeddedPostgres
from collector.store.pool import Connection, connect
from tests.conftest import default_binaries, memory_folder, settings_of

_numbers = itertools.count(1)


@contextmanager
def durable(tcp_port: int | None = None, **parameters: str) -> Generator[EmbeddedPostgres]:
    """Lend a server with PostgreSQL's own defaults; nothing about durability is relaxed.

    Its data lies in memory where there is room: no test here pulls the plug of the machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="otlpg-fault-", dir=memory_folder()))
    folder.chmod(0o711)  # started by root, PostgreSQL runs as somebody else
    server = EmbeddedPostgres(binaries=default_binaries(), parameters=parameters, tcp_port=tcp_port)
    try:
        server.start(folder / "server")
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def durable_server() -> Generator[EmbeddedPostgres]:
    """A server that may be stopped, killed and frozen, if it runs again when the test ends."""
    with durable() as server:
        yield server


@pytest.fixture
async def durable_database(durable_server: EmbeddedPostgres) -> AsyncGenerator[DatabaseSettings]:
    """A migrated database of this test's own on the durable server."""
    name = f"fault_{next(_numbers)}"
    admin = await connect(settings_of(durable_server, "postgres", role=SUPERUSER))
    await admin.execute(f"CREATE DATABASE {name} OWNER {ROLE}")
    await admin.close()
    settings = settings_of(durable_server, name)
    await migrate_durably(settings)
    yield settings
    admin = await connect(settings_of(durable_server, "postgres", role=SUPERUSER))
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def migrate_durably(settings: DatabaseSettings) -> None:
    """Migrate a database of a server that keeps what it has committed."""
    connection = await connect(settings)
    assert await connection.fetchval("SHOW fsync") == "on"
    await migrate.up(connection)
    await connection.close()


@pytest.fixture
async def administrator(durable_database: DatabaseSettings) -> AsyncGenerator[Connection]:
    """A superuser's connection to ``durable_database``, to hurt it; nobody takes it for otlpg's."""
    assert durable_database.dsn is not None
    dsn = durable_database.dsn.get_secret_value().replace(f"//{ROLE}@", f"//{SUPERUSER}@")
    update = {"dsn": SecretStr(dsn), "app_name": "administrator"}
    opened = await connect(durable_database.model_copy(update=update))
    yield opened
    opened.terminate()
