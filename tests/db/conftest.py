"""Fixtures of tests that write into a real PostgreSQL and ask what is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from collector.query.view import Views
from collector.settings import DatabaseSettings
from collector.store.pool import Database
from tests.db.writing import make_leaves


@pytest.fixture
async def views(database_settings: DatabaseSettings) -> AsyncGenerator[Views]:
    """Views of the test's own database, with a minute for each."""
    database = Database(database_settings)
    yield Views(database, 60)
    await database.stop()


@pytest.fixture
async def settings(database_settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now."""
    await make_leaves(database_settings)
    return database_settings
