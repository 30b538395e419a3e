"""Section 4 of the catalogue: times that are missing, absurd or in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.catalogue.building import (
    HOUR_NS,
    NOW,
    gauge,
    logs,
    metrics,
    point,
    record,
    span,
    traces,
)
from tests.catalogue.case import Case
from tests.catalogue.entry import accepted

DAY_NS = 24 * HOUR_NS
MOMENTS: dict[tuple[int, str], tuple[int, ...]] = {
    (63, "no time"): (0,),
    (65, "in the future"): (
        NOW + HOUR_NS, NOW + DAY_NS, NOW + 2 * DAY_NS, NOW + 3_650 * DAY_NS, 2**63 - 1, 2**63, 2**64 - 1,
    ),
    (69, "to the nanosecond"): (NOW // 1_000 * 1_000 + 123, NOW // 1_000 * 1_000 + 999, 1_000, 1, 999),
    (70, "older than the retention"): (NOW - 29 * DAY_NS, NOW - 31 * DAY_NS, NOW - 90 * DAY_NS),
    (71, "an hour off"): (NOW - HOUR_NS, NOW + HOUR_NS, NOW, NOW - HOUR_NS + 1),
}  # fmt: skip
"""By number and subject of the catalogue; never two hours ago, where the neighbours are."""


def _moments() -> Iterator[Case]:
    for (number, name), times in MOMENTS.items():
        spans = [
            span(start_time_unix_nano=time, end_time_unix_nano=min(time + 1_500, 2**64 - 1))
            for time in times
        ]
        yield accepted(number, name, traces(*spans))
        records = [record(time_unix_nano=time, observed_time_unix_nano=time) for time in times]
        yield accepted(number, name, logs(*records))
        points = [point(time_unix_nano=time, start_time_unix_nano=time, as_int=1) for time in times]
        yield accepted(number, name, metrics(gauge(*points)))


CASES = [
    *_moments(),
    accepted(63, "a span of nothing", traces(span(start_time_unix_nano=0, end_time_unix_nano=0))),
    accepted(63, "only observed", logs(record(time_unix_nano=0, observed_time_unix_nano=NOW - 7))),
    accepted(
        63,
        "observed long ago",
        logs(record(time_unix_nano=0, observed_time_unix_nano=NOW - 90 * DAY_NS)),
    ),
    accepted(
        67,
        "end before start, at it, absent",
        traces(*(span(end_time_unix_nano=end) for end in (NOW - 1, NOW - DAY_NS, 1, NOW, 0))),
    ),
    accepted(
        67, "longest span", traces(span(start_time_unix_nano=NOW, end_time_unix_nano=2**64 - 1))
    ),
    accepted(67, "end without start", traces(span(start_time_unix_nano=0, end_time_unix_nano=NOW))),
    accepted(
        68,
        "events outside of their span",
        traces(
            span(
                events=[
                    Span.Event(name="e", time_unix_nano=time)
                    for time in (0, 1, NOW - DAY_NS, NOW + DAY_NS, 2**64 - 1)
                ]
            )
        ),
    ),
    accepted(
        73,
        "points that start after they end",
        metrics(
            gauge(
                *(
                    point(start_time_unix_nano=start, as_int=1)
                    for start in (NOW + 1, NOW, 0, NOW + 400 * DAY_NS, 2**64 - 1)
                )
            )
        ),
    ),
]
