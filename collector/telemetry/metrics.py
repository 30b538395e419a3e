"""Every metric of otlpg, declared once; worker processes count, one process serves the sum.

A worker counts into plain dictionaries (one addition on the hot path) and hands a snapshot to its
supervisor over a pipe; ``render`` adds up the snapshots of all workers and writes the Prometheus
text format. Prometheus' own multiprocess mode was rejected: it needs a shared folder of mmap files
that outlive killed workers.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

Labels = tuple[str, ...]
Snapshot = dict[str, list[list[Any]]]
"""Metric name -> list of [label values, value]; JSON-able, so that it can cross a pipe."""

SECONDS_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
ROWS_BUCKETS = (1.0, 10.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0)


class Metric:
    """What counters, gauges and histograms share: a name, a help text and label names."""

    kind: Literal["counter", "gauge", "histogram"]
    values: Any

    def __init__(self, name: str, documentation: str, label_names: Labels = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.label_names = label_names

    def cells(self) -> list[list[Any]]:
        """Return every series as ``[label values, value]``, ready for JSON."""
        return [[list(labels), value] for labels, value in self.values.items()]


class Counter(Metric):
    """A number that only grows; workers' values are added up."""

    kind = "counter"

    def __init__(self, name: str, documentation: str, label_names: Labels = ()) -> None:
        super().__init__(name, documentation, label_names)
        self.values: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Grow the series of ``labels`` (in the order of ``label_names``) by ``amount``."""
        self.values[labels] = self.values.get(labels, 0) + amount


class Gauge(Metric):
    """A number that goes up and down; workers' values are added up."""

    kind = "gauge"

    def __init__(self, name: str, documentation: str, label_names: Labels = ()) -> None:
        super().__init__(name, documentation, label_names)
        self.values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        """Make ``value`` the present value of the series of ``labels``."""
        self.values[labels] = value


class Histogram(Metric):
    """How often a number fell into each bucket; workers' buckets are added up."""

    kind = "histogram"

    def __init__(
        self, name: str, documentation: str, label_names: Labels, bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, documentation, label_names)
        self.bounds = bounds
        self.values: dict[Labels, list[float]] = {}  # one count per bucket, +Inf, then the sum

    def observe(self, value: float, *labels: str) -> None:
        """Count ``value`` into its bucket."""
        cells = self.values.get(labels)
        if cells is None:
            cells = self.values[labels] = [0.0] * (len(self.bounds) + 2)
        cells[bisect_left(self.bounds, value)] += 1
        cells[-1] += value


class Declared:
    """The metrics of one program: those that a subclass holds as attributes, and no others."""

    def all(self) -> list[Metric]:
        """Return every metric in the order of declaration."""
        return [metric for metric in vars(self).values() if isinstance(metric, Metric)]

    def snapshot(self) -> Snapshot:
        """Return the present values of every metric that has any."""
        return {metric.name: cells for metric in self.all() if (cells := metric.cells())}


def counter(name: str, documentation: str, label_names: Labels = ()) -> Counter:
    """Declare a counter as a field of a ``Declared``; each instance gets its own."""
    return field(default_factory=partial(Counter, name, documentation, label_names))


def gauge(name: str, documentation: str, label_names: Labels = ()) -> Gauge:
    """Declare a gauge, as ``counter`` does."""
    return field(default_factory=partial(Gauge, name, documentation, label_names))


def histogram(
    name: str, documentation: str, label_names: Labels, bounds: tuple[float, ...]
) -> Histogram:
    """Declare a histogram, as ``counter`` does."""
    return field(default_factory=partial(Histogram, name, documentation, label_names, bounds))


