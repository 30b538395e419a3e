"""Dead letters: items that have no row, kept as the bytes they came in.

Bytes and short ASCII codes only, so that this insert can never fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.rows import TIME_INDEX, ConvertedRequest, DeadLetterRow, Reason, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from collector.store.pool import Connection

    PayloadOf = Callable[[Signal, bytes, int], bytes]
    """(signal, request body, item number) -> that item as a request of its own; see convert."""

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


def quarantine(
    request: ConvertedRequest, numbers: Collection[int], reason: Reason, payload_of: PayloadOf
) -> None:
    """Move rows of ``request`` into its dead letters, with the original bytes of their items.

    ``numbers`` index ``request.rows`` as they are before the call; the rest keeps its order.
    """
    taken = set(numbers)
    indexes = request.item_indexes or range(len(request.rows))
    for number in sorted(taken):
        payload = payload_of(request.signal, request.payload, indexes[number])
        request.dead_letters.append(
            DeadLetterRow(
                request.signal.value,
                request.received_at,
                reason.value,
                "quarantined",
                payload,
            )
        )
    kept = [number for number in range(len(request.rows)) if number not in taken]
    request.item_indexes = [indexes[number] for number in kept]
    request.rows = [request.rows[number] for number in kept]
    request.quarantined += len(taken)
    position = TIME_INDEX[request.signal]
    times = [row[position] for row in request.rows]
    request.time_min = min(times, default=0)
    request.time_max = max(times, default=0)
