"""The SQL that README teaches runs, and finds something, on telemetry of a real shop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.convert.identity import request_digest
from collector.convert.request import Converter
from collector.rows import Signal
from collector.settings import ConvertSettings, DatabaseSettings
from collector.store.pool import Connection
from collector.store.transaction import write_batch
from collector.telemetry.clock import SystemClock
from tests.db.writing import context, make_leaves
from tests.factories import ExportRequest, logs_request, metrics_request, trace_request

README = (Path(__file__).parents[2] / "README.md").read_text()
QUERIES = dict(re.findall(r"\*\*\d+\. ([^*]+)\*\*\n+```sql\n(.+?)```", README, re.DOTALL))
MINUTE_NS = 60_000_000_000


def test_readme_teaches_at_least_ten_queries() -> None:
    """The pattern above still finds them."""
    assert len(QUERIES) >= 10


@pytest.fixture
async def shop(database_settings: DatabaseSettings, connection: Connection) -> Connection:
    """A database with half an hour of a shop's traces, metrics and logs, one letter among them."""
    await make_leaves(database_settings)
    now_ns = SystemClock().unix_ns()
    converter = Converter(ConvertSettings(), retention_s=30 * 86_400)
    for seed in range(3):
        base = now_ns - (30 - 10 * seed) * MINUTE_NS
        damaged = logs_request(items=1, seed=100 + seed, base_unix_nano=base)
        damaged.resource_logs[0].scope_logs[0].log_records[0].severity_text = "in\0fo"
        requests: list[tuple[Signal, ExportRequest]] = [
            (Signal.TRACES, trace_request(items=220, seed=seed, base_unix_nano=base)),
            (Signal.METRICS, metrics_request(items=220, seed=seed, base_unix_nano=base)),
            (Signal.LOGS, logs_request(items=220, seed=seed, base_unix_nano=base)),
            (Signal.LOGS, damaged),
        ]
        for signal, message in requests:
            payload = message.SerializeToString()
            converted = converter.convert(
                signal, payload, digest=request_digest(b"", signal, payload), now_ns=now_ns
            )
            written = await write_batch(connection, [converted], context(database_settings, signal))
            assert written == [True]
    return connection


async def test_every_query_of_readme_finds_rows(shop: Connection) -> None:
    """A column renamed, a wrong join or an empty answer would teach nonsense."""
    answers = {title: len(await shop.fetch(query)) for title, query in QUERIES.items()}

    assert all(answers.values()), answers
