"""Makes sure, before BEGIN, that every row of a group finds its partition.

Never inside the flush's own transaction: attaching a leaf takes a lock on the parent that would
last until COMMIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from collector.rows import FACT_TABLES, TIME_INDEX, Signal
from collector.store.traces import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from collector.rows import ConvertedRequest


class Leaves(Protocol):
    """What a flusher needs of ``maintain``; times are microseconds since 2000-01-01."""

    def covers(self, table: str, time_min: int, time_max: int) -> bool:
        """Whether leaves are known for all of this span of time; cheap."""
        ...

    async def ensure(self, table: str, times: Iterable[int]) -> None:
        """Make the leaves that ``times`` need, on a connection of its own."""
        ...

    def covers_day(self, table: str, day: date) -> bool:
        """Whether the leaf of ``day`` is known; cheap."""
        ...

    async def ensure_day(self, table: str, day: date) -> None:
        """Make the leaf of ``day``."""
        ...

    def ledger_day(self, day: date, now: date) -> date:
        """Return the ledger's day for a request: its own, or the sentinel."""
        ...

    def forget(self) -> None:
        """Drop what is known: the server has just said that it is wrong."""
        ...


async def make_leaves(
    leaves: Leaves, signal: Signal, requests: Sequence[ConvertedRequest], today: date
) -> None:
    """Return once there is a leaf for every row that ``requests`` will write."""
    written = [request for request in requests if request.rows]
    if written:
        await _make_fact_leaves(leaves, signal, written)
    days = {leaves.ledger_day(request.day, today) for request in requests if request.in_ledger}
    for day in sorted(days):
        if not leaves.covers_day("ingest_ledger", day):
            await leaves.ensure_day("ingest_ledger", day)


async def _make_fact_leaves(
    leaves: Leaves, signal: Signal, requests: Sequence[ConvertedRequest]
) -> None:
    table = FACT_TABLES[signal]
    position = TIME_INDEX[signal]
    time_min = min(request.time_min for request in requests)
    time_max = max(request.time_max for request in requests)
    if not leaves.covers(table, time_min, time_max):
        for request in requests:  # one late request must not make the others' rows be looked at
            if not leaves.covers(table, request.time_min, request.time_max):
                await leaves.ensure(table, {row[position] for row in request.rows})
    if signal is not Signal.TRACES:
        return
    days = {day_of(time_min), day_of(time_max)}
    if len(days) > 1:
        days = {day_of(row[position]) for request in requests for row in request.rows}
    for day in sorted(days):
        if not leaves.covers_day("traces", day):
            await leaves.ensure_day("traces", day)
