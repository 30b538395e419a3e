"""The real Python SDK sends, and what it was told SUCCESS for is in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import export_logs, export_metrics, export_spans

NAMES = [f"name {number}" for number in range(50)]
EXPORTERS: dict[str, tuple[Callable[..., Any], str]] = {
    "traces": (export_spans, "SELECT name FROM trace_spans"),
    "metrics": (
        export_metrics,
        """SELECT s.attributes ->> 'e2e.name' FROM metric_data_points
           JOIN metric_series AS s USING (series_id) JOIN metrics USING (metric_id)
           WHERE name = 'e2e.count'""",
    ),
    "logs": (export_logs, "SELECT body_text FROM logs"),
}


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"]
)
async def test_every_item_is_in_postgresql_when_the_sdk_hears_success(
    daemon: Daemon, connection: Connection, compression: grpc.Compression
) -> None:
    """No wait between SUCCESS and SELECT: OK means committed (promise 1)."""
    for signal, (export, query) in EXPORTERS.items():
        result = await asyncio.to_thread(export, daemon.endpoint, NAMES, compression)
        stored = [row[0] for row in await connection.fetch(query)]

        assert result.name == "SUCCESS"
        assert sorted(stored) == sorted(NAMES)
        assert daemon.items(signal) == {
            "received": 50, "stored": 50,
            "duplicate": 0, "quarantined": 0, "rejected": 0, "refused": 0,
        }  # fmt: skip
