"""Section 5 of the catalogue: metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    Sum,
    Summary,
    SummaryDataPoint,
)

from collector.rows import Reason, Signal
from tests.catalogue.building import NOW, gauge, metrics, on_the_wire, point
from tests.catalogue.case import MANY, Case, Transport
from tests.catalogue.entry import accepted, quarantined_wire
from tests.factories import AttributeValue

ODD_DOUBLES = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308)
BIGGEST = 2**64 - 1


def _histogram(counts: list[int], bounds: list[float], **fields: Any) -> HistogramDataPoint:
    return HistogramDataPoint(
        time_unix_nano=NOW,
        count=sum(counts) & BIGGEST,
        bucket_counts=counts,
        explicit_bounds=bounds,
        **fields,
    )


HISTOGRAMS = [
    _histogram([1, 2], [1.0, 2.0, 3.0]),
    _histogram([1, 2, 3, 4], [1.0]),
    _histogram([], []),
    _histogram([5], []),
    _histogram([], [1.0]),
    _histogram([1, 2, 3], [2.0, 1.0]),
    _histogram([1, 2, 3], [1.0, 1.0]),
    _histogram([1, 2, 3], [math.nan, math.inf]),
    _histogram([BIGGEST, 0], [1.0], sum=math.nan, min=math.inf, max=-math.inf),
    HistogramDataPoint(time_unix_nano=NOW, count=BIGGEST, sum=-1.0, min=5.0, max=-5.0),
]
Buckets = ExponentialHistogramDataPoint.Buckets
EXPONENTIAL = [
    ExponentialHistogramDataPoint(time_unix_nano=NOW),
    ExponentialHistogramDataPoint(
        time_unix_nano=NOW, scale=-(2**31), positive=Buckets(), zero_count=BIGGEST
    ),
    ExponentialHistogramDataPoint(
        time_unix_nano=NOW,
        scale=2**31 - 1,
        zero_threshold=math.nan,
        positive=Buckets(offset=2**31 - 1, bucket_counts=[BIGGEST]),
        negative=Buckets(offset=-(2**31), bucket_counts=[0, 0]),
    ),
]


def _summary(*quantiles: float) -> SummaryDataPoint:
    return SummaryDataPoint(
        time_unix_nano=NOW,
        count=3,
        sum=-0.0,
        quantile_values=[SummaryDataPoint.ValueAtQuantile(quantile=q, value=q) for q in quantiles],
    )


def _sum(*values: int, temporality: Any = 2, monotonic: bool = True, **fields: Any) -> Metric:
    points = [point(as_int=value, time_unix_nano=NOW + turn) for turn, value in enumerate(values)]
    data = Sum(aggregation_temporality=temporality, is_monotonic=monotonic, data_points=points)
    return Metric(name="s", sum=data, **fields)


def _series() -> Iterator[Case]:
    key: dict[str, AttributeValue] = {"k": "v"}
    yield accepted(
        82,
        "one series twice, the later point first",
        metrics(
            gauge(
                point(key, as_int=2),
                point(key, as_int=1, time_unix_nano=NOW - 5),
                point(key, as_int=2),
            )
        ),
    )
    yield accepted(
        83,
        "names of all lengths",
        metrics(*(gauge(name=name) for name in ("", "x" * 300, "📈", "a/b c"))),
    )
    same = [
        gauge(name="s"),
        _sum(1),
        _sum(1, monotonic=False),
        _sum(1, temporality=1),
        _sum(1, unit="s"),
    ]
    same.append(Metric(name="s", histogram=Histogram(data_points=HISTOGRAMS[:1])))
    yield accepted(83, "one name of several types and units", metrics(*same))
    yield accepted(
        84,
        "10 000 series in a request",
        metrics(gauge(*(point({"user": f"u{number}"}, as_int=number) for number in range(10_000)))),
        alone=MANY,
        transports=(Transport.GRPC,),
    )


CASES = [
    accepted(75, "odd values", metrics(gauge(*(point(as_double=value) for value in ODD_DOUBLES)))),
    accepted(
        76,
        "extreme integers",
        metrics(gauge(*(point(as_int=value) for value in (2**63 - 1, -(2**63), 0)))),
    ),
    accepted(
        76,
        "no value, flagged or not",
        metrics(gauge(point(), point(flags=1), point(flags=2**32 - 1))),
    ),
    accepted(
        77, "odd histograms", metrics(Metric(name="h", histogram=Histogram(data_points=HISTOGRAMS)))
    ),
    accepted(
        77,
        "odd exponential histograms",
        metrics(
            Metric(name="e", exponential_histogram=ExponentialHistogram(data_points=EXPONENTIAL))
        ),
    ),
    accepted(
        80,
        "odd quantiles",
        metrics(
            Metric(
                name="q",
                summary=Summary(
                    data_points=[_summary(1.5, -1, math.nan, 0.5, 0.5, -0.0), _summary()]
                ),
            )
        ),
    ),
    accepted(81, "a count that falls", metrics(_sum(9, 3, -4))),
    accepted(81, "overlapping deltas", metrics(_sum(1, 2, 3, temporality=1))),
    accepted(
        81,
        "no temporality, or an unknown one",
        metrics(_sum(1, temporality=0), _sum(1, temporality=9)),
    ),
    *_series(),
    quarantined_wire(
        86,
        "a metric whose points cannot be told apart",
        Signal.METRICS,
        on_the_wire(b"\x0a\x01m\x2a\x05\x0a\x7f\x00\x00\x00"),
        Reason.UNDECODABLE,
    ),
]
