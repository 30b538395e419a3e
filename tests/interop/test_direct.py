"""telemetrygen straight at otlpg: a Go SDK without a collector's queue behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collector.rows import Signal
from collector.store.embedded import EmbeddedPostgres
from tests.e2e.daemon import Daemon
from tests.interop.binaries import Binaries
from tests.interop.stored import Stored
from tests.interop.telemetrygen import METRIC_TYPES, Telemetrygen, logs, metrics, traces

pytestmark = pytest.mark.interop


@pytest.fixture
def telemetrygen(programs: Binaries, otlpg: Daemon, tmp_path: Path) -> Telemetrygen:
    """The load generator, pointed at otlpg."""
    return Telemetrygen(programs.telemetrygen, tmp_path, otlpg.grpc_port)


async def test_traces_keep_their_shape(telemetrygen: Telemetrygen, stored: Stored) -> None:
    """Every trace has its root and its children, and one row in ``traces`` that counts them."""
    await telemetrygen.send(traces(300, children=3))

    await stored.assert_holds_exactly({Signal.TRACES: 1_200})
    children = "SELECT count(*) FROM trace_spans c JOIN trace_spans p"
    children += " ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id"
    assert await stored.value(children) == 900
    roots = "SELECT DISTINCT root_name, root_service, span_count FROM traces"
    assert await stored.rows(roots) == [("lets-go", "telemetrygen", 4)]


GOOD = {
    "gauge": "value_int BETWEEN 0 AND 499 AND start_time IS NULL",
    "sum": "value_int BETWEEN 0 AND 499 AND start_time <= time",
    "histogram": "(SELECT sum(c) FROM unnest(bucket_counts) c) = count"
    " AND cardinality(bucket_counts) = cardinality(explicit_bounds) + 1",
    "exponential_histogram": "(SELECT coalesce(sum(c), 0) FROM unnest(positive_bucket_counts) c)"
    " + coalesce(zero_count, 0) = count AND scale IS NOT NULL",
}
"""What holds for each point of a type, in the columns of that type."""


async def test_points_of_every_type(telemetrygen: Telemetrygen, stored: Stored) -> None:
    """Every point arrives, in the columns of its type, with its bounds and buckets."""
    await telemetrygen.send(*(metrics(500, kind) for kind in METRIC_TYPES))

    await stored.assert_holds_exactly({Signal.METRICS: 2_000})
    names = await stored.rows("SELECT name, type FROM metrics")
    assert dict(names) == {f"gen.{kind}": type_ for kind, type_ in METRIC_TYPES.items()}
    points = "SELECT count(*) FROM metric_data_points"
    points += " JOIN metric_series USING (series_id) JOIN metrics USING (metric_id)"
    for kind, condition in GOOD.items():
        assert await stored.value(f"{points} WHERE type = '{kind}' AND {condition}") == 500, kind


async def test_gauge_keeps_every_value(telemetrygen: Telemetrygen, stored: Stored) -> None:
    """The values 0, 1, 2 .. of one series come back in the order of their times."""
    await telemetrygen.send(metrics(1_000, "Gauge"))

    rows = await stored.rows("SELECT value_int FROM metric_data_points ORDER BY time, time_ns")
    assert [value for (value,) in rows] == list(range(1_000))


async def test_log_records(telemetrygen: Telemetrygen, stored: Stored) -> None:
    """Body, severity and service of each record are where a reader looks for them."""
    await telemetrygen.send(logs(1_000))

    await stored.assert_holds_exactly({Signal.LOGS: 1_000})
    said = "SELECT DISTINCT body_text, severity_number, severity_text, service_name FROM logs"
    assert await stored.rows(said) == [("the message", 9, "Info", "telemetrygen")]


async def test_one_item_per_request(telemetrygen: Telemetrygen, stored: Stored) -> None:
    """A thousand requests of one item each are a thousand acknowledged transactions' items."""
    await telemetrygen.send(
        traces(100, children=1, batch=1), metrics(200, batch=1), logs(200, batch=1)
    )

    await stored.assert_holds_exactly({Signal.TRACES: 200, Signal.METRICS: 200, Signal.LOGS: 200})


async def test_sender_does_not_notice_a_crash_of_postgres(
    telemetrygen: Telemetrygen, stored: Stored, otlpg: Daemon, durable_postgres: EmbeddedPostgres
) -> None:
    """Requests are held while PostgreSQL recovers; telemetrygen gives up at the first failure."""
    items = {Signal.METRICS: 3_000, Signal.LOGS: 3_000}
    loads = (metrics(3_000, rate=600, batch=10), logs(3_000, rate=600, batch=10))

    async with asyncio.TaskGroup() as group:
        group.create_task(telemetrygen.send(*loads))
        for reached in (600, 1_800):
            await stored.reaches(Signal.LOGS, reached)
            await asyncio.to_thread(durable_postgres.restart, "immediate")

    await stored.assert_holds_exactly(items)
    for signal in items:
        assert (await asyncio.to_thread(otlpg.items, signal))["refused"] == 0
