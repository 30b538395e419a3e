"""Dead letters: items that have no row, kept as the bytes they came in.

Bytes and short ASCII codes only, so that this insert can never fail.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from collector.errors import LettersGoneError
from collector.rows import TIME_INDEX, ConvertedRequest, DeadLetterRow, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from collector.store.pool import Connection

    LettersOf = Callable[
        [ConvertedRequest, Mapping[int, Reason]], Generator[None, None, list[DeadLetterRow]]
    ]
    """(request, reason by item number) -> letters of those items; yields now and then; see convert."""

TABLE = "dead_letters"


async def write(
    connection: Connection, requests: Sequence[ConvertedRequest], *, timeout_s: float
) -> int:
    """COPY the letters of ``requests`` inside the caller's transaction; return how many."""
    letters: list[tuple[Any, ...]] = [
        letter for request in requests for letter in request.dead_letters
    ]
    if letters:
        await connection.copy_records_to_table(
            TABLE, records=letters, columns=DeadLetterRow._fields, timeout=timeout_s
        )
    return len(letters)


async def take(connection: Connection, letters: Collection[int], *, timeout_s: float) -> str:
    """Delete ``letters`` inside the transaction that stores what they hold; return its id.

    So an item is in its table or in its letter, and of two replays of one letter only one stores
    it: the other does not wait for the outcome, it is told at once.

    Raises:
        LettersGoneError: not all are there and free; roll back.
    """
    taken = await connection.fetch(
        "WITH free AS MATERIALIZED (SELECT id FROM dead_letters"
        " WHERE id = ANY($1::bigint[]) FOR UPDATE SKIP LOCKED)"
        " DELETE FROM dead_letters AS d USING free AS f WHERE d.id = f.id"
        " RETURNING d.id, pg_current_xact_id()::text",
        list(letters),
        timeout=timeout_s,
    )
    missing = frozenset(letters).difference(row[0] for row in taken)
    if missing:
        there = await connection.fetch(
            "SELECT id FROM dead_letters WHERE id = ANY($1::bigint[])",
            list(missing),
            timeout=timeout_s,
        )
        busy = frozenset(row[0] for row in there)
        raise LettersGoneError(gone=missing - busy, busy=busy)
    return str(taken[0][1])


async def quarantine(
    request: ConvertedRequest, numbers: Collection[int], reason: Reason, letters_of: LettersOf
) -> None:
    """Move rows of ``request`` into its dead letters, with the original bytes of their items.

    The letters of all items that were ever moved are written anew, so that one budget bounds them
    however often this is called: the size of the request and a little, and a last letter for the
    items left over. Others have their turn between pieces of that work, and nothing changes before
    it is done: a caller that is cancelled leaves the request as it was.

    ``numbers`` index ``request.rows`` as they are before the call; the rest keeps its order.
    """
    taken = set(numbers)
    indexes = request.item_indexes or range(len(request.rows))
    reasons = request.moved | {indexes[number]: reason for number in taken}
    letters = await _in_turns(letters_of(request, reasons))
    converted = len(request.dead_letters) - request.moved_letters
    request.dead_letters[converted:] = letters
    request.moved, request.moved_letters = reasons, len(letters)
    kept = [number for number in range(len(request.rows)) if number not in taken]
    request.item_indexes = [indexes[number] for number in kept]
    request.rows = [request.rows[number] for number in kept]
    request.quarantined += len(taken)
    position = TIME_INDEX[request.signal]
    times = [row[position] for row in request.rows]
    request.time_min = min(times, default=0)
    request.time_max = max(times, default=0)


async def _in_turns(steps: Generator[None, None, list[DeadLetterRow]]) -> list[DeadLetterRow]:
    """Return what ``steps`` returns; the event loop turns at each of its yields."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            letters: list[DeadLetterRow] = end.value
            return letters
        await asyncio.sleep(0)
