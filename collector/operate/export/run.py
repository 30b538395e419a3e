"""One export: slice by slice, signal by signal, into a sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from collector.operate.export.plan import slices_of, within
from collector.operate.export.read import Part, parts_of
from collector.query.time_range import TimeRange
from collector.rows import Signal
from collector.store.read import snapshot

if TYPE_CHECKING:
    from collector.store.pool import Database


class Sink(Protocol):
    """Where requests go."""

    bytes: int

    @property
    def complaint(self) -> str:
        """What is to be told at the end although all was given; empty where nothing is."""
        ...

    async def take(self, part: Part) -> int:
        """Take a request for good, and return how many of its items were; others are complained of."""
        ...

    async def finish(self) -> None:
        """Everything was given."""
        ...

    async def abandon(self) -> None:
        """No more will come. Safe twice and after ``finish``."""
        ...


@dataclass
class Progress:
    """How far an export is.

    Attributes:
        when: the range that is gone through, in full slices; None before it is known.
        done: everything before it was taken.
        items: taken so far, by signal.
        requests: taken so far.
    """

    when: TimeRange | None = None
    done: int = 0
    items: Counter[Signal] = field(default_factory=Counter[Signal])
    requests: int = 0


async def export(
    database: Database,
    sink: Sink,
    *,
    signals: Collection[Signal],
    when: TimeRange,
    service: str | None,
    progress: Progress,
    tell: Callable[[Progress], None],
) -> None:
    """Give everything in the range to the sink, and finish it; abandon it if that fails.

    ``tell`` is called whenever there is progress.

    Raises:
        StoreError: PostgreSQL did not answer.
        CommandError: the sink took no more.
    """
    try:
        async with database.acquire() as connection:
            async with snapshot(connection) as frozen:
                reach = await frozen.reach(signals)
            progress.when = within(when, None if reach is None else TimeRange(*reach))
            progress.done = progress.when.start
            tell(progress)
            for piece in slices_of(progress.when):
                for signal in signals:
                    async with aclosing(parts_of(connection, signal, piece, service)) as parts:
                        async for part in parts:
                            progress.items[signal] += await sink.take(part)
                            progress.requests += 1
                            tell(progress)
                progress.done = piece.end
                tell(progress)
        await sink.finish()
    finally:
        await sink.abandon()
