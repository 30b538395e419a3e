"""Snapshots of several processes become one Prometheus text, and counts never go back."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from collector.telemetry.metrics import Metrics, Snapshot
from collector.telemetry.render import merge, render, retire


def sample_values(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of a Prometheus text by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def over_a_pipe(metrics: Metrics) -> Snapshot:
    """Return the snapshot as the supervisor gets it."""
    return json.loads(json.dumps(metrics.snapshot()))


def worker(stored: int, waiting: int, flushes: list[float]) -> Snapshot:
    """Return the snapshot of a worker that stored, holds and flushed this much."""
    metrics = Metrics()
    metrics.items.add(stored, "traces", "stored")
    metrics.queue_items.set(waiting, "traces")
    for rows in flushes:
        metrics.flush_rows.observe(rows, "traces")
    return over_a_pipe(metrics)


def test_the_sum_of_two_workers() -> None:
    """Counters, gauges and every bucket of a histogram add up."""
    text = render(merge((worker(3, 10, [1.0, 700.0]), worker(4, 20, [60_000.0]))))

    values = sample_values(text)
    traces = ("signal", "traces")
    assert values["otlpg_items_total", frozenset({traces, ("end", "stored")})] == 7
    assert values["otlpg_queue_items", frozenset({traces})] == 30
    assert values["otlpg_flush_rows_count", frozenset({traces})] == 3
    assert values["otlpg_flush_rows_sum", frozenset({traces})] == 60_701
    assert values["otlpg_flush_rows_bucket", frozenset({traces, ("le", "1.0")})] == 1
    assert values["otlpg_flush_rows_bucket", frozenset({traces, ("le", "1000.0")})] == 2
    assert values["otlpg_flush_rows_bucket", frozenset({traces, ("le", "+Inf")})] == 3


def test_a_worker_that_is_gone_keeps_its_counts_and_loses_its_gauges() -> None:
    """Its items are stored for good; what waited in it waits no more."""
    gone = retire(worker(5, 100, [10.0]))

    values = sample_values(render(merge((gone, worker(1, 2, [])))))

    assert values["otlpg_items_total", frozenset({("signal", "traces"), ("end", "stored")})] == 6
    assert values["otlpg_queue_items", frozenset({("signal", "traces")})] == 2
    assert values["otlpg_flush_rows_count", frozenset({("signal", "traces")})] == 1


def test_what_a_dead_worker_had_in_flight_ends_as_refused() -> None:
    """Its senders saw a broken call; without an end the books would never balance again."""
    metrics = Metrics()
    metrics.items.add(100, "traces", "received")
    metrics.items.add(60, "traces", "stored")
    metrics.items.add(15, "traces", "refused")
    metrics.items.add(7, "logs", "received")
    metrics.items.add(7, "logs", "duplicate")

    gone = retire(over_a_pipe(metrics))

    assert {tuple(labels): items for labels, items in gone["otlpg_items_total"]} == {
        ("traces", "received"): 100,
        ("traces", "stored"): 60,
        ("traces", "refused"): 40,
        ("logs", "received"): 7,
        ("logs", "duplicate"): 7,
    }


def test_every_declared_metric_has_its_header_before_the_first_event() -> None:
    """A dashboard can be built against an idle daemon."""
    text = render({}).decode()

    for metric in Metrics().all():
        assert f"# TYPE {metric.name} {metric.kind}" in text
        assert f"# HELP {metric.name} " in text


def test_merging_changes_no_snapshot() -> None:
    """A worker's last report is used again at the next scrape."""
    report = worker(1, 2, [5.0])
    before = json.dumps(report)

    merge((report, report))

    assert json.dumps(report) == before
