"""``otlpg dead-letters replay``: what was set aside goes where it belongs, once.

A letter is converted with the settings of today and the receive time of its own, and its rows take
the road of every flush (``store.transaction.write_batch``). The transaction that stores them deletes
the letter, so a letter that is there has not been stored, whatever happened to whoever tried: two
replays at once, a kill, a COMMIT without an answer. What still cannot be stored stays a letter, with
one attempt more; of a letter with several items only the rest does, as letters of their own.

The ledger has no part in it: the request that a letter came from stands there under its own digest,
so its repetition is a duplicate as before, and the letter's bytes are looked up nowhere. The
exception is a body of a wrong signal, replayed as what it is: its sender may have sent the same
bytes to the right door since, so it is looked up, and entered, as that request of that signal (of
a sender without a key).

Rejected: a transaction for each letter (ten times as slow; a batch that fails is halved instead).
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from collector.convert.identity import request_digest
from collector.convert.letters import letters_of
from collector.convert.request import Converter
from collector.errors import (
    CommitUnknownError,
    LettersGoneError,
    MissingLeafError,
    PoisonRowError,
    RejectedRequestError,
    RetryableStoreError,
    UnlistedStoreError,
)
from collector.flush.leaves import make_leaves
from collector.flush.poison import quarantine_culprits
from collector.flush.retry import backoff_s
from collector.maintain.partitions import Partitions
from collector.operate.replay_result import (
    End,
    Replayed,
    Result,
    gone_result,
    kept_result,
    still_kept,
    stored_result,
    why_not,
)
from collector.rows import PG_EPOCH_UNIX_US, ConvertedRequest, Signal
from collector.store import letter_queries
from collector.store.failures import translated
from collector.store.known import KnownDimensions
from collector.store.letter_queries import LetterHead, Selection
from collector.store.migrate import check_schema
from collector.store.pool import DRIVER_ERRORS, Database
from collector.store.transaction import Context, write_batch
from collector.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from collector.settings import Settings
    from collector.store.letter_queries import Letter
    from collector.store.pool import Connection
    from collector.telemetry.clock import Clock
    from collector.telemetry.probe import Probe

BATCH_LETTERS, BATCH_BYTES = 1_000, 2**23
"""Letters of one transaction; a larger letter goes alone."""

GIVE_UP_S = 30.0
"""PostgreSQL may be away for so long in the middle; then the command ends, and may be given again."""

DAY_S = 86_400
_NEVER_BY_ITSELF = ("25006", "28", "3D", "3F", "42")
"""Read-only, no login, no database, no schema, no table or privilege: waiting does not help."""


class Replay:
    """Replays letters over connections of its own; ``stop`` closes them."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        probe: Probe,
        as_signal: Signal | None = None,
        random: Random | None = None,
    ) -> None:
        """``as_signal``: replay bodies that were rejected, and as this signal."""
        self._limits = settings.database
        self._clock = clock
        self._probe = probe
        self._as_signal = as_signal
        self._random = random or Random()
        self._database = Database(settings.database)
        metrics = Metrics()
        self._leaves = Partitions(settings.partitions, self._database, clock, metrics)
        self._converter = Converter(
            settings.convert, retention_s=settings.partitions.retention_days * DAY_S
        )
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

    async def stop(self) -> None:
        """Close every connection."""
        await self._database.stop()

    async def run(self, selection: Selection) -> AsyncGenerator[Result]:
        """Replay the letters that are there now, oldest first; yield what became of each.

        Shape: one result per letter. Those that a replay leaves behind are not among them. Memory
        is bounded by a batch, or the largest letter.

        Raises:
            StoreError: PostgreSQL did not do it. What was yielded stands; every other letter is as
                it was, or stored.
            SchemaError: it is not the one that this version needs.
        """
        async with self._database.acquire() as connection:
            with translated(only=DRIVER_ERRORS):
                await check_schema(connection)
            last = await letter_queries.last_id(connection)
        after = 0
        while True:
            async with self._database.acquire() as connection:
                heads = await letter_queries.oldest_first(
                    connection, selection, after=after, last=last, limit=BATCH_LETTERS
                )
            if not heads:
                return
            after = heads[-1].id
            async for result in self._replay(heads):
                yield result

    async def _replay(self, heads: Sequence[LetterHead]) -> AsyncGenerator[Result]:
        wanted: list[LetterHead] = []
        for head in heads:
            if why := why_not(head, as_signal=self._as_signal):
                yield Result(head.id, head.signal, End.SKIPPED, why=why)
            else:
                wanted.append(head)
        wanted.sort(key=lambda head: head.signal)  # stable: the oldest stays first
        for batch in _batches(wanted):
            async with self._database.acquire() as connection:
                letters = await letter_queries.read(connection, [head.id for head in batch])
            found = {letter.head.id for letter in letters}
            for head in batch:
                if head.id not in found:
                    yield gone_result(head)
            async for result in self._convert_and_store(letters):
                yield result

    async def _convert_and_store(self, letters: Sequence[Letter]) -> AsyncGenerator[Result]:
        """Replay letters of one signal."""
        usable: list[Replayed] = []
        kept: list[tuple[Result, str]] = []
        for letter in letters:
            try:
                request = self._convert(letter)
            except RejectedRequestError as error:
                kept.append((kept_result(letter.head, 0, str(error)), letter.head.reason))
                continue
            replayed = Replayed(letter.head, request)
            if request.rows:
                usable.append(replayed)
            else:
                kept.append(still_kept(replayed))
        async for result, reason in self._store(usable):
            if reason:
                kept.append((result, reason))
            else:
                yield result
        for result in await self._keep(kept):
            yield result

    def _convert(self, letter: Letter) -> ConvertedRequest:
        """Return what the letter's payload becomes, as if it had just come when it came.

        Raises:
            RejectedRequestError: it is no request of its signal at all.
        """
        head = letter.head
        signal = self._as_signal or Signal(head.signal)
        request = self._converter.convert(
            signal,
            letter.payload,
            digest=request_digest(b"", signal, letter.payload),
            now_ns=(head.received_at + PG_EPOCH_UNIX_US) * 1000,
        )
        request.in_ledger = request.in_ledger and self._as_signal is not None
        request.attempts = head.attempts + 1
        request.dead_letters = [
            row._replace(attempts=request.attempts) for row in request.dead_letters
        ]
        return request

    # -- storing ---------------------------------------------------------------------------------

    async def _store(self, group: list[Replayed]) -> AsyncGenerator[tuple[Result, str]]:
        """Store a group in one transaction; in halves, if PostgreSQL refuses a row of it.

        Yield each result, and the reason of a letter that is to be kept; empty for others.
        """
        named = 0
        while group:
            try:
                stored = await self._write_patiently(group)
            except LettersGoneError as error:
                for replayed in group:
                    if replayed.head.id in error.letters:
                        yield gone_result(replayed.head), ""
                group = [replayed for replayed in group if replayed.head.id not in error.letters]
            except PoisonRowError as error:
                if len(group) > 1:
                    half = len(group) // 2
                    for part in (group[:half], group[half:]):
                        async for result in self._store(part):
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
                    if not await self._remaining(group):
                        return unknown.stored
                    unknown = None
                return await self._write(group)
            except RetryableStoreError as error:
                if isinstance(error, CommitUnknownError):
                    unknown = error
                elif isinstance(error, MissingLeafError):
                    self._leaves.forget()
                if not _passes(error) or self._clock.monotonic_s() > deadline_s:
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

    async def _remaining(self, group: Sequence[Replayed]) -> set[int]:
        """Return which letters of a group exist, once its COMMIT is over, one way or the other."""
        limits = self._limits
        async with self._database.acquire() as connection:
            return await letter_queries.remaining(
                connection,
                [replayed.head.id for replayed in group],
                lock_s=limits.lock_s_max,
                timeout_s=limits.statement_s_max,
            )

    async def _keep(self, kept: Sequence[tuple[Result, str]]) -> list[Result]:
        """Count an attempt of letters that cannot be stored; return their results."""
        if kept:
            async with self._database.acquire() as connection:
                await letter_queries.note_attempts(
                    connection,
                    {result.letter: reason for result, reason in kept},
                    timeout_s=self._limits.statement_s_max,
                )
        return [result for result, _ in kept]


def _passes(error: RetryableStoreError) -> bool:
    """Return whether it may work in a moment."""
    return not (
        isinstance(error, UnlistedStoreError) or error.sqlstate.startswith(_NEVER_BY_ITSELF)
    )


def _batches(heads: Sequence[LetterHead]) -> Iterator[list[LetterHead]]:
    """Cut letters that are sorted by signal into batches of one signal and bounded bytes."""
    for _, alike in groupby(heads, key=lambda head: head.signal):
        batch: list[LetterHead] = []
        size = 0
        for head in alike:
            if batch and size + head.payload_bytes > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(head)
            size += head.payload_bytes
        yield batch
