"""operate.read_back on a real server: what is not there is told in words."""

from __future__ import annotations

import pytest

from collector.errors import CommandError, SchemaError
from collector.operate.read_back import read_back
from collector.operate.send_test import Sent
from collector.settings import DatabaseSettings

SENT = Sent(
    endpoint="http://127.0.0.1:4317",
    run_id="0123",
    trace_id=bytes(15) + b"1",
    started_ns=1_800_000_000_000_000_000,
    spans=1,
    points=0,
    log_records=0,
)


async def test_database_without_the_schema_is_named_as_such(
    empty_database: DatabaseSettings,
) -> None:
    """Somebody whose DATABASE_URL leads elsewhere reads what to run, and no traceback."""
    with pytest.raises(SchemaError, match="otlpg migrate up"):
        await read_back(empty_database, SENT)


async def test_items_that_are_not_here_are_an_error(database_settings: DatabaseSettings) -> None:
    """What was acknowledged must be found; else the daemon writes somewhere else."""
    with pytest.raises(CommandError, match=r"1 spans were acknowledged.* holds 0"):
        await read_back(database_settings, SENT)
