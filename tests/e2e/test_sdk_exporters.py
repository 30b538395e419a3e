"""The real Python SDK sends, and what it was told SUCCESS for is in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto import http

from collector.rows import Signal
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import (
    export_logs,
    export_metrics,
    export_spans,
    grpc_exporter,
    http_exporter,
)

NAMES = [f"name {number}" for number in range(50)]
EXPORTS: dict[Signal, tuple[Callable[..., Any], str]] = {
    Signal.TRACES: (export_spans, "SELECT name FROM trace_spans"),
    Signal.METRICS: (
        export_metrics,
        """SELECT s.attributes ->> 'e2e.name' FROM metric_data_points
           JOIN metric_series AS s USING (series_id) JOIN metrics USING (metric_id)
           WHERE name = 'e2e.count'""",
    ),
    Signal.LOGS: (export_logs, "SELECT body_text FROM logs"),
}


@pytest.mark.parametrize(
    "compression",
    [
        grpc.Compression.NoCompression,
        grpc.Compression.Gzip,
        http.Compression.NoCompression,
        http.Compression.Gzip,
        http.Compression.Deflate,
    ],
    ids=["gRPC", "gRPC gzip", "HTTP", "HTTP gzip", "HTTP deflate"],
)
async def test_every_item_is_in_postgresql_when_the_sdk_hears_success(
    daemon: Daemon, connection: Connection, compression: grpc.Compression | http.Compression
) -> None:
    """No wait between SUCCESS and SELECT: OK means committed (promise 1)."""
    for signal, (export, query) in EXPORTS.items():
        if isinstance(compression, http.Compression):
            exporter = http_exporter(signal, daemon.http_port, compression)
        else:
            exporter = grpc_exporter(signal, daemon.grpc_port, compression)
        result = await asyncio.to_thread(export, exporter, NAMES)
        stored = [row[0] for row in await connection.fetch(query)]

        assert result.name == "SUCCESS"
        assert sorted(stored) == sorted(NAMES)
        assert daemon.items(signal) == {
            "received": 50, "stored": 50,
            "duplicate": 0, "quarantined": 0, "rejected": 0, "refused": 0,
        }  # fmt: skip
