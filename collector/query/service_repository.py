"""Services: which there are, what they do, and how well.

Services come from ``resources``, which are few, and not from facts. Operations come from the newest
spans of a service: the index gives them in their order, so the question takes as long for months of
spans as for an hour. Measured on a busy machine with 2 million spans of 20 services over 7 days:
2 000 spans take 10 ms, 5 000 take 14, 20 000 take 30; a slow-moving answer, which the API caches.

A table of operations, kept up to date by the flush, would also know what is missing among the newest
spans. It would cost every span stored 0.1 us of Python, 1 % of all that it costs, and senders that
put ids into span names would fill it up to its bound, after which it is no better.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from collector.query import service_sql
from collector.query.steps import steps_of
from collector.query.time_range import unix_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.query.time_range import TimeRange
    from collector.query.view import Views

OPERATION_SPANS_MAX: Final = 2_000
"""Newest spans of a service among which its operations are looked for."""

POINTS_MAX: Final = 20_000
"""Points of one answer: steps of all its series together."""


@dataclass(frozen=True, slots=True)
class Service:
    """Something that sends telemetry, by its ``service.name``.

    Attributes:
        name: at most 255 characters.
        first_seen: UTC day on which its first resource that still counts came.
        last_seen: UTC day on which one was last used; may be behind by a day.
        resources: how many it has: instances, versions, hosts.
    """

    name: str
    first_seen: date
    last_seen: date
    resources: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A span name of a service, with its kind.

    Attributes:
        name: of the spans.
        kind: OTLP's number.
        spans: how many of those that were looked at.
    """

    name: str
    kind: int
    spans: int


@dataclass(frozen=True, slots=True)
class RedPoint:
    """What came in during one step. Durations are None when no span had one.

    Attributes:
        start_unix_nano: of the step.
        requests: spans that began in it; exact.
        errors: of these, with status error; exact.
        p50_ns: the smallest duration that half of them do not exceed, within 2.2 %.
        p95_ns: the same for 95 %.
        p99_ns: the same for 99 %.
        max_ns: the longest; exact.
    """

    start_unix_nano: int
    requests: int
    errors: int
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    max_ns: int | None


@dataclass(frozen=True, slots=True)
class RedSeries:
    """Rate, errors and duration of a service, or of one of its operations.

    Attributes:
        service: its name.
        operation: None for all of them together.
        points: by time; a step in which nothing came is absent.
    """

    service: str
    operation: str | None
    points: tuple[RedPoint, ...]


class ServiceRepository:
    """Questions about services. Those without a name are none."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def services(
        self, when: TimeRange, *, timeout_s: float | None = None
    ) -> tuple[Service, ...]:
        """Return the services that may have sent something in a range, by name.

        None is missing that did. One is there too that was heard of later than the range, or, on
        its first day, earlier: resources know days.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(service_sql.services(when))
        return tuple(Service(*row) for row in rows)

    async def operations(
        self,
        service: str,
        when: TimeRange,
        *,
        spans_max: int = OPERATION_SPANS_MAX,
        timeout_s: float | None = None,
    ) -> tuple[Operation, ...]:
        """Return the operations of a service, by name and kind; none for one that is not known.

        They are those of its newest ``spans_max`` spans in the range: all there are when
        their ``spans`` add up to less.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(service_sql.operations(service, when, spans_max))
        return tuple(Operation(row["name"], row["kind"], row["spans"]) for row in rows)

    async def red(
        self,
        when: TimeRange,
        step_us: int | None,
        service: str | None = None,
        *,
        by_operation: bool = False,
        timeout_s: float | None = None,
    ) -> tuple[RedSeries, ...]:
        """Return rate, errors and duration of what services were asked to do, in steps.

        Spans of the kinds server and consumer count, and spans without a parent. Steps are
        multiples of ``step_us`` since 1970 UTC; the first and the last may be cut by the range.
        None makes one step of the range, which begins where the range does.
        Of more than ``POINTS_MAX`` points the series with the most requests are kept.

        Shape: by service and operation.

        Raises:
            BadParameterError: as ``steps_of``.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        steps = 1 if step_us is None else steps_of(when, step_us) or 1
        statement = service_sql.red(
            when, step_us, service, by_operation=by_operation, series_max=max(1, POINTS_MAX // steps)
        )  # fmt: skip
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(statement)
        return tuple(_series(rows, by_operation=by_operation))


def _series(rows: Iterable[Any], *, by_operation: bool) -> Iterable[RedSeries]:
    points: dict[tuple[str, str], list[RedPoint]] = {}
    for row in rows:
        points.setdefault((row["service_name"], row["operation"]), []).append(_point(row))
    for (service, operation), found in points.items():
        yield RedSeries(service, operation if by_operation else None, tuple(found))


def _point(row: Any) -> RedPoint:
    longest: int | None = row["longest"]

    def quantile(bucket: int | None) -> int | None:
        if bucket is None or longest is None:
            return None
        return min(round(service_sql.bucket_ns(bucket)), longest)

    return RedPoint(
        unix_ns(row["step"], None),
        row["requests"],
        row["errors"],
        quantile(row["p50"]),
        quantile(row["p95"]),
        quantile(row["p99"]),
        longest,
    )
