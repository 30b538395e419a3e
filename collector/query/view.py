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
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collector.query.statement import Statement
    from collector.store.pool import Connection, Database

ANSWER_S_MAX: Final = 2.0
"""PostgreSQL ends a statement in time and says so; a server that says nothing has so much longer."""
END_S_MAX: Final = 2.0
"""The same for the end of a transaction, and for a cancelled statement to be over."""
CHUNK_ROWS: Final = 500

_QUERY_CANCELLED: Final = "57014"


class View:
    """The tables as of one moment. One question at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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

    async def prefer_hashing(self) -> None:
        """Let what is asked from here on group by hashing rather than by sorting.

        For a statement of whose rows PostgreSQL knows too little: it then sorts all that come in, on
        disk, to make few groups of them.
        """
        await self._connection.execute("SET LOCAL enable_sort = off")

    async def chunks(
        self, statement: Statement, rows: int = CHUNK_ROWS
    ) -> AsyncIterator[list[Any]]:
        """Yield an answer of any length; what is in memory is bounded by the chunk.

        Shape: lists of at most ``rows`` rows, none of them empty.
        """
        cursor = await self._connection.cursor(statement.sql, *statement.parameters)
        while chunk := await cursor.fetch(rows):
            yield chunk


class Views:
    """Where repositories get a view of the database."""

    def __init__(self, database: Database, timeout_s: float) -> None:
        """``timeout_s`` is for all that is asked in one view, unless ``open`` is told otherwise."""
        self._database = database
        self.timeout_s = timeout_s

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
                        yield View(connection)
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
