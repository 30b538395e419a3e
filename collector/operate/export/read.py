"""Rows of a slice as OTLP requests that a receiver takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.restore.requests import restore
from collector.rows import Dimensions, Signal
from collector.store.read import snapshot
from collector.store.referred import with_empty

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.restore.equality import ExportRequest
    from collector.store.pool import Connection

CHUNK_ROWS: Final = 500
"""Rows in memory at once; of large ones as many as have ``store.read.CHUNK_BYTES``."""
REQUEST_BYTES_MAX: Final = 3 * 2**20
"""Of protobuf; a larger one is halved, as far as it has items. An otel-collector takes 4 MiB over
gRPC unless it is told otherwise."""


class Part(NamedTuple):
    """One request; ``rows`` and ``dimensions`` are what it was made of."""

    signal: Signal
    request: ExportRequest
    rows: list[tuple[Any, ...]]
    dimensions: Dimensions

    def halves(self) -> tuple[Part, Part]:
        """Return two requests with the same items; of more than one item."""
        middle = len(self.rows) // 2
        assert middle > 0
        return (
            part_of(self.signal, self.rows[:middle], self.dimensions),
            part_of(self.signal, self.rows[middle:], self.dimensions),
        )


def part_of(signal: Signal, rows: list[tuple[Any, ...]], dimensions: Dimensions) -> Part:
    """Return these rows as one request."""
    return Part(signal, restore(signal, rows, dimensions), rows, dimensions)


async def parts_of(
    connection: Connection, signal: Signal, when: TimeRange, service: str | None
) -> AsyncGenerator[Part]:
    """Yield the items of a slice, each once, as requests.

    Raises:
        StoreError: PostgreSQL did not answer.
    """
    async with snapshot(connection) as frozen:
        async for chunk in frozen.chunks(
            signal,
            time_min=when.start,
            time_max=when.end,
            service=service,
            chunk_rows=CHUNK_ROWS,
        ):
            known = with_empty(chunk.dimensions, signal, chunk.rows)
            for part in _bounded(signal, chunk.rows, known):
                yield part


def _bounded(signal: Signal, rows: list[tuple[Any, ...]], dimensions: Dimensions) -> Iterator[Part]:
    waiting = [part_of(signal, rows, dimensions)]
    while waiting:
        part = waiting.pop()
        if len(part.rows) > 1 and part.request.ByteSize() > REQUEST_BYTES_MAX:
            first, second = part.halves()
            waiting += (second, first)
        else:
            yield part
