"""``otlpg dead-letters purge``: what was counted goes for good, and nothing else.

Letters are listed by their ids, one by one, and an operator is told how many there are. A bound in
ids would not do: a letter draws its id before its COMMIT, so one that nobody could count may well
stand below the highest that was. Nor does ``xmin`` tell: a replay that fails rewrites a letter.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from collector.store import letter_queries

if TYPE_CHECKING:
    from collector.store.letter_queries import Selection
    from collector.store.pool import Connection

PAGE_LETTERS = 1_000
"""Letters listed, or deleted, by one statement."""

LETTERS_MAX = 10_000_000
"""Of one purge; their ids take 8 bytes each."""


class Listed(NamedTuple):
    """Letters that may be deleted, and nobody else's business.

    Shape: ``ids`` ascend; ``precious`` of them hold what exists nowhere else; ``more`` tells that
    there are others, beyond ``LETTERS_MAX``.
    """

    ids: array[int]
    precious: int
    more: bool


async def listed(connection: Connection, selection: Selection) -> Listed:
    """List the letters that are there now, the oldest first.

    Raises:
        StoreError: PostgreSQL did not answer; this role may not read.
    """
    last = await letter_queries.last_id(connection)
    ids = array("q")
    precious = 0
    while len(ids) < LETTERS_MAX:
        size = min(PAGE_LETTERS, LETTERS_MAX - len(ids))
        page = await letter_queries.oldest_first(
            connection, selection, after=ids[-1] if ids else 0, last=last, limit=size
        )
        ids.extend(head.id for head in page)
        precious += sum(head.outcome != "repaired" for head in page)
        if len(page) < size:
            return Listed(ids, precious, more=False)
    beyond = await letter_queries.oldest_first(
        connection, selection, after=ids[-1], last=last, limit=1
    )
    return Listed(ids, precious, more=bool(beyond))


async def purge(connection: Connection, selection: Selection, ids: array[int]) -> tuple[int, int]:
    """Delete listed letters; return how many went, and how many are left.

    A page is a transaction of its own. Left is what a replay works on, or has given another reason
    than the one that was chosen; what is neither, somebody else has stored or deleted.

    Raises:
        StoreError: PostgreSQL did not do it; pages before are gone.
    """
    deleted = left = 0
    for start in range(0, len(ids), PAGE_LETTERS):
        page = ids[start : start + PAGE_LETTERS].tolist()
        went, stayed = await letter_queries.delete_listed(connection, selection, page)
        deleted, left = deleted + went, left + stayed
    return deleted, left
