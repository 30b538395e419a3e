"""What is asked of a server through a connection, written down while it is asked."""

from __future__ import annotations

from typing import Any

from collector.store.pool import Connection


class Overheard:
    """A connection that keeps what is asked through a cursor.

    Attributes:
        asked: each statement with its values.
        fetches: how often rows were fetched from all the cursors.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked: list[tuple[Any, ...]] = []
        self.fetches = 0

    async def cursor(self, query: str, *arguments: Any) -> Any:
        """Open the cursor."""
        self.asked.append((query, *arguments))
        return _Cursor(await self._connection.cursor(query, *arguments), self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Cursor:
    def __init__(self, cursor: Any, overheard: Overheard) -> None:
        self._cursor = cursor
        self._overheard = overheard

    async def fetch(self, rows: int) -> Any:
        self._overheard.fetches += 1
        return await self._cursor.fetch(rows)