@dataclass(eq=False, repr=False)
class Metrics(Declared):
    """One process's counters. Built once by ``app`` and handed to every stage."""

    items: Counter = counter(
        "otlpg_items_total",
        "Items of decoded requests by their end; 'received' is the sum of the other five.",
        ("signal", "end"),
    )
    requests: Counter = counter(
        "otlpg_requests_total",
        "Export requests by reply code. CANCELLED: its sender left, or sent a body above "
        "receive.request_bytes_max, which gRPC itself answers with RESOURCE_EXHAUSTED.",
        ("signal", "protocol", "code"),
    )
    refusals: Counter = counter(
        "otlpg_refusals_total",
        "Requests sent back as retryable, by cause.",
        ("signal", "cause"),
    )
    repaired: Counter = counter(
        "otlpg_repaired_total",
        "Dead letters of repairs; items with the same damage above them share one.",
        ("signal", "reason"),
    )
    quarantined: Counter = counter(
        "otlpg_quarantined_total",
        "Dead letters that are not in a table: items, and whole bodies of a wrong signal.",
        ("signal", "reason"),
    )
    ack_seconds: Histogram = histogram(
        "otlpg_ack_seconds",
        "From the whole body read to the reply of a committed request.",
        ("signal",),
        SECONDS_BUCKETS,
    )
    convert_seconds: Histogram = histogram(
        "otlpg_convert_seconds", "Decoding and converting one request.", ("signal",),
        SECONDS_BUCKETS,
    )  # fmt: skip
    loop_lag_seconds: Histogram = histogram(
        "otlpg_loop_lag_seconds",
        "How late a turn of a worker's event loop comes, looked at twenty times a second.",
        (),
        SECONDS_BUCKETS,
    )
    queue_items: Gauge = gauge(
        "otlpg_queue_items", "Items that wait or are in flight.", ("signal",)
    )
    queue_bytes: Gauge = gauge(
        "otlpg_queue_bytes",
        "Bytes that wait or are in flight; what is under conversion counts in the bound too.",
        ("signal",),
    )
    queue_items_max: Gauge = gauge("otlpg_queue_items_max", "Bound of queue_items.", ("signal",))
    queue_bytes_max: Gauge = gauge(
        "otlpg_queue_bytes_max", "Bound of queue_bytes over all signals.", ("signal",)
    )
    flush_rows: Histogram = histogram(
        "otlpg_flush_rows", "Rows written by one transaction.", ("signal",), ROWS_BUCKETS
    )
    flush_seconds: Histogram = histogram(
        "otlpg_flush_seconds", "One transaction, BEGIN to COMMIT.", ("signal",), SECONDS_BUCKETS
    )
    commit_seconds: Histogram = histogram(
        "otlpg_commit_seconds", "COMMIT alone.", ("signal",), SECONDS_BUCKETS
    )
    flush_retries: Counter = counter(
        "otlpg_flush_retries_total", "Failed transactions, by SQLSTATE.", ("signal", "sqlstate")
    )
    dimensions_written: Counter = counter(
        "otlpg_dimensions_written_total", "New rows in dimension tables.", ("table",)
    )
    pool_connections: Gauge = gauge(
        "otlpg_pool_connections", "Connections to PostgreSQL.", ("state",)
    )
    reaped: Counter = counter(
        "otlpg_reaped_backends_total", "Own backends ended because they hung in a transaction."
    )
    leaves_made: Counter = counter("otlpg_leaves_made_total", "Partitions made.", ("table",))
    store_up: Gauge = gauge(
        "otlpg_store_up",
        "Workers that PostgreSQL takes rows from: it answers, tables and privileges are there, "
        "and no signal's last transaction failed by the server's or the role's fault.",
    )
    tail_published: Counter = counter(
        "otlpg_tail_published_total", "Items published to live tails.", ("signal",)
    )
    tail_skipped: Counter = counter(
        "otlpg_tail_skipped_total",
        "Items that somebody listened for and did not see. 'rate', 'size': caps of a worker; 'backlog': "
        "Redis or the API was behind or away; 'fault': a bug of ours, see the log; 'unsure': stored by a "
        "COMMIT whose answer was lost; 'slow': the reader was, once for each.",
        ("signal", "cause"),
    )
    tail_publish_seconds: Histogram = histogram(
        "otlpg_tail_publish_seconds", "Sending one message to live tails.", (), SECONDS_BUCKETS
    )
    tail_link_up: Gauge = gauge(
        "otlpg_tail_link_up",
        "Workers that can publish to live tails: Redis (or, without it, the API) answers. The others "
        "publish nothing, and try again with growing pauses.",
    )
    tail_wanted: Gauge = gauge(
        "otlpg_tail_wanted",
        "Workers that publish a signal, since somebody listens, or may.",
        ("signal",),
    )
    tail_readers: Gauge = gauge("otlpg_tail_readers", "Live tails that are open at the API.")
    api_requests: Counter = counter(
        "otlpg_api_requests_total",
        "Requests to the API by route ('none': there is no such one) and status: HTTP's, or gRPC's where "
        "Jaeger reads over it. 'left': the reader had gone before its answer began.",
        ("route", "status"),
    )
    api_answer_seconds: Histogram = histogram(
        "otlpg_api_answer_seconds",
        "From the head of a request to the first of its answer: waiting for a turn, the question, and "
        "making the answer, but not the time that its reader takes.",
        ("route",),
        SECONDS_BUCKETS,
    )
    api_questions: Gauge = gauge(
        "otlpg_api_questions",
        "Questions to PostgreSQL that are being answered ('asked'), or wait for their turn ('waiting').",
        ("state",),
    )
    api_slow_answers: Counter = counter(
        "otlpg_api_slow_answers_total",
        "Answers that move slowly (api.cache_s): 'kept' is one that was given before, 'new' was asked for.",
        ("source",),
    )
    certificate_expiry: Gauge = gauge(
        "otlpg_certificate_expiry_timestamp_seconds",
        "When the certificate of tls.certificate_file ends, in seconds since 1970.",
    )
    api_keys: Gauge = gauge(
        "otlpg_api_keys", "API keys that are taken now, as the supervisor last read them."
    )
    worker_restarts: Counter = counter(
        "otlpg_worker_restarts_total", "Workers started again after they died."
    )
    api_restarts: Counter = counter(
        "otlpg_api_restarts_total", "Times that the API was started again after it died."
    )
    workers: Gauge = gauge("otlpg_workers", "Workers that run.")


