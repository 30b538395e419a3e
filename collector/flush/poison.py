"""Finds the rows that PostgreSQL refuses, and moves their items to the dead letters.

Nothing is given up on a suspicion: an item is dead-lettered only if its row fails alone, on a fresh
connection, while a row of our own making goes through. The row that the server names is looked at
first, and no more than that. Rows that pass alone and fail together (somebody made a unique index)
are refused only beside each other: then the later ones go, or the request would be held for ever.
Everything is tried in transactions that are rolled back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collector.errors import PoisonRowError, UnlistedStoreError
from collector.rows import (
    FACT_COLUMNS,
    FACT_TABLES,
    TIME_INDEX,
    ConvertedRequest,
    Dimensions,
    Reason,
    Signal,
)
from collector.store import dead_letters, dimensions
from collector.store.pool import connect
from collector.store.traces import day_of
from collector.store.transaction import try_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store.transaction import Context

_SAMPLE: dict[str, Any] = {
    "trace_id": bytes(15) + b"\1",
    "span_id": bytes(7) + b"\1",
    "name": "otlpg",
    "kind": 0,
    "status_code": 0,
    "severity_number": 0,
    "flags": 0,
    "attributes": "{}",
    "resource_id": 0,
    "scope_id": 0,
    "series_id": 0,
    "value": 1.0,
}
"""Values of the row of our own making; every other column is NULL."""

NAMED_MAX = 8
"""Culprits that the server may name one by one, each for a whole COPY; then the rows are halved."""


async def quarantine_culprits(
    request: ConvertedRequest, error: PoisonRowError, context: Context, *, named: int
) -> int:
    """Move what ``error`` is about out of ``request``'s rows; return how many items, at least one.

    ``named`` is how many culprits of this request were found by name so far.

    Raises:
        UnlistedStoreError: the rows are not refused, or our own row is too; hold the request.
        StoreError: PostgreSQL did not answer as expected; try again.
    """
    by_name = error.table == FACT_TABLES[request.signal] and named < NAMED_MAX
    culprits = await _find(request, error.row if by_name else None, context)
    if culprits:
        await dead_letters.quarantine(
            request, culprits, Reason.REFUSED_BY_POSTGRES, context.letters_of
        )
    trimmed = dimensions.referred_by(request, request.rows)
    if not culprits and trimmed == request.dimensions:
        raise UnlistedStoreError(
            f"a request is refused, but none of its {len(request.rows)} rows",
            sqlstate=error.sqlstate,
        ) from error
    request.dimensions = trimmed  # a refused item may have brought a refused resource
    return len(culprits)


async def _find(request: ConvertedRequest, named: int | None, context: Context) -> list[int]:
    """Return the rows that are refused: the named one, else those alone, else those together."""
    rows = range(len(request.rows))
    if named is not None and named in rows:
        culprits = await _culprits(request, [named], context)
        if culprits:
            return culprits
    return await _culprits(request, rows, context) or await _culprits(
        request, rows, context, together=True
    )


async def _culprits(
    request: ConvertedRequest, numbers: Sequence[int], context: Context, *, together: bool = False
) -> list[int]:
    """Return those of ``numbers`` whose rows fail alone; halves what fails in a group.

    ``together`` tries each beside those before it that passed, so all that is left passes at once.
    """
    culprits: list[int] = []
    passed: list[int] = []
    groups = [list(numbers)] if numbers else []
    while groups:
        group = groups.pop()
        try:
            await _try(part_of(request, passed + group), context)
        except PoisonRowError:
            if len(group) == 1:
                await _check_health(request, context)
                culprits += group
            else:
                half = len(group) // 2
                groups += [group[half:], group[:half]]
        else:
            if together:
                passed += group
    return culprits


async def _check_health(request: ConvertedRequest, context: Context) -> None:
    """Return if a row of our own making goes where the request's rows should go.

    Raises:
        UnlistedStoreError: it is refused as well, so no row is to blame.
    """
    try:
        await _try(sample(request.signal, request.time_min), context)
    except PoisonRowError as error:
        raise UnlistedStoreError("our own row is refused too", sqlstate=error.sqlstate) from error


async def _try(request: ConvertedRequest, context: Context) -> None:
    """Write ``request`` on a fresh connection and roll it back.

    Fresh every time: a connection that has seen an error may have stale types, and the next verdict
    must not depend on the last one.
    """
    connection = await connect(context.limits)
    try:
        await try_batch(connection, [request], context)
    finally:
        connection.terminate()


def part_of(request: ConvertedRequest, numbers: Sequence[int]) -> ConvertedRequest:
    """Return a request with only these rows and the dimension rows that they need."""
    rows = [request.rows[number] for number in numbers]
    return replace(
        request,
        rows=rows,
        item_indexes=None,
        items=len(rows),
        dimensions=dimensions.referred_by(request, rows),
        dead_letters=[],
    )


def sample(signal: Signal, time: int) -> ConvertedRequest:
    """Return a request with one row that every healthy database takes; ``time`` has a leaf."""
    row = tuple(_SAMPLE.get(column) for column in FACT_COLUMNS[signal])
    position = TIME_INDEX[signal]
    return ConvertedRequest(
        signal=signal,
        digest=bytes(16),
        day=day_of(time),
        in_ledger=False,
        received_at=time,
        items=1,
        rows=[(*row[:position], time, *row[position + 1 :])],
        item_indexes=None,
        dimensions=Dimensions({}, {}, {}, {}),
        payload=b"",
        size_bytes=0,
        time_min=time,
        time_max=time,
    )
