"""Fixtures of the end-to-end tests: a daemon on the test's own database, a server to switch off."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection, connect
from tests.conftest import QUICK, default_binaries, settings_of
from tests.e2e.daemon import Daemon


@pytest.fixture
async def daemon(database_settings: DatabaseSettings) -> AsyncGenerator[Daemon]:
    """A running daemon of one worker, stopped with SIGTERM at the end, which must end well."""
    running = Daemon(database_settings)
    try:
        await asyncio.to_thread(running.start)
        yield running
        if running.is_alive():
            assert await asyncio.to_thread(running.stop) == 0, running.log_text()
    finally:
        await asyncio.to_thread(running.kill)


@pytest.fixture
async def bystander(database_settings: DatabaseSettings) -> AsyncGenerator[Connection]:
    """A connection that may hold a lock as long as it likes: the reaper ends only otlpg's own."""
    settings = database_settings.model_copy(update={"app_name": "bystander"})
    opened = await connect(settings)
    yield opened
    opened.terminate()


@pytest.fixture
def own_server() -> Generator[EmbeddedPostgres]:
    """A PostgreSQL that this test may stop and start; its database is empty."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-e2e-"))
    # What was committed must survive an immediate stop: of the server, not of the machine.
    parameters = {**QUICK, "synchronous_commit": "on"}
    server = EmbeddedPostgres(binaries=default_binaries(), parameters=parameters)
    server.start(folder / "server")
    yield server
    server.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture
async def own_database(own_server: EmbeddedPostgres) -> DatabaseSettings:
    """The migrated database of ``own_server``."""
    settings = settings_of(own_server, "otlpg")
    connection = await connect(settings)
    try:
        await migrate.up(connection)
    finally:
        await connection.close()
    return settings