@dataclass(eq=False, repr=False)
class VerifyMetrics(Declared):
    """What ``otlpg verify`` counts; it is a process of its own, with a ``/metrics`` of its own."""

    rounds: Counter = counter(
        "otlpg_verify_rounds_total",
        "Rounds by result: 'good' (all was acknowledged and found as sent), 'refused' (nothing "
        "wrong, but not all was acknowledged or read), 'bad', 'skipped' (too many under way).",
        ("result",),
    )
    items: Counter = counter(
        "otlpg_verify_items_total",
        "Marked items by their end. Alert on 'lost', 'duplicated', 'altered', 'rejected'.",
        ("signal", "end"),
    )
    repeats: Counter = counter(
        "otlpg_verify_repeats_total",
        "Requests sent once more after OK, to see that nothing is stored twice.",
        ("signal",),
    )
    attempts: Counter = counter(
        "otlpg_verify_attempts_total",
        "Export calls by how they were answered: OK, or the code of gRPC or HTTP.",
        ("protocol", "code"),
    )
    ack_seconds: Histogram = histogram(
        "otlpg_verify_ack_seconds",
        "From the first attempt to OK, retries included.",
        ("signal", "protocol"),
        SECONDS_BUCKETS,
    )
    visible_seconds: Histogram = histogram(
        "otlpg_verify_visible_seconds",
        "From the first attempt to the rows read back.",
        ("signal", "protocol"),
        SECONDS_BUCKETS,
    )
    rounds_in_flight: Gauge = gauge("otlpg_verify_rounds_in_flight", "Rounds under way.")
    last_good: Gauge = gauge(
        "otlpg_verify_last_good_timestamp_seconds",
        "When the last good round ended, as a Unix time; 0: there was none yet.",
    )
