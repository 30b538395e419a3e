"""Committed requests for the tests of the tail, and a link that a test holds in its hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from collector.errors import LinkError
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
"""2026-01-01 00:00 UTC in the rows' form."""


def logs(*bodies: str, **fields: Any) -> ConvertedRequest:
    """Return a request of one record for each body."""
    return request(rows=[log_row(time=TIME, body=body, **fields) for body in bodies])


def numbered(first: int, count: int) -> ConvertedRequest:
    """Return a request of records whose bodies are numbers from ``first`` on."""
    return logs(*map(str, range(first, first + count)))


def spans(*traces: str, status: int = 0) -> ConvertedRequest:
    """Return a request of one span for each name of a trace."""
    rows = [span_row(n, time=TIME, trace=trace, status=status) for n, trace in enumerate(traces)]
    return request(signal=Signal.TRACES, rows=rows)


def points(count: int) -> ConvertedRequest:
    """Return a request of so many points of one series."""
    resource, scope, metric = resource_row(), scope_row(), metric_row()
    series = series_row(metric, resource, scope)
    return request(
        signal=Signal.METRICS,
        rows=[point_row(series, time=TIME, value=n) for n in range(count)],
        dims=dimensions([resource], [scope], [metric], [series]),
    )


class HandLink:
    """A publisher's link: the test says who listens and when it fails, and sees what was sent."""

    def __init__(self, *listened: Signal) -> None:
        self.retry_s_max = 5.0
        self.patience_s = 0.0
        self.listened = set(listened)
        self.sent: list[tuple[Signal, bytes]] = []
        self.failure: Exception | None = None
        self.connections = 0
        self.greet: Callable[[Sequence[Signal]], None] | None = None
        self.watched = asyncio.Event()
        self._broken = asyncio.Event()

    def wanted(self, signal: Signal) -> bool:
        """Whether the test said so."""
        return signal in self.listened

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Connect, unless there is a failure."""
        self.connections += 1
        self._check()
        yield

    async def watch(self, greet: Callable[[Sequence[Signal]], None]) -> None:
        """Wait for ``fail``."""
        self.greet = greet
        self.watched.set()
        self._broken.clear()
        await self._broken.wait()
        self._check()

    async def send(self, signal: Signal, body: bytes) -> None:
        """Keep the message."""
        self._check()
        self.sent.append((signal, body))

    def fail(self, error: Exception | None = None) -> None:
        """Break at the next use, and while waiting."""
        self.failure = error or LinkError("broken by the test")
        self._broken.set()

    def mend(self) -> None:
        """Be there again."""
        self.failure = None

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
