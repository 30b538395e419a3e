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
    UnlistedStoreError,
)
from collector.flush.leaves import make_leaves
from collector.flush.poison import quarantine_culprits
from collector.flush.retry import backoff_s
from collector.maintain.partitions import Partitions
from collector.operate.replay_result import (
    Replayed,
    Result,
    busy_result,
    gone_result,
    still_kept,
    stored_result,
)
from collector.rows import Signal
from collector.store import letter_queries
from collector.store.failures import translated
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

    async def store(self, group: list[Replayed]) -> AsyncGenerator[tuple[Result, str]]:
        """Store a group in one transaction; in halves, if PostgreSQL refuses a row of it.

        Yield each result, and the reason of a letter that is to be kept; empty for others.
        """
        named = 0
        while group:
            try:
                stored = await self._write_patiently(group)
            except LettersGoneError as error:
                for head, _ in group:
                    if head.id in error.gone:
                        yield gone_result(head), ""
                    elif head.id in error.busy:
                        yield busy_result(head), ""
                taken = error.gone | error.busy
                group = [replayed for replayed in group if replayed.head.id not in taken]
            except PoisonRowError as error:
                if len(group) > 1:
                    half = len(group) // 2
                    for part in (group[:half], group[half:]):
                        async for result in self.store(part):
                            yield result
                    return
                [replayed] = group
                request = replayed.request
                context = self._contexts[request.signal]
                named += await quarantine_culprits(request, error, context, named=named)
                if not request.rows:
                    yield still_kept(replayed)
                    return
            else:
                for replayed, first in zip(group, stored, strict=True):
                    yield stored_result(replayed, first), ""
                return

    async def _write_patiently(self, group: Sequence[Replayed]) -> Sequence[bool]:
        """Write a group; again after failures that pass, for ``GIVE_UP_S``.

        Raises:
            LettersGoneError: without some of them it can be stored.
            PoisonRowError: PostgreSQL refuses a row.
            StoreError: any other failure that did not pass.
        """
        deadline_s = self._clock.monotonic_s() + GIVE_UP_S
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
                if not _passes(error) or self._clock.monotonic_s() > deadline_s:
                    raise (_unconfirmed(unknown, len(group)) if unknown else error) from error
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
            stored = await write_batch(
                connection, requests, context, replayed=[replayed.head.id for replayed in group]
            )
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


def _passes(error: RetryableStoreError) -> bool:
    """Return whether it may work in a moment."""
    return not (
        isinstance(error, UnlistedStoreError) or error.sqlstate.startswith(_NEVER_BY_ITSELF)
    )
