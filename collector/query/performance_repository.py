"""How services do: calls, errors and durations over moving windows, out of the spans themselves.

Nothing is kept for it beforehand: an answer is as exact for spans of last month as for those of
this second, and takes as long as the spans of its range take to be counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from collector.errors import BadParameterError
from collector.query import performance_sql
from collector.query.service_sql import SERVER, bucket_ns
from collector.query.time_range import unix_ns
from collector.query.windows import Cell, Windows, quantiles, sums
from collector.rows import SERVICE_NAME_CHARACTERS_MAX

if TYPE_CHECKING:
    from collector.query.view import Views

POINTS_MAX: Final = 60_000
"""Points of one answer: those of all its series together."""
SERVICES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PerformancePoint:
    """What came in a window.

    Attributes:
        unix_nano: where the window ends.
        calls: spans that began in it; exact.
        errors: of these, with status error; exact.
        duration_ns: the smallest duration that the wanted share of them does not exceed, within
            2.2 %; None when none has one, or no share was wanted.
    """

    unix_nano: int
    calls: int
    errors: int
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class PerformanceSeries:
    """A service, or one of its operations.

    Attributes:
        service: its name.
        operation: None for all of them together.
        points: one for each window, by time.
    """

    service: str
    operation: str | None
    points: tuple[PerformancePoint, ...]


class PerformanceRepository:
    """Questions about how services do."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def series(
        self,
        windows: Windows,
        services: Collection[str],
        *,
        kinds: Collection[int] = (SERVER,),
        by_operation: bool = False,
        quantile: float | None = None,
        timeout_s: float | None = None,
    ) -> tuple[PerformanceSeries, ...]:
        """Return what came in each window to the services, or to each of their operations.

        Spans of these kinds count, with a parent or without. A service or an operation without
        any span in all that the windows hold is absent. Of more than ``POINTS_MAX`` points the
        series with the most spans are kept.

        Shape: by service and operation.

        Raises:
            BadParameterError: there are too many services, or the quantile is not in 0 to 1.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        if quantile is not None and not 0 <= quantile <= 1:
            raise BadParameterError("quantile", "must be a number from 0 to 1")
        if len(services) > SERVICES_MAX:
            raise BadParameterError("service", f"must be there at most {SERVICES_MAX} times")
        statement = performance_sql.cells(
            windows,
            {service[:SERVICE_NAME_CHARACTERS_MAX] for service in services},
            set(kinds),
            by_operation=by_operation,
            with_durations=quantile is not None,
            series_max=max(1, POINTS_MAX // windows.count),
        )
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(statement)
        return await asyncio.to_thread(_series, windows, rows, quantile, by_operation)


def _series(
    windows: Windows, rows: Iterable[Any], quantile: float | None, by_operation: bool
) -> tuple[PerformanceSeries, ...]:
    return tuple(
        PerformanceSeries(
            service,
            operation if by_operation else None,
            tuple(_points(windows, [_cell(windows, row) for row in of_it], quantile)),
        )
        for (service, operation), of_it in groupby(rows, key=lambda row: (row[0], row[1]))
    )


def _points(
    windows: Windows, cells: list[Cell], quantile: float | None
) -> Iterable[PerformancePoint]:
    calls = sums(windows, ((cell.step, cell.calls) for cell in cells))
    errors = sums(windows, ((cell.step, cell.errors) for cell in cells))
    buckets: list[int | None] = [None] * windows.count
    if quantile is not None:
        buckets = quantiles(windows, cells, quantile)
    for at, came, failed, bucket in zip(windows.points(), calls, errors, buckets, strict=True):
        duration_ns = None if bucket is None else round(bucket_ns(bucket))
        yield PerformancePoint(unix_ns(at, None), came, failed, duration_ns)


def _cell(windows: Windows, row: Any) -> Cell:
    step = (row["step"] - windows.reach.start) // windows.step_us
    return Cell(step, row["calls"], row["errors"], row["buckets"] or (), row["spans"] or ())
