"""``otlpg dead-letters replay``: what was set aside goes where it belongs, once.

A letter is converted with the settings of today and the receive time of its own, and its rows take
the road of every flush (``store.transaction.write_batch``). The transaction that stores them deletes
the letter, so a letter that is there has not been stored, whatever happened to whoever tried: two
replays at once, a kill, a COMMIT without an answer. What still cannot be stored stays a letter, with
one attempt more; of a letter with several items only the rest does, as letters of their own.

The ledger has no part in it: the request that a letter came from stands there under its own digest,
so its repetition is a duplicate as before, and the letter's bytes are looked up nowhere. The
exception is a body of a wrong signal, replayed as what it is: its sender may have sent the same
bytes to the right door since, so it is looked up, and entered, as that request of that signal, of a
sender without a key. A letter does not know the key of its sender: with keys, the same bytes at the
right door are another request to the ledger, and README says so.

Rejected: a transaction for each letter (ten times as slow; a batch that fails is halved instead).
"""

from __future__ import annotations

from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

from collector.errors import RejectedRequestError
from collector.operate.letter_request import as_received, letter_converter
from collector.operate.replay_result import (
    End,
    Replayed,
    Result,
    gone_result,
    kept_result,
    still_kept,
    why_not,
)
from collector.operate.replay_store import ReplayStore
from collector.store import letter_queries
from collector.store.failures import translated
from collector.store.letter_queries import LetterHead, Selection
from collector.store.migrate import check_schema
from collector.store.pool import DRIVER_ERRORS, Database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from collector.rows import Signal
    from collector.settings import Settings
    from collector.store.letter_queries import Letter
    from collector.telemetry.clock import Clock
    from collector.telemetry.probe import Probe

BATCH_LETTERS, BATCH_BYTES = 1_000, 2**23
"""Letters of one transaction; a larger letter goes alone."""


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
        self._as_signal = as_signal
        self._database = Database(settings.database)
        self._converter = letter_converter(settings)
        self._store = ReplayStore(
            settings, self._database, clock=clock, probe=probe, random=random or Random()
        )

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
                request = as_received(self._converter, letter, as_signal=self._as_signal)
            except RejectedRequestError as error:
                kept.append((kept_result(letter.head, 0, str(error)), letter.head.reason))
                continue
            replayed = Replayed(letter.head, request)
            if request.rows:
                usable.append(replayed)
            else:
                kept.append(still_kept(replayed))
        async for result, reason in self._store.store(usable):
            if reason:
                kept.append((result, reason))
            else:
                yield result
        for result in await self._keep(kept):
            yield result

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
