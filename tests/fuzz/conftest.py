"""Fixtures of the tests of fuzzing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from collector.settings import DatabaseSettings
from tests.fuzz.http_door import http_door
from tests.fuzz.judge import Judge


@pytest.fixture
async def judge(database_settings: DatabaseSettings) -> AsyncGenerator[Judge]:
    """A judge with a listener and a database of its own."""
    async with http_door() as door:
        judge = Judge(database_settings, door)
        yield judge
        judge.stop()
