"""Rows of any signal back to an export request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from collector.restore.equality import ExportRequest
from collector.restore.logs import restore_logs
from collector.restore.metrics import restore_metrics
from collector.restore.traces import restore_traces
from collector.rows import Dimensions, Signal

_RESTORE: Final[dict[Signal, Callable[[Iterable[tuple[Any, ...]], Dimensions], ExportRequest]]] = {
    Signal.TRACES: restore_traces,
    Signal.METRICS: restore_metrics,
    Signal.LOGS: restore_logs,
}


def restore(
    signal: Signal, rows: Iterable[tuple[Any, ...]], dimensions: Dimensions
) -> ExportRequest:
    """Return the request that ``convert`` would turn into these rows of a signal again.

    Raises:
        KeyError: a row refers to a dimension that ``dimensions`` does not hold.
        ValueError: a row was not written by ``convert``.
    """
    return _RESTORE[signal](rows, dimensions)
