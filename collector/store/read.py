"""Rows read back as they were written: for export, replay and tests, not for queries of users.

What comes is what ``convert`` made: tuples in ``rows.X`` order, JSON as text, times as integer
microseconds (the codecs of ``store/pool.py``), each chunk with the dimension rows it refers to, so
that ``restore`` can turn every chunk into OTLP by itself.

One REPEATABLE READ transaction holds still what is read, across signals too; rows leave the server
through a cursor, so memory is bounded by the chunk and not by the range (``store/fetching.py``).
Behind a pgbouncer in transaction mode it works as it is: nothing outlives the transaction.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.rows import FACT_COLUMNS, FACT_TABLES, TIME_INDEX, Dimensions, Signal
from collector.store.failures import translated
from collector.store.fetching import ADDED_COLUMNS, Fetching, sized
from collector.store.pool import DRIVER_ERRORS
from collector.store.referred import NOTHING, dimensions_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence

    from collector.store.pool import Connection

CHUNK_ROWS = 5_000
CHUNK_BYTES = 16 * 2**20
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1
"""PostgreSQL's ``-infinity`` and ``infinity``: no bound."""


class Only(NamedTuple):
    """Rows whose column has one of these values, of the column's own type."""

    column: str
    values: Sequence[Any]


class RowChunk(NamedTuple):
    """Some rows of one signal, and every dimension row they refer to."""

    rows: list[tuple[Any, ...]]
    dimensions: Dimensions


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncGenerator[Snapshot]:
    """Lend a view of the database in which nothing changes until the block ends.

    Keep blocks short: as long as one is open, PostgreSQL cannot clean up what it may still see.

    Raises:
        StoreError: PostgreSQL did not begin the transaction.
    """
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    with translated(only=DRIVER_ERRORS):
        await transaction.start()
    try:
        yield Snapshot(connection)
    finally:
        try:
            await transaction.rollback()
        except DRIVER_ERRORS:
            connection.terminate()  # nothing was written, so nothing is lost; the server cleans up


class Snapshot:
    """Reads rows of all signals as of one moment; one read at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def chunks(
        self,
        signal: Signal,
        *,
        time_min: int = TIME_MIN,
        time_max: int = TIME_MAX,
        only: Only | None = None,
        service: str | None = None,
        chunk_rows: int = CHUNK_ROWS,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> AsyncIterator[RowChunk]:
        """Yield the rows with ``time_min <= time < time_max``, in no particular order.

        The time is the one the row stands under, so give a range: it chooses the leaves to read.
        ``only`` narrows that further; where its column leads an index, only that much is read.
        ``service`` is by the name that stands in the column of rows, and of series for points.

        Shape: chunks of at most ``chunk_rows`` rows, none of them empty; no chunk for no row. A chunk
        ends with the row that makes it ``chunk_bytes`` long or longer, without its dimensions.
        Units: microseconds since 2000-01-01 UTC; bytes of the rows as text, however they are stored.

        Raises:
            StoreError: the connection broke, or the schema is not this version's.
        """
        columns = FACT_COLUMNS[signal]
        assert only is None or only.column in columns, only
        time = columns[TIME_INDEX[signal]]
        conditions = [f"f.{time} >= $1", f"f.{time} < $2"]
        arguments: list[Any] = [time_min, time_max]
        if only is not None:
            arguments.append(only.values)
            conditions.append(f"f.{only.column} = ANY(${len(arguments)})")
        if service is not None:
            arguments.append(service)
            conditions.append(_OF_SERVICE[signal].format(f"${len(arguments)}"))
        select = (
            f"SELECT {', '.join(f'f.{name}' for name in columns)}"  # noqa: S608 -- our own names
            f" FROM {FACT_TABLES[signal]} AS f WHERE {' AND '.join(conditions)}"
        )
        with translated(only=DRIVER_ERRORS):
            cursor = await self._connection.cursor(sized(select, chunk_rows), *arguments)
        fetching = Fetching(cursor, chunk_rows)
        dimensions = NOTHING
        while True:
            with translated(only=DRIVER_ERRORS):
                fetched = await fetching.chunk(chunk_rows, chunk_bytes)
                rows = [record[:-ADDED_COLUMNS] for record in fetched.rows]
                dimensions = await dimensions_of(self._connection, signal, rows, dimensions)
            if not rows:
                return
            yield RowChunk(rows, dimensions)

    async def reach(self, signals: Collection[Signal]) -> tuple[int, int] | None:
        """Return from when to when rows of these signals can stand; None where there is no leaf.

        Units: microseconds since 2000-01-01 UTC, as of the leaves' bounds.

        Raises:
            StoreError: the connection broke.
        """
        with translated(only=DRIVER_ERRORS):
            row = await self._connection.fetchrow(
                "SELECT min(starts_at), max(ends_at) FROM otlpg_leaves() WHERE parent = ANY($1)",
                [FACT_TABLES[signal] for signal in signals],
            )
        return None if row is None or row[0] is None else (row[0], row[1])


_OF_SERVICE: Final[dict[Signal, str]] = {
    Signal.TRACES: "f.service_name = {}",
    Signal.METRICS: "f.series_id IN (SELECT series_id FROM metric_series WHERE service_name = {})",
    Signal.LOGS: "f.service_name = {}",
}
