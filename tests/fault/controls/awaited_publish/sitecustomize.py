"""A broken otlpg: a flush ends only when what it has committed is published.

Python imports this module at the start of every process that finds its folder on PYTHONPATH. Every
request is still acknowledged after its COMMIT; those behind it wait for Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.flush.flusher import Flushers
from collector.tail.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.buffer.entry import Entry

PUBLISH_S_MAX = 60.0
"""Longer than any link takes to give up."""

_write = Flushers.write


async def write(self: Flushers, entries: Sequence[Entry]) -> None:
    """Write, and wait until nothing is left to publish."""
    await _write(self, entries)
    publisher: Publisher | None = self._publisher  # pyright: ignore[reportPrivateUsage]
    if publisher is not None:
        await publisher.drain(PUBLISH_S_MAX)


Flushers.write = write
