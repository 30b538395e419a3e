"""Data points of ten thousand series: sums, gauges, histograms; one in 200 opens a new series."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from functools import cache

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from collector.operate.attributes import key_values
from collector.operate.bench.load.emitters import INSTANCES, resource, scope
from collector.operate.bench.load.template import Template, field, mark, mark_integer

METRICS = 25  # per instance
SETS = 10  # attribute sets of each metric
NEW_SERIES = 200  # one point in so many has an attribute set never seen before
STEP_NS = 40_000
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

START, TIME, VALUE, COUNT = range(4)
FRESH = mark(9, 16)
BUCKET = 10  # first of the marks of the buckets

_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_SCOPE = scope("io.opentelemetry.runtime-telemetry").SerializeToString()
_HEADS = [field(1, resource(number).SerializeToString()) for number in range(INSTANCES)]
_MARKS = [mark(number, 8) for number in (START, TIME, VALUE)]
_HISTOGRAM_MARKS = [
    *_MARKS,
    mark(COUNT, 8),
    *(mark(BUCKET + number, 8) for number in range(len(BOUNDS) + 1)),
]


def items(rng: random.Random, now_unix_ns: int) -> Iterator[bytes]:
    """Yield serialised metrics of one data point each, without end.

    A metric comes ``SETS`` times in a row, once per attribute set, as a reader of one instance
    collects them; ``wrap`` puts such a run into one metric.
    """
    start = (now_unix_ns - 3_600 * 10**9).to_bytes(8, "little")
    time = now_unix_ns
    while True:
        for number in range(METRICS):
            for attribute_set in range(SETS):
                time += STEP_NS
                yield _point(rng, number, attribute_set, start, time)


def wrap(number: int, points: Sequence[bytes]) -> bytes:
    """Return one export request of one instance that holds ``points``."""
    runs: list[list[bytes]] = []
    for point in points:
        if runs and runs[-1][0][0] == point[0]:
            runs[-1].append(point)
        else:
            runs.append([point])
    scope_metrics = field(1, _SCOPE) + b"".join(field(2, _metric(run)) for run in runs)
    return field(1, _HEADS[number % INSTANCES] + field(2, scope_metrics))


def _point(rng: random.Random, number: int, attribute_set: int, start: bytes, time: int) -> bytes:
    """Return one data point behind a byte that names its metric."""
    fresh = rng.randrange(NEW_SERIES) == 0
    values = [start, time.to_bytes(8, "little"), struct.pack("<d", rng.random() * 1_000)]
    if _kind(number) == "sum":
        values[VALUE] = rng.randrange(1 << 40).to_bytes(8, "little")
    if _kind(number) == "histogram":
        buckets = [rng.randrange(1_000) for _ in range(len(BOUNDS) + 1)]
        values += [bucket.to_bytes(8, "little") for bucket in (sum(buckets), *buckets)]
    if fresh:
        values.append(rng.randbytes(8).hex().encode())
    return bytes((number,)) + _template(number, attribute_set, fresh).fill(*values)


def _kind(number: int) -> str:
    return ("sum", "gauge", "sum", "gauge", "histogram")[number % 5]


@cache
def _template(number: int, attribute_set: int, fresh: bool) -> Template:
    values: dict[str, str | int | float | bool] = {
        "http.route": f"/api/v2/resource-{attribute_set}/{{id}}",
        "http.request.method": ("GET", "POST")[attribute_set % 2],
        "jvm.memory.pool.name": f"pool-{number}",
    }
    if fresh:
        values["container.id"] = FRESH.decode()
    marks = _HISTOGRAM_MARKS if _kind(number) == "histogram" else _MARKS
    return Template(_message(number, values), [*marks, FRESH] if fresh else marks)


def _message(
    number: int, values: dict[str, str | int | float | bool]
) -> NumberDataPoint | HistogramDataPoint:
    start, time = mark_integer(START), mark_integer(TIME)
    double = struct.unpack("<d", _MARKS[VALUE])[0]
    match _kind(number):
        case "sum":
            return NumberDataPoint(
                attributes=key_values(values),
                start_time_unix_nano=start,
                time_unix_nano=time,
                as_int=mark_integer(VALUE),
            )
        case "gauge":
            return NumberDataPoint(
                attributes=key_values(values),
                start_time_unix_nano=start,
                time_unix_nano=time,
                as_double=double,
            )
        case _:
            return HistogramDataPoint(
                attributes=key_values(values),
                start_time_unix_nano=start,
                time_unix_nano=time,
                sum=double,
                count=mark_integer(COUNT),
                bucket_counts=[mark_integer(BUCKET + place) for place in range(len(BOUNDS) + 1)],
                explicit_bounds=BOUNDS,
            )


def _metric(run: Sequence[bytes]) -> bytes:
    """Return one serialised metric with the points of ``run`` in it.

    Spec: metrics/v1/metrics.proto; the oneof's message begins with its repeated data points, and
    an embedded message is the concatenation of its fields.
    """
    head, number, tail = _shell(run[0][0])
    return head + field(number, b"".join(field(1, point[1:]) for point in run) + tail)


@cache
def _shell(number: int) -> tuple[bytes, int, bytes]:
    """Return a metric's own fields, the number of its oneof field, and what follows its points."""
    kind = _kind(number)
    head = Metric(name=f"shop.{kind}.{number:02d}", description=f"A {kind} of the shop.", unit="1")
    match kind:
        case "sum":
            tail = Sum(aggregation_temporality=_CUMULATIVE, is_monotonic=True)
            return head.SerializeToString(), Metric.SUM_FIELD_NUMBER, tail.SerializeToString()
        case "gauge":
            tail = Gauge()
            return head.SerializeToString(), Metric.GAUGE_FIELD_NUMBER, tail.SerializeToString()
        case _:
            tail = Histogram(aggregation_temporality=_CUMULATIVE)
            number = Metric.HISTOGRAM_FIELD_NUMBER
            return head.SerializeToString(), number, tail.SerializeToString()
