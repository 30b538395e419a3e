"""What the tests of store and flush share: contexts, leaves and a look into the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.maintain.partitions import Partitions
from collector.rows import PG_EPOCH_UNIX_US, DeadLetterRow, Reason, Signal
from collector.settings import PartitionSettings
from collector.store.known import KnownDimensions
from collector.store.ledger import SENTINEL_DAY
from collector.store.pool import Database
from collector.store.transaction import Context
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection
    from collector.telemetry.clock import Clock

NOW = SystemClock().unix_ns() // 1000 - PG_EPOCH_UNIX_US
"""Microseconds since 2000-01-01 when the tests were loaded: within the leaves that exist."""


def letters_of(
    request: ConvertedRequest, reasons: Mapping[int, Reason]
) -> Generator[None, None, list[DeadLetterRow]]:
    """Stand in for ``convert.letters``: a letter per item says which one of which request it was."""
    yield
    signal = request.signal.value
    return [
        DeadLetterRow(
            signal,
            request.received_at,
            reasons[index],
            "quarantined",
            b"%s item %d of %s" % (signal.encode(), index, request.payload),
        )
        for index in sorted(reasons)
    ]


def partitions(database: Database, clock: Clock | None = None) -> Partitions:
    """Return the leaves of ``database`` as one process knows them."""
    return Partitions(PartitionSettings(), database, clock or SystemClock(), Metrics())


async def make_leaves(settings: DatabaseSettings) -> None:
    """Make the leaves around now."""
    database = Database(settings)
    try:
        await partitions(database).prepare()
    finally:
        await database.stop()


def context(
    settings: DatabaseSettings,
    signal: Signal = Signal.LOGS,
    *,
    probe: Probe | None = None,
    known: KnownDimensions | None = None,
    ledger: bool = True,
) -> Context:
    """Return a context of its own: as if another process wrote."""
    return Context(
        signal=signal,
        limits=settings,
        known=known or KnownDimensions(),
        ledger=ledger,
        ledger_day=lambda day, today: day if day.year >= today.year - 1 else SENTINEL_DAY,
        letters_of=letters_of,
        clock=SystemClock(),
        metrics=Metrics(),
        probe=probe or Probe(),
    )


async def count(connection: Connection, table: str, where: str = "true") -> int:
    """Return the number of rows of ``table`` that match."""
    number: int = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")
    return number


async def rows_of(connection: Connection, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query as tuples."""
    return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]
