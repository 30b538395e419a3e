"""Finds the rows that PostgreSQL refuses, and moves their items to the dead letters.

Nothing is given up on a suspicion: an item is dead-lettered only if its row fails alone, on a fresh
connection, while a row of our own making goes through. The row that the server names is looked at
first, and no more than that. Rows that pass alone and fail together (somebody made a unique index)
are refused only beside each other: then the later ones go, or the request would be held for ever.

Each look opens one connection. It has seen nothing of what went wrong before, and every verdict on
it is followed by our own row on the same connection: what would spoil the one (stale types, a table
that takes nothing) spoils the other too, and then nobody is blamed. A refusal that says something
about the connection and not about the row (22P03, 42*, 0A000) ends the look; the next one opens
another. With a connection for each try 400 culprits among 10 000 rows took 70 s on a busy machine;
this way 1 to 3 s.

Every try is a transaction of its own that is rolled back at once, and not a savepoint: between two
tries nothing is locked, no old snapshot holds back a vacuum, and no reaper finds an old transaction.
No try comes near the ledger.
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

    from collector.store.pool import Connection
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

SMALL_GROUP_ROWS = 64
"""In a refused group of no more rows, the named one is taken out; a larger group is halved."""

LOOK_S = 5.0
"""A look ends after this long with what it has found, so that others in trouble have their turn. It
goes on until it has found something: each turn brings its request forward."""


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
    """Return rows that are refused: the named one, else those alone, else those together."""
    connection = await connect(context.limits)
    try:
        missing = await dimensions.missing(
            connection, request.dimensions, timeout_s=context.statement_s([request])
        )
        return await _Look(request, context, connection, missing).find(named)
    finally:
        connection.terminate()


async def check_own_row(request: ConvertedRequest, context: Context) -> None:
    """Return if a row of our own making goes where ``request``'s rows should go.

    Raises:
        StoreError: it does not; what failed before says nothing about ``request``.
    """
    connection = await connect(context.limits)
    try:
        look = _Look(request, context, connection, Dimensions({}, {}, {}, {}))
        await look.check_health()
    finally:
        connection.terminate()


class _Look:
    """One look for the refused rows of one request, over a connection of its own.

    Args:
        request: whose rows are looked at; it is not changed.
        context: of its signal.
        connection: fresh; used for nothing else.
        missing: dimension rows that the tries must bring along, because no table holds them.
    """

    def __init__(
        self,
        request: ConvertedRequest,
        context: Context,
        connection: Connection,
        missing: Dimensions,
    ) -> None:
        self._request = request
        self._context = context
        self._connection = connection
        self._missing = missing

    async def find(self, named: int | None) -> list[int]:
        """Return refused rows, all of them if the time is enough; none when every try passes."""
        rows = range(len(self._request.rows))
        if named is not None and named in rows and await self._culprits([named], LOOK_S):
            return [named]
        begun_s = self._context.clock.monotonic_s()
        culprits = await self._culprits(rows, LOOK_S)
        if culprits:
            return culprits
        spent_s = self._context.clock.monotonic_s() - begun_s  # it would be spent again next time
        return await self._culprits(rows, max(LOOK_S, spent_s), together=True)

    async def _culprits(
        self, numbers: Sequence[int], look_s: float, *, together: bool = False
    ) -> list[int]:
        """Return those of ``numbers`` whose rows fail alone; parts what fails in a group.

        ``together`` tries each beside those before it that passed, so all that is left passes at
        once. After ``look_s`` the first culprit is the last.
        """
        culprits: list[int] = []
        passed: list[int] = []
        groups = [list(numbers)] if numbers else []
        end_s = self._context.clock.monotonic_s() + look_s
        while groups:
            group = groups.pop()
            refusal = await self._refusal(self._part(passed + group))
            if refusal is None:
                if together:
                    passed += group
            elif len(group) > 1:
                groups += self._halves(group) if together else self._parts(group, refusal)
            else:
                await self.check_health()
                culprits += group
                if self._context.clock.monotonic_s() > end_s:
                    break
        return culprits

    def _parts(self, group: list[int], refusal: PoisonRowError) -> list[list[int]]:
        """Return the named row of a small group and its others, or halves; the last is next."""
        named = refusal.row if refusal.table == FACT_TABLES[self._request.signal] else None
        if named is None or named not in range(len(group)) or len(group) > SMALL_GROUP_ROWS:
            return self._halves(group)
        return [group[:named] + group[named + 1 :], [group[named]]]

    def _halves(self, group: list[int]) -> list[list[int]]:
        half = len(group) // 2
        return [group[half:], group[:half]]

    async def check_health(self) -> None:
        """Return if a row of our own making goes where the request's rows should go.

        Raises:
            UnlistedStoreError: it is refused as well, so no row is to blame.
        """
        error = await self._refusal(sample(self._request.signal, self._request.time_min))
        if error is not None:
            raise UnlistedStoreError(
                "our own row is refused too", sqlstate=error.sqlstate
            ) from error

    async def _refusal(self, part: ConvertedRequest) -> PoisonRowError | None:
        """Write ``part``, roll it back, and return why it was refused, or None."""
        try:
            await try_batch(self._connection, [part], self._context)
        except PoisonRowError as error:
            return error
        return None

    def _part(self, numbers: Sequence[int]) -> ConvertedRequest:
        """Return a request with only these rows and the missing dimension rows that they need."""
        rows = [self._request.rows[number] for number in numbers]
        return replace(
            self._request,
            rows=rows,
            item_indexes=None,
            items=len(rows),
            dimensions=dimensions.referred_by(self._request, rows, among=self._missing),
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
