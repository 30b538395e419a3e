"""Committed requests for the tests of the tail."""

from __future__ import annotations

from typing import Any

from collector.rows import ConvertedRequest, Signal
from tests.converted import (
    dimensions,
    log_row,
    metric_row,
    point_row,
    request,
    resource_row,
    scope_row,
    series_row,
    span_row,
)

TIME = 820_540_800_000_000
"""Committed requests for the tests of the tail."""


def logs(*bodies: str, **fields: Any) -> ConvertedRequest:
    """Committed requests for the tests of the tail."""
    return request(rows=[log_row(time=TIME, body=body, **fields) for body in bodies])


def numbered(first: int, count: int) -> ConvertedRequest:
    """Committed requests for the tests of the tail."""
    return logs(*map(str, range(first, first + count)))


def spans(*traces: str, status: int = 0) -> ConvertedRequest:
    """Committed requests for the tests of the tail."""
    rows = [span_row(n, time=TIME, trace=trace, status=status) for n, trace in enumerate(traces)]
    return request(signal=Signal.TRACES, rows=rows)


def points(count: int) -> ConvertedRequest:
    """Committed requests for the tests of the tail."""
    resource, scope, metric = resource_row(), scope_row(), metric_row()
    series = series_row(metric, resource, scope)
    return request(
        signal=Signal.METRICS,
        rows=[point_row(series, time=TIME, value=n) for n in range(count)],
        dims=dimensions([resource], [scope], [metric], [series]),
    )
