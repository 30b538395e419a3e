"""Data points of the last day: of each service a histogram, and sums and gauges in turns.

All are of the service's first instance and come every ``interval_s``, each service at its own second
of it. Sums and histograms are cumulative, and begin anew with each day. Values follow from who,
which and when by arithmetic that ``grown`` and ``increments`` tell, so that answers can be checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

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
from collector.operate.bench.load.template import Template, field, mark, mark_integer
from collector.operate.bench.query.data.shape import SERVICES, Shape, resource, scope_field

HISTOGRAM: Final = "http.server.request.duration"
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SETS: Final = 3
"""Attribute sets of each sum and gauge; the last metric may have fewer."""
POOL_KEY: Final = "jvm.memory.pool.name"
SUM_PREFIX: Final = "platform.requests."
POINTS_PER_REQUEST: Final = 20_000

_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_SCOPE = scope_field("io.opentelemetry.runtime-telemetry")
START, TIME, VALUE, COUNT, BUCKET = range(5)
_MARKS = [mark(number, 8) for number in (START, TIME, VALUE)]
_HISTOGRAM_MARKS = [
    *_MARKS,
    mark(COUNT, 8),
    *(mark(BUCKET + number, 8) for number in range(len(BOUNDS) + 1)),
]


def is_sum(number: int) -> bool:
    """Tell whether a series of a service is of a sum; else it is of a gauge."""
    return number // SETS % 2 == 0


def metric_name(number: int) -> str:
    """Return the name of the metric that a service's series of a number is of."""
    prefix = SUM_PREFIX if is_sum(number) else "platform.usage."
    return f"{prefix}{number // SETS:02d}"


def pool(number: int) -> str:
    """Return the value of ``POOL_KEY`` that tells the series of a metric apart."""
    return f"pool-{number % SETS}"


def grown(service: int, number: int, place: int) -> int:
    """Return how much a sum has grown at its point number ``place`` of a day."""
    return 7 + (service * 31 + number * 17 + place * 13) % 97


def level(service: int, number: int, place: int) -> float:
    """Return the value of a gauge's point."""
    return (service * 7 + number * 3 + place) % 200 / 2 + 0.25


def increments(service: int, place: int) -> list[int]:
    """Return how much each bucket of a histogram has grown at a point."""
    busy = 1 + (service * 5 + place * 3) % 4
    usual = (2, 5, 11, 17, 13, 7, 4, 2, 1, 0, 0)
    slow = 3 if (service + place) % 11 == 0 else 0
    return [busy * count + (slow if bucket == 7 else 0) for bucket, count in enumerate(usual)]


class PointDay:
    """Builds the points of one day."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._heads = [resource(service) for service in range(len(SERVICES))]
        self._templates = [_number(number) for number in range(shape.numbers_per_service)]
        self._histogram = _histogram()
        self._start = shape.begin_unix_ns.to_bytes(8, "little")

    def requests(self) -> Iterator[bytes]:
        """Yield export requests of some intervals each, in the order of time."""
        per_interval = len(SERVICES) * (1 + self._shape.numbers_per_service)
        intervals = max(1, POINTS_PER_REQUEST // per_interval)
        states = [
            _State(service, self._shape.numbers_per_service) for service in range(len(SERVICES))
        ]
        for first in range(0, self._shape.points_per_day, intervals):
            places = range(first, min(first + intervals, self._shape.points_per_day))
            yield b"".join(self._of_service(state, places) for state in states)

    def _of_service(self, state: _State, places: Iterable[int]) -> bytes:
        """Return the ``ResourceMetrics`` of a service with its points of these places."""
        histograms: list[bytes] = []
        numbers: dict[str, list[bytes]] = {}
        for place in places:
            since = place * self._shape.interval_s + 1 + state.service
            time = (self._shape.begin_unix_ns + since * 10**9).to_bytes(8, "little")
            histograms.append(self._histogram.fill(self._start, time, *state.buckets_at(place)))
            for number, template in enumerate(self._templates):
                point = template.fill(self._start, time, state.number_at(number, place))
                numbers.setdefault(metric_name(number), []).append(point)
        metrics = [_metric(HISTOGRAM, Metric.HISTOGRAM_FIELD_NUMBER, histograms, _HISTOGRAM_TAIL)]
        for name, points in numbers.items():
            kind, tail = _SUM if name.startswith(SUM_PREFIX) else _GAUGE
            metrics.append(_metric(name, kind, points, tail))
        return field(1, self._heads[state.service] + field(2, _SCOPE + b"".join(metrics)))


class _State:
    """How far the cumulative series of a service have come."""

    def __init__(self, service: int, numbers: int) -> None:
        self.service = service
        self._sums = [0] * numbers
        self._buckets = [0] * (len(BOUNDS) + 1)

    def buckets_at(self, place: int) -> list[bytes]:
        """Return sum, count and buckets of the histogram's point; to be asked place by place."""
        for bucket, more in enumerate(increments(self.service, place)):
            self._buckets[bucket] += more
        count = sum(self._buckets)
        counts = [number.to_bytes(8, "little") for number in (count, *self._buckets)]
        return [struct.pack("<d", count * 0.125), *counts]

    def number_at(self, number: int, place: int) -> bytes:
        """Return the value of a sum or gauge at its point; to be asked place by place."""
        if not is_sum(number):
            return struct.pack("<d", level(self.service, number, place))
        self._sums[number] += grown(self.service, number, place)
        return self._sums[number].to_bytes(8, "little")


_HISTOGRAM_TAIL = Histogram(aggregation_temporality=_CUMULATIVE).SerializeToString()
_SUM = (
    Metric.SUM_FIELD_NUMBER,
    Sum(aggregation_temporality=_CUMULATIVE, is_monotonic=True).SerializeToString(),
)
_GAUGE = (Metric.GAUGE_FIELD_NUMBER, Gauge().SerializeToString())


def _metric(name: str, number: int, points: list[bytes], tail: bytes) -> bytes:
    """Return the field of a metric with its points; as ``load.metrics`` has it."""
    head = Metric(name=name, unit="s" if name == HISTOGRAM else "1").SerializeToString()
    return field(2, head + field(number, b"".join(field(1, point) for point in points) + tail))


def _number(number: int) -> Template:
    attributes = key_values({POOL_KEY: pool(number), "area": "heap"})
    point = NumberDataPoint(
        attributes=attributes,
        start_time_unix_nano=mark_integer(START),
        time_unix_nano=mark_integer(TIME),
    )
    if is_sum(number):
        point.as_int = mark_integer(VALUE)
    else:
        point.as_double = struct.unpack("<d", _MARKS[VALUE])[0]
    return Template(point, _MARKS)


def _histogram() -> Template:
    point = HistogramDataPoint(
        attributes=key_values({"http.request.method": "GET", "url.scheme": "https"}),
        start_time_unix_nano=mark_integer(START),
        time_unix_nano=mark_integer(TIME),
        sum=struct.unpack("<d", _MARKS[VALUE])[0],
        count=mark_integer(COUNT),
        bucket_counts=[mark_integer(BUCKET + place) for place in range(len(BOUNDS) + 1)],
        explicit_bounds=BOUNDS,
    )
    return Template(point, _HISTOGRAM_MARKS)
