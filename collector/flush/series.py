"""Sends requests back whose series are too many, out of a group whose others are stored."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from collector.convert.example import printable
from collector.errors import SeriesLimitError
from collector.telemetry.logging import Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.buffer.entry import Entry
    from collector.buffer.queue import BoundedQueue
    from collector.errors import TooManySeriesError
    from collector.rows import ConvertedRequest
    from collector.telemetry.clock import Clock


class SeriesRefusals:
    """Refuses what ``store.series_limit`` lets wait, and names the metric behind it in the log."""

    def __init__(self, queue: BoundedQueue, clock: Clock) -> None:
        self._queue = queue
        self._trouble = Trouble("otlpg.flush", clock)

    def refuse(self, entries: Sequence[Entry], error: TooManySeriesError) -> list[Entry]:
        """Tell the senders of the entries that ``error`` names; return the others, in order.

        Each gets an error of its own: the traceback of a shared one would keep the whole group in
        memory until the last reply is sent.
        """
        others: list[Entry] = []
        for number, entry in enumerate(entries):
            if number not in error.requests:
                others.append(entry)
                continue
            self._queue.fail(entry, SeriesLimitError(error.per_minute_max))
            self._trouble.warn(
                "new series refused",
                "series_limit",
                per_minute_max=error.per_minute_max,
                series=len(entry.request.dimensions.series),
                example=partial(_largest_metric, entry.request),
            )
        return others


def _largest_metric(request: ConvertedRequest) -> str:
    """Return the name of the metric with the most series in ``request``, fit for the log."""
    series = Counter(row.metric_id for row in request.dimensions.series.values())
    ((metric_id, _),) = series.most_common(1)
    return printable(request.dimensions.metrics[metric_id].name)
