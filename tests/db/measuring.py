"""Series and points for tests of metrics: random ones, with everything that may happen to them."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import orjson

from collector.rows import MetricRow, PointRow, ResourceRow, ScopeRow, SeriesRow, Signal
from collector.store import dimensions as store_dimensions
from collector.store.pool import Connection
from tests.converted import digest_of, dimensions, id_of, resource_row, scope_row
from tests.db.querying import write
from tests.leaves import DAY_US, make_leaves

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
START = int((datetime.now(UTC) - datetime(2000, 1, 1, tzinfo=UTC)).days) * DAY_US - DAY_US
"""Midnight before yesterday's: its day and those around have leaves."""

LIBRARY = scope_row()


class Measured(NamedTuple):
    """A series and its points."""

    metric: MetricRow
    series: SeriesRow
    points: list[PointRow]


def metric(
    name: str,
    type_: str,
    *,
    temporality: int | None = None,
    is_monotonic: bool | None = None,
    unit: str | None = "1",
) -> MetricRow:
    """Return a metric whose id follows from everything in it."""
    key = f"metric {name} {type_} {temporality} {is_monotonic} {unit}"
    return MetricRow(
        id_of(key), name, None, unit, type_, temporality, is_monotonic, "{}", None, digest_of(key)
    )


def series_of(
    metric_: MetricRow, attributes: dict[str, Any] | None = None, service: str = "shop"
) -> SeriesRow:
    """Return a series of a service."""
    resource = resource_row(service)
    text = orjson.dumps(attributes or {}).decode()
    key = f"series {metric_.metric_id} {service} {text}"
    return SeriesRow(
        id_of(key),
        metric_.metric_id,
        resource.resource_id,
        LIBRARY.scope_id,
        service,
        text,
        None,
        digest_of(key),
    )


EMPTY_POINT = PointRow._make([0, 0, 0, *[None] * 4, 0, *[None] * 16])


def point(series: SeriesRow, time: int, **columns: Any) -> PointRow:
    """Return a point; what is not given is NULL."""
    return EMPTY_POINT._replace(series_id=series.series_id, time=time, **columns)


async def store(connection: Connection, *measured: Measured) -> None:
    """Commit series and points, and make leaves for the four days from the one before ``START``."""
    await make_leaves(connection, [START + day * DAY_US for day in (-1, 0, 1, 2)])
    services = {each.series.service_name: None for each in measured}
    resources: list[ResourceRow] = [resource_row(name) for name in services if name is not None]
    scopes: list[ScopeRow] = [LIBRARY]
    known = dimensions(
        resources, scopes, [m.metric for m in measured], [m.series for m in measured]
    )
    async with connection.transaction():
        await store_dimensions.write(connection, known, datetime.now(UTC).date(), timeout_s=10)
    await write(connection, Signal.METRICS, *(point for each in measured for point in each.points))


# -- random series -------------------------------------------------------------------------------


def times(rng: Random) -> list[tuple[int, int | None]]:
    """Return times, from before ``START`` on, with gaps; and since when each counts.

    It begins anew now and then, says so or not, and may begin at the time of its first point.
    """
    time = START - rng.randrange(90 * MINUTE_US)
    began: int | None = rng.choice([None, time - MINUTE_US, time, time - DAY_US])
    found: list[tuple[int, int | None]] = []
    for _ in range(60):
        step = rng.choice([20 * SECOND_US, MINUTE_US, 3 * MINUTE_US, 40 * MINUTE_US])
        before, time = time, time + step + rng.randrange(SECOND_US)
        if rng.random() < 0.15:
            began = rng.choice([None, before, before + step // 2, time])
        found.append((time, began))
    return found


def number_series(rng: Random, metric_: MetricRow, name: str) -> Measured:
    """Return a gauge or sum; some points are flagged, some are doubles, some fall."""
    series = series_of(metric_, {"name": name, "kind": rng.choice("ab")})
    value = rng.randrange(1_000)
    points: list[PointRow] = []
    for time, began in times(rng):
        value = rng.randrange(50) if rng.random() < 0.1 else value + rng.randrange(-5, 100)
        number = {"value_int": value} if rng.random() < 0.7 else {"value": value + 0.5}
        flags = int(rng.random() < 0.05)
        points.append(point(series, time, start_time=began, flags=flags, **number))
    return Measured(metric_, series, points)


def histogram_series(
    rng: Random, metric_: MetricRow, name: str, bounds: list[float] | None, scale: int = 0
) -> Measured:
    """Return a histogram of explicit bounds, or without them an exponential one."""
    series = series_of(metric_, {"name": name, "kind": rng.choice("ab")})
    is_delta = metric_.temporality == 1
    counts = [0] * (6 if bounds is None else len(bounds) + 1)
    points: list[PointRow] = []
    for time, began in times(rng):
        if is_delta or rng.random() < 0.1:
            counts = [0] * len(counts)
        counts = [count + rng.randrange(4) for count in counts]
        buckets: dict[str, Any] = {"bucket_counts": counts, "explicit_bounds": bounds}
        if bounds is None:
            offset = rng.choice([-3, -2]) if is_delta else -3
            buckets = {
                "scale": scale, "zero_count": counts[0], "zero_threshold": 0.0,
                "positive_offset": offset, "positive_bucket_counts": counts[1:5],
                "negative_offset": 1, "negative_bucket_counts": counts[5:],
            }  # fmt: skip
        points.append(
            point(
                series, time, start_time=began, flags=int(rng.random() < 0.05),
                count=sum(counts), sum=sum(counts) * 1.5, min=0.01, max=9.0, **buckets,
            )
        )  # fmt: skip
    return Measured(metric_, series, points)
