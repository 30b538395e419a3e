"""Stores groups of replayed letters: patiently, in halves, and told only what is certain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from collector.convert.letters import letters_of
from collector.errors import (
    CommitUnknownError,
    LettersGoneError,
    MissingLeafError,
    PoisonRowError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
    UnlistedStoreError,
)
from collector.flush.leaves import make_leaves
from collector.flush.poison import check_own_row, quarantine_culprits
from collector.flush.retry import backoff_s
from collector.maintain.partitions import Partitions
from collector.operate.replay_result import (
    Replayed,
    Result,
    busy_result,
    gone_result,
    kept_result,
    still_kept,
    stored_result,
)
from collector.rows import Signal
from collector.store import letter_queries
from collector.store.failures import PERHAPS_ONE_REQUEST, translated
from collector.store.known import KnownDimensions
from collector.store.pool import DRIVER_ERRORS, Database
from collector.store.transaction import Context, write_batch
from collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from random import Random

    from collector.settings import Settings
    from collector.store.pool import Connection
    from collector.telemetry.clock import Clock
    from collector.telemetry.probe import Probe

GIVE_UP_S = 30.0
"""PostgreSQL may be away for so long in the middle; then the command ends, and may be given again."""

_NEVER_BY_ITSELF = ("25006", "28", "3D", "3F", "42")
"""Read-only, no login, no database, no schema, no table or privilege: waiting does not help."""


class ReplayStore:
    """Writes what letters became over connections of ``database``, which its owner stops."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clock: Clock,
        probe: Probe,
        random: Random,
    ) -> None:
        self._limits = settings.database
        self._database = database
        self._clock = clock
        self._probe = probe
        self._random = random
        metrics = Metrics()
        self._leaves = Partitions(settings.partitions, database, clock, metrics)
        known = KnownDimensions()
        self._contexts = {
            signal: Context(
                signal=signal,
                limits=settings.database,
                known=known,
                ledger=settings.ingest.ledger,
                ledger_day=self._leaves.ledger_day,
                letters_of=letters_of,
                clock=clock,
                metrics=metrics,
                probe=probe,
            )
            for signal in Signal
        }

    def store(self, group: list[Replayed]) -> AsyncGenerator[tuple[Result, str]]:
        """Store a group in one transaction; in halves, if PostgreSQL does not take it whole.

        Yield each result, and the reason of a letter that is to be kept; empty for others. A letter
        alone that fails, while a row of our own making passes, is kept.

        Raises:
            StoreError: the server is away, or takes nothing; no letter is to blame.
        """
        return self._store(group, GIVE_UP_S)

    async def _store(
        self, group: list[Replayed], patience_s: float
    ) -> AsyncGenerator[tuple[Result, str]]:
        named = 0
        while group:
            try:
                stored = await self._write_patiently(group, patience_s)
            except LettersGoneError as error:
                for head, _ in group:
                    if head.id in error.gone:
                        yield gone_result(head), ""
                    elif head.id in error.busy:
                        yield busy_result(head), ""
                taken = error.gone | error.busy
                group = [replayed for replayed in group if replayed.head.id not in taken]
            except (PoisonRowError, RetryableStoreError) as error:
                if _is_of_server(error):
                    raise
                if len(group) > 1:
                    rest_s = patience_s if _is_of_one(error) else 0.0  # it has been used up
                    half = len(group) // 2
                    for part in (group[:half], group[half:]):
                        async for result in self._store(part, rest_s):
                            yield result
                    return
                [replayed] = group
                moved, kept = await self._without_culprits(replayed, error, named)
                if kept is not None:
                    yield kept
                    return
                named += moved
            else:
                for replayed, first in zip(group, stored, strict=True):
                    yield stored_result(replayed, first), ""
                return

    async def _without_culprits(
        self, replayed: Replayed, error: StoreError, named: int
    ) -> tuple[int, tuple[Result, str] | None]:
        """Move what PostgreSQL refuses out of a letter's rows; return how many, and why to keep it.

        The latter is None where what is left may be stored.

        Raises:
            StoreError: our own row is refused, too.
        """
        head, request = replayed
        context = self._contexts[request.signal]
        moved = 0
        try:
            if not isinstance(error, PoisonRowError):
                raise error
            moved = await quarantine_culprits(request, error, context, named=named)
        except RetryableStoreError as failure:
            if _is_of_server(failure):
                raise
            await check_own_row(request, context)
            why = f"PostgreSQL did not store it: {failure}"
            return 0, (kept_result(head, request.items, why), head.reason)
        return moved, None if request.rows else still_kept(replayed)

    async def _write_patiently(
        self, group: Sequence[Replayed], patience_s: float
    ) -> Sequence[bool]:
        """Write a group; again after failures that pass, for ``patience_s``.

        A server that is away is waited for as long as ever. What perhaps one letter alone is to
        blame for is tried again only with that letter alone.

        Raises:
            LettersGoneError: without some of them it can be stored.
            PoisonRowError: PostgreSQL refuses a row.
            StoreError: any other failure that did not pass.
        """
        begun_s = self._clock.monotonic_s()
        attempt = 0
        unknown: CommitUnknownError | None = None
        while True:
            try:
                if unknown is not None:
                    if await self._is_stored(group, unknown):
                        return unknown.stored
                    unknown = None
                return await self._write(group)
            except RetryableStoreError as error:
                if isinstance(error, CommitUnknownError) and error.transaction:
                    unknown = error
                elif isinstance(error, MissingLeafError):
                    self._leaves.forget()
                if unknown is None and len(group) > 1 and _is_of_one(error):
                    raise
                away = unknown is not None or isinstance(error, StoreUnavailableError)
                limit_s = GIVE_UP_S if away else patience_s
                if not _passes(error) or self._clock.monotonic_s() - begun_s > limit_s:
                    if unknown is not None:
                        raise _unconfirmed(unknown, len(group)) from error
                    raise
                await self._probe.reach("replay.failed")
                await asyncio.sleep(backoff_s(attempt, self._random))
                attempt += 1

    async def _write(self, group: Sequence[Replayed]) -> list[bool]:
        """Store a group in one transaction, which deletes its letters."""
        requests = [replayed.request for replayed in group]
        context = self._contexts[requests[0].signal]
        with translated():
            await make_leaves(self._leaves, context.signal, requests, context.today())
            connection = await self._database.take()
        context.known.meet(connection)
        try:
            stored = (
                await write_batch(
                    connection, requests, context, replayed=[replayed.head.id for replayed in group]
                )
            ).stored
        except PoisonRowError:
            await self._roll_back(connection)  # a refusal says nothing against the connection
            raise
        except BaseException:
            await self._database.discard(connection)
            context.known.clear()
            raise
        self._database.release(connection)
        return stored

    async def _roll_back(self, connection: Connection) -> None:
        try:
            with translated(connection, only=DRIVER_ERRORS):
                await connection.execute("ROLLBACK", timeout=self._limits.statement_s_max)
        except BaseException:
            await self._database.discard(connection)
            raise
        self._database.release(connection)

    async def _is_stored(self, group: Sequence[Replayed], unknown: CommitUnknownError) -> bool:
        """Return what became of a COMMIT without a good answer, once it is over, and certain."""
        async with self._database.acquire() as connection:
            return await letter_queries.taken_by(
                connection,
                unknown.transaction,
                [head.id for head, _ in group],
                lock_s=self._limits.lock_s_max,
                timeout_s=self._limits.statement_s_max,
            )


def _unconfirmed(error: CommitUnknownError, letters: int) -> CommitUnknownError:
    """Return what to tell about letters that may be stored, or on one server only."""
    return CommitUnknownError(
        f"whether {letters} letters are stored is not certain: {error}",
        sqlstate=error.sqlstate,
        hint="is a synchronous standby away? then `otlpg dead-letters replay` again: what is not "
        "stored is a letter still",
    )


def _is_of_server(error: StoreError) -> bool:
    """Return whether no letter can be stored now, whichever it is."""
    return isinstance(error, StoreUnavailableError) or error.sqlstate.startswith(_NEVER_BY_ITSELF)


def _is_of_one(error: StoreError) -> bool:
    """Return whether perhaps one letter is to blame, and the others would pass without it."""
    return isinstance(error, PoisonRowError | UnlistedStoreError) or error.sqlstate.startswith(
        PERHAPS_ONE_REQUEST
    )


def _passes(error: RetryableStoreError) -> bool:
    """Return whether it may work in a moment."""
    return not (
        isinstance(error, UnlistedStoreError) or error.sqlstate.startswith(_NEVER_BY_ITSELF)
    )
