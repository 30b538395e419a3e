"""A cardinality bomb at the door of a real daemon: told to come again, and others go on."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from collector.rows import Signal
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, Failure

if TYPE_CHECKING:
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

LIMIT = 50


def users(first: int, number: int) -> bytes:
    """Return a request with one point of each user: the mistake that makes a series of everybody."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="logins")
    for user in range(first, first + number):
        point = metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
        point.attributes.add(key="user.id").value.int_value = user
    return request.SerializeToString()


def post(port: int, body: bytes) -> tuple[int, str | None]:
    """Return status and Retry-After of one request over HTTP."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/metrics",
        data=body,
        headers={"content-type": "application/x-protobuf"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["retry-after"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["retry-after"]


async def test_senders_of_too_many_new_series_hear_when_to_come_again(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """UNAVAILABLE with RetryInfo, 503 with Retry-After; known series are stored at both doors."""
    with (
        Daemon(database_settings, OTLPG_INGEST__SERIES_NEW_PER_MINUTE_MAX=str(LIMIT)) as daemon,
        Caller(daemon.grpc_port) as caller,
    ):
        # A giant passes whole and leaves a debt of twenty minutes: the rest needs no clock.
        assert await asyncio.to_thread(caller.send, Signal.METRICS, users(0, 21 * LIMIT)) == b""

        refused = await asyncio.to_thread(caller.send, Signal.METRICS, users(5_000, 3))
        known = await asyncio.to_thread(caller.send, Signal.METRICS, users(0, LIMIT))
        refused_by_http = await asyncio.to_thread(post, daemon.http_port, users(6_000, 3))
        known_by_http = await asyncio.to_thread(post, daemon.http_port, users(0, LIMIT))
        line = daemon.wait_for_log("new series refused")
        books = daemon.items(Signal.METRICS)
        refusals = daemon.metric("otlpg_refusals_total", signal="metrics", cause="series_limit")
        created = daemon.metric("otlpg_dimensions_written_total", table="metric_series")

    assert isinstance(refused, Failure)
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.details == f"more new series than {LIMIT} per minute"
    assert refused.retry_s == refused.status_retry_s == 1.6
    assert refused_by_http == (503, "2")
    assert (known, known_by_http) == (b"", (200, None))
    assert (line["example"], line["per_minute_max"]) == ("logins", LIMIT)
    assert refusals == 2
    assert books["refused"] == 6
    assert books["received"] == sum(n for end, n in books.items() if end != "received")
    assert await connection.fetchval("SELECT count(*) FROM metric_series") == created == 21 * LIMIT
