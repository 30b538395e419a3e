"""How a question reaches PostgreSQL: in one read-only transaction that ends in time.

A question that takes too long is ended by PostgreSQL itself; a server that says nothing is waited
for a little longer. When nobody waits for the answer any more (the task was cancelled), the driver
asks the server to cancel the statement, and its connection comes back clean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from collector.errors import QueryTimeoutError, RetryableStoreError
from collector.store.failures import translated
from collector.store.fetching import ROW_BYTES, Fetched, Fetching, sized
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collector.query.statement import Statement
    from collector.store.pool import Connection, Database

ANSWER_S_MAX: Final = 2.0
"""PostgreSQL ends a statement in time and says so; a server that says nothing has so much longer."""
END_S_MAX: Final = 2.0
"""The same for the end of a transaction, and for a cancelled statement to be over."""
CHUNK_ROWS: Final = 500
PAGE_BYTES_MAX: Final = 16 * 2**20
"""Of the rows of a page, but for its last one: an item may have megabytes, and a page many items."""
WHOLE_BYTES_MAX: Final = 64 * 2**20
"""The same of an answer that does not come in pages."""
ALL: Final = 2**31 - 1
"""More rows than any statement has."""
AHEAD_ROWS: Final = 64
"""Rows that come at once where bytes are bounded; so far ahead PostgreSQL looks how large they are."""

_QUERY_CANCELLED: Final = "57014"


class View:
    """The tables as of one moment. One question at a time.

    Attributes:
        page_bytes_max: of the rows that are read for a page or a part.
        whole_bytes_max: of those of an answer that does not come in pages.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        page_bytes_max: int = PAGE_BYTES_MAX,
        whole_bytes_max: int = WHOLE_BYTES_MAX,
    ) -> None:
        self._connection = connection
        self.page_bytes_max = page_bytes_max
        self.whole_bytes_max = whole_bytes_max

    @property
    def connection(self) -> Connection:
        """What it stands on, inside its transaction, for what its methods cannot do."""
        return self._connection

    async def rows(self, statement: Statement) -> list[Any]:
        """Return all rows of an answer; the statement bounds how many."""
        return await self._connection.fetch(statement.sql, *statement.parameters)

    async def row(self, statement: Statement) -> Any | None:
        """Return the first row of an answer, or None."""
        return await self._connection.fetchrow(statement.sql, *statement.parameters)

    async def first(
        self, statement: Statement, bytes_max: int, *, row_bytes: str = ROW_BYTES
    ) -> Fetched:
        """Return the first rows of an answer, at least one if there is any, as far as they may be held.

        Args:
            statement: its rows have names other than ``bytes`` and ``ahead``, which are added.
            bytes_max: the row that makes them so long or longer is the last one.
            row_bytes: SQL about a row ``f``: how large is what becomes of it.
        """
        fetching = await self._fetching(statement, row_bytes)
        return await fetching.chunk(ALL, bytes_max)

    async def bounded_chunks(
        self, statement: Statement, rows_max: int, bytes_max: int, *, row_bytes: str = ROW_BYTES
    ) -> AsyncGenerator[Fetched]:
        """Yield an answer of any length in pieces, each as of ``first``; none of them is empty."""
        fetching = await self._fetching(statement, row_bytes)
        while (chunk := await fetching.chunk(rows_max, bytes_max)).rows:
            yield chunk

    async def _fetching(self, statement: Statement, row_bytes: str) -> Fetching:
        sql = sized(statement.sql, AHEAD_ROWS, row_bytes)
        return Fetching(await self._connection.cursor(sql, *statement.parameters), AHEAD_ROWS)

    async def prefer_hashing(self) -> None:
        """Let what is asked from here on group by hashing rather than by sorting.

        For a statement of whose rows PostgreSQL knows too little: it then sorts all that come in, on
        disk, to make few groups of them.
        """
        await self._connection.execute("SET LOCAL enable_sort = off")

    async def chunks(
        self, statement: Statement, rows: int = CHUNK_ROWS
    ) -> AsyncIterator[list[Any]]:
        """Yield an answer of any length whose rows are small; in memory is one chunk.

        Shape: lists of at most ``rows`` rows, none of them empty.
        """
        cursor = await self._connection.cursor(statement.sql, *statement.parameters)
        while chunk := await cursor.fetch(rows):
            yield chunk


class Views:
    """Where repositories get a view of the database."""

    def __init__(
        self,
        database: Database,
        timeout_s: float,
        *,
        page_bytes_max: int = PAGE_BYTES_MAX,
        whole_bytes_max: int = WHOLE_BYTES_MAX,
    ) -> None:
        """Bound what is asked in one view: in time, unless ``open`` is told otherwise, and in bytes.

        ``page_bytes_max`` and ``whole_bytes_max`` are those of ``View``.
        """
        self._database = database
        self.timeout_s = timeout_s
        self.page_bytes_max = page_bytes_max
        self.whole_bytes_max = whole_bytes_max

    @asynccontextmanager
    async def open(self, timeout_s: float | None = None) -> AsyncGenerator[View]:
        """Lend a view for a block, in which nothing changes.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer, or does not let us read.
        """
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        async with self._database.acquire() as connection:
            try:
                async with asyncio.timeout(limit_s + ANSWER_S_MAX):
                    with translated(connection, only=DRIVER_ERRORS):
                        await connection.execute(_begin(limit_s))
                        yield View(
                            connection,
                            page_bytes_max=self.page_bytes_max,
                            whole_bytes_max=self.whole_bytes_max,
                        )
            except TimeoutError:
                raise QueryTimeoutError(limit_s) from None
            except RetryableStoreError as error:
                if error.sqlstate != _QUERY_CANCELLED:
                    raise
                raise QueryTimeoutError(limit_s) from error
            finally:
                await _end(connection)


def _begin(timeout_s: float) -> str:
    """Return what begins a view, in one message; nothing of it outlives the transaction.

    JIT takes longer to compile such statements than they run.
    """
    return (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
        f" SET LOCAL statement_timeout = {max(1, round(timeout_s * 1_000))};"
        " SET LOCAL jit = off; SET LOCAL timezone = 'UTC'"
    )


async def _end(connection: Connection) -> None:
    """End the transaction, and whatever runs in it; a connection that does not answer is cut."""
    ending = asyncio.ensure_future(_rollback(connection))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await asyncio.wait((ending,))
        raise


async def _rollback(connection: Connection) -> None:
    if connection.is_closed():
        return
    try:
        async with asyncio.timeout(END_S_MAX):
            await connection.execute("ROLLBACK")
    except DRIVER_ERRORS:  # a TimeoutError is an OSError
        connection.terminate()
