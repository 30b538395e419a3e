"""Fixtures of tests that ask a real PostgreSQL what is stored."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from collector.query.view import Views
from collector.settings import DatabaseSettings
from collector.store.pool import Database


@pytest.fixture
async def views(database_settings: DatabaseSettings) -> AsyncGenerator[Views]:
    """Views of the test's own database, with a minute for each."""
    database = Database(database_settings)
    yield Views(database, 60)
    await database.stop()
