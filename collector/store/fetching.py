"""Rows out of a cursor, as many at once as may be held: bounded by their bytes and not only by their number.

A row may have megabytes, so who fetches a number of rows does not know what comes. Each row says how
large it is, and how large the next ones are together; so many small rows come at once, and large ones
one by one until there is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from asyncpg.cursor import Cursor

ROW_BYTES: Final = "octet_length(f::text)"
"""Only the text says how large a row ``f`` is: a stored value may be compressed, a hundredfold and more."""
ADDED_COLUMNS: Final = 2
"""That the rows of ``sized`` end with."""


class Fetched(NamedTuple):
    """Some rows, which still have the columns of ``sized``.

    Attributes:
        rows: records of the driver.
        bytes: of all of them.
        has_more: the cursor has rows behind these.
    """

    rows: list[Any]
    bytes: int
    has_more: bool


def sized(select: str, ahead_rows: int, row_bytes: str = ROW_BYTES) -> str:
    """Return the statement for the same rows in the same order, with two more columns at their end.

    ``bytes`` is ``row_bytes`` of the row ``f``; ``ahead`` is the sum of it over the next
    ``ahead_rows`` rows, NULL behind the last one. ``OFFSET 0`` keeps the text of a row from being made
    again for each sum that it is part of.
    """
    return (
        f"SELECT f.*, sum(f.bytes) OVER (ROWS BETWEEN 1 FOLLOWING AND {ahead_rows} FOLLOWING) AS ahead"  # noqa: S608 -- our own text
        f" FROM (SELECT f.*, {row_bytes} AS bytes FROM ({select}) AS f OFFSET 0) AS f"
    )


class Fetching:
    """Takes the rows of ``sized`` out of a cursor, in chunks of bounded rows and bytes."""

    def __init__(self, cursor: Cursor, ahead_rows: int) -> None:
        """``ahead_rows`` are those of ``sized``; no more come in one round trip."""
        self._cursor = cursor
        self._ahead_rows = ahead_rows
        self._ahead_bytes: int | None = None
        """Of the next rows; None before the first, which comes alone, and behind the last."""
        self._is_over = False

    async def chunk(self, rows_max: int, bytes_max: int) -> Fetched:
        """Return the next rows: at least one, if there is any, and none at the end.

        The row that makes them ``bytes_max`` long or longer is the last one.

        Raises:
            DRIVER_ERRORS: the caller makes them ours.
        """
        rows: list[Any] = []
        held = 0
        while not self._is_over and (not rows or (len(rows) < rows_max and held < bytes_max)):
            ahead = self._ahead_bytes
            fits = ahead is not None and held + ahead <= bytes_max
            records = await self._cursor.fetch(
                min(self._ahead_rows, rows_max - len(rows)) if fits else 1
            )
            rows += records
            held += sum(record["bytes"] for record in records)
            self._ahead_bytes = records[-1]["ahead"] if records else None
            self._is_over = self._ahead_bytes is None
        return Fetched(rows, held, not self._is_over)
