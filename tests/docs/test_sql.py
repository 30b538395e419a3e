"""The SQL that README teaches runs, and finds something, on telemetry of a real shop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

from collector.convert.identity import request_digest
from collector.convert.request import Converter
from collector.operate.sample import make_sample
from collector.rows import Signal
from collector.settings import ConvertSettings, DatabaseSettings
from collector.store.pool import Connection
from collector.store.transaction import write_batch
from collector.telemetry.clock import SystemClock
from tests.db.writing import context, make_leaves
from tests.factories import ExportRequest, logs_request, metrics_request, trace_request

TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS
README = (Path(__file__).parents[2] / "README.md").read_text()
QUERIES = dict(re.findall(r"\*\*\d+\. ([^*]+)\*\*\n+```sql\n(.+?)```", README, re.DOTALL))
MINUTE_NS = 60_000_000_000
NO_VALUE = -1
Request: TypeAlias = tuple[Signal, ExportRequest]


HEADING = re.search(r"^## (\w+) questions in SQL$", README, re.MULTILINE)
INCREASE = "The increase of a counter, whatever its temporality"
SHARE = "A histogram's mean and its share above the middle bound"
BESIDE_SPANS = "The logs of traces, next to their spans"
REPAIRED = "What was repaired or quarantined?"


async def write(settings: DatabaseSettings, connection: Connection, *requests: Request) -> None:
    """Store requests as the daemon would: converted, one transaction each."""
    await make_leaves(settings)
    now_ns = SystemClock().unix_ns()
    converter = Converter(ConvertSettings(), retention_s=30 * 86_400)
    for signal, message in requests:
        payload = message.SerializeToString()
        digest = request_digest(b"", signal, payload)
        converted = converter.convert(signal, payload, digest=digest, now_ns=now_ns)
        written = (await write_batch(connection, [converted], context(settings, signal))).stored
        assert written == [True]


def shop_requests() -> Iterator[Request]:
    """Yield half an hour of a shop's traces, metrics and logs, one damaged record among them."""
    now_ns = SystemClock().unix_ns()
    for seed in range(3):
        base = now_ns - (30 - 10 * seed) * MINUTE_NS
        damaged = logs_request(items=1, seed=100 + seed, base_unix_nano=base)
        damaged.resource_logs[0].scope_logs[0].log_records[0].severity_text = "in\0fo"
        yield TRACES, trace_request(items=220, seed=seed, base_unix_nano=base)
        yield METRICS, metrics_request(items=220, seed=seed, base_unix_nano=base)
        yield LOGS, logs_request(items=220, seed=seed, base_unix_nano=base)
        yield LOGS, damaged


def sample_requests() -> Iterator[Request]:
    """Yield what `otlpg send-test` sends."""
    sample = make_sample("a-run", SystemClock().unix_ns())
    yield TRACES, encode_spans(sample.spans)
    for data in sample.metrics:
        yield METRICS, encode_metrics(data)
    yield LOGS, encode_logs(sample.logs)


def counters() -> ExportMetricsServiceRequest:
    """Return counters of the last hour, each with one trap for whoever adds them up.

    The points of one counter are (minutes since its start, minutes before now, value).
    """
    now_ns = SystemClock().unix_ns()
    points: dict[str, list[tuple[int, int, int]]] = {
        "two processes in turn": [
            (11, 30, 5), (14, 29, 5), (13, 28, 8), (16, 27, 8), (15, 26, 10), (18, 25, 10),
        ],
        "fell under one start": [(10, 30, 5), (11, 29, 8), (12, 28, 2)],
        "began long before": [(180, 30, 100), (190, 20, 103)],
        "start unknown": [(0, 30, 100), (10, 20, 104)],
        "delta": [(1, 30, 5), (1, 29, 3), (1, 28, 2)],
        "gap": [(10, 30, 5), (11, 29, NO_VALUE), (12, 28, 8)],
    }  # fmt: skip
    metrics: list[Metric] = []
    for name, readings in points.items():
        counted = Sum(
            is_monotonic=True,
            aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA
            if name == "delta"
            else AGGREGATION_TEMPORALITY_CUMULATIVE,
        )
        for since, ago, value in readings:
            time = now_ns - ago * MINUTE_NS
            point = NumberDataPoint(
                start_time_unix_nano=time - since * MINUTE_NS, time_unix_nano=time
            )
            if value == NO_VALUE:
                point.flags = 1
            else:
                point.as_int = value
            counted.data_points.append(point)
        metrics.append(Metric(name=name, sum=counted))
    return request_of(*metrics)


def request_of(*metrics: Metric) -> ExportMetricsServiceRequest:
    """Return a request of these metrics, from nobody in particular."""
    scope = ScopeMetrics(metrics=metrics)
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[scope])])


def test_readme_teaches_as_many_queries_as_it_says() -> None:
    """The heading counts them, and the pattern above finds them all."""
    assert HEADING is not None
    assert (HEADING[1], len(QUERIES)) == ("Eleven", 11)


async def test_every_query_of_readme_finds_rows(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A column renamed, a wrong join or an empty answer would teach nonsense."""
    await write(database_settings, connection, *shop_requests())

    answers = {title: len(await connection.fetch(query)) for title, query in QUERIES.items()}

    assert all(answers.values()), answers


async def test_every_query_finds_rows_in_the_sample(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Who has sent no more than the sample sees an answer, too; only no letter is in it."""
    await write(database_settings, connection, *sample_requests())

    rows = {title: await connection.fetch(query) for title, query in QUERIES.items()}

    assert [title for title, found in rows.items() if not found] == [REPAIRED]
    beside = rows[BESIDE_SPANS]
    assert {row["span"] for row in beside} == {"POST /orders"}
    assert all(row["body"] for row in beside)


async def test_increase_counts_every_process_and_reset_once(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """What was counted within the range, whoever counted it and however it was told."""
    await write(database_settings, connection, (METRICS, counters()))

    rows = await connection.fetch(QUERIES[INCREASE])

    assert {row["name"]: row["increase"] for row in rows} == {
        "two processes in turn": 20,
        "fell under one start": 10,
        "began long before": 3,
        "start unknown": 4,
        "delta": 10,
        "gap": 8,
    }


async def test_share_is_that_above_the_bound_beside_it(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Of six measurements, one in each bucket, three lie above the third of five bounds."""
    now_ns = SystemClock().unix_ns()
    point = HistogramDataPoint(
        start_time_unix_nano=now_ns - MINUTE_NS,
        time_unix_nano=now_ns,
        count=6,
        sum=21,
        bucket_counts=[1] * 6,
        explicit_bounds=[1, 2, 3, 4, 5],
    )
    histogram = Histogram(
        aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA, data_points=[point]
    )
    await write(
        database_settings, connection, (METRICS, request_of(Metric(name="h", histogram=histogram)))
    )

    row = await connection.fetchrow(QUERIES[SHARE])

    assert row is not None
    assert (row["mean"], row["bound"], row["share_above"]) == (3.5, 3, Decimal("0.5"))
