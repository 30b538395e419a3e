"""One group commit: dimensions first and alone, then everything else in one transaction.

    add up the traces                        of all requests, as if none were known
    BEGIN, timeouts, ledger look-up          one message, takes no lock
    COPY facts and dead letters              of requests that the ledger does not know
    ledger claim                             locks; sorted
    upsert traces                            locks; sorted
    COMMIT                                   only this makes a request stored

The ledger is claimed after the COPY, because a peer that is frozen in mid-COPY (its backend sits in
ClientRead, and no timeout of the server ends that) would hold its claim over everyone's commit.

Works behind pgbouncer in transaction mode: nothing outlives the transaction but the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.errors import (
    CommitUnknownError,
    PoisonRowError,
    RetryableStoreError,
    TooManySeriesError,
)
from collector.rows import Dimensions, Reason, Signal
from collector.store import dead_letters, dimensions, ledger, traces
from collector.store.commit import GRACE_S, commit
from collector.store.copy import copy_rows
from collector.store.failures import translated
from collector.store.series_limit import numbers_beyond

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.known import KnownDimensions
    from collector.store.pool import Connection
    from collector.store.series_limit import SeriesLimit
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import Metrics
    from collector.telemetry.probe import Probe

USUAL_ROWS, USUAL_BYTES = 20_000, 2**24
"""Rows and letters, and bytes, that ``statement_s_max`` is meant for: a full group. A larger request
alone gets proportionally longer, or it could be cancelled at every try.

Rows alone do not tell: 7 325 histogram points with 9 000 buckets each are 510 MiB as we hold them,
half as much again in the COPY. The default of 10 s asks the server for 1.6 MiB/s. On a busy machine
with two cores it wrote such points at 4.5 MiB/s (counts below 256, which it tries to compress) to
23 MiB/s (equal counts)."""

RACES_MAX = 5
"""Runs lost to a peer with the same bytes before the flush is tried anew, on a new connection."""


@dataclass(frozen=True)
class Context:
    """What every transaction of one signal's flushers shares."""

    signal: Signal
    limits: DatabaseSettings
    known: KnownDimensions
    ledger: bool
    ledger_day: Callable[[date, date], date]  # (request's day, today) -> that day or the sentinel
    letters_of: dead_letters.LettersOf
    clock: Clock
    metrics: Metrics
    probe: Probe
    series_limit: SeriesLimit | None = None  # None: as many as come

    wants_transaction_id: Callable[[], bool] = lambda: False  # asked for each batch

    def statement_s(self, requests: Sequence[ConvertedRequest]) -> float:
        """Return how long one statement that writes ``requests`` may take."""
        rows = sum(len(request.rows) + len(request.dead_letters) for request in requests)
        letter_bytes = sum(
            len(letter.payload) for request in requests for letter in request.dead_letters
        )
        size_bytes = sum(request.size_bytes for request in requests)
        share = max(rows / USUAL_ROWS + letter_bytes / USUAL_BYTES, size_bytes / USUAL_BYTES)
        return self.limits.statement_s_max * max(1.0, share)

    def today(self) -> date:
        """Return the present UTC date."""
        return datetime.fromtimestamp(self.clock.unix_ns() / 1e9, UTC).date()


class Committed(NamedTuple):
    """What a transaction did."""

    stored: list[bool]
    """For each request whether its items are stored by it; if not, it is a duplicate."""
    transaction_id: int | None
    """As ``pg_snapshot`` has it: tells who reads later whether this was there already. None where
    nobody wants it, and asking costs a round trip."""


async def write_batch(
    connection: Connection,
    requests: Sequence[ConvertedRequest],
    context: Context,
    *,
    replayed: Collection[int] = (),
) -> Committed:
    """Commit ``requests`` in one transaction; tell for each whether it is stored (or a duplicate).

    Once it returns, everything is committed. A request that the ledger knew, or whose bytes stand
    twice among ``requests``, wrote nothing but a mark in the ledger.

    Items whose dimension id belongs to another digest move to the dead letters of their request.

    Args:
        connection: not inside a transaction.
        requests: what to write.
        context: of their signal.
        replayed: the dead letters that ``requests`` were made of; the transaction deletes them.

    Raises:
        LettersGoneError: not all of ``replayed`` are there and free; nothing is committed.
        TooManySeriesError: some of ``requests`` have to wait; nothing is written, and the
            connection can be used again.
        CommitUnknownError: COMMIT was sent and its answer is missing, or does not say that the data
            is safe. Run it again on a new connection; the ledger decides.
        StoreError: nothing is committed, but the connection must not be used again.
    """
    with translated(connection):
        unknown = context.known.unknown(requests)
        epoch = context.known.epoch
        if unknown is not None:
            await _check_series(connection, requests, unknown, context)
            unknown = await _write_dimensions(connection, requests, unknown, context)
        for _ in range(RACES_MAX):
            committed = await _run(connection, requests, context, replayed)
            if committed is not None:
                if unknown is not None:  # this COMMIT has flushed theirs
                    context.known.learn(unknown, epoch)
                return committed
    raise RetryableStoreError(f"lost {RACES_MAX} races for the same requests")


async def try_batch(
    connection: Connection, requests: Sequence[ConvertedRequest], context: Context
) -> None:
    """Do to ``requests`` what a flush would do, and roll it back: which row is to blame?

    The ledger is left out: it has nothing to do with a row, and its locks are for those who store.

    Raises:
        PoisonRowError: refused, and rolled back; the connection can be used again.
        StoreError: as ``write_batch`` would.
    """
    statement_s = context.statement_s(requests)
    timeout_s = statement_s + GRACE_S
    with translated(connection):
        upserts = await _upserts(requests, [True] * len(requests), context)
        await connection.execute(_begin(context, statement_s), timeout=timeout_s)
        try:
            await _write_rows(connection, requests, upserts, context, timeout_s)
        except PoisonRowError:
            await connection.execute("ROLLBACK", timeout=timeout_s)
            raise
        await connection.execute("ROLLBACK", timeout=timeout_s)


async def _write_rows(
    connection: Connection,
    requests: Sequence[ConvertedRequest],
    upserts: Sequence[traces.Columns],
    context: Context,
    timeout_s: float,
) -> None:
    """Write everything but the ledger; raise StoreError."""
    with translated(connection):
        for request in requests:
            await dimensions.write(
                connection, request.dimensions, context.today(), timeout_s=timeout_s
            )
        await copy_rows(connection, context.signal, requests, timeout_s=timeout_s)
        await dead_letters.write(connection, requests, timeout_s=timeout_s)
        await traces.upsert(connection, upserts, timeout_s=timeout_s)


async def _check_series(
    connection: Connection,
    requests: Sequence[ConvertedRequest],
    unknown: Dimensions,
    context: Context,
) -> None:
    """Return if all series that ``requests`` bring may come now.

    As long as the limit is far nobody asks which of the unknown ones are new.

    Raises:
        TooManySeriesError: names the requests that have to wait.
    """
    limit = context.series_limit
    if limit is None or len(unknown.series) <= limit.left():
        return
    absent = await dimensions.missing(
        connection,
        Dimensions({}, {}, {}, unknown.series),
        timeout_s=context.statement_s(requests) + GRACE_S,
    )
    beyond = numbers_beyond(requests, absent.series.keys(), limit.left())
    if beyond:
        raise TooManySeriesError(beyond, limit.per_minute_max)


async def _write_dimensions(
    connection: Connection,
    requests: Sequence[ConvertedRequest],
    unknown: Dimensions,
    context: Context,
) -> Dimensions:
    """Commit rows that this process does not know, and quarantine what refers to a collided id.

    Return those of ``unknown`` that are stored now: what collided must never be taken for known.
    """
    statement_s = context.statement_s(requests)
    timeout_s = statement_s + GRACE_S
    begin = _begin(context, statement_s) + "; SET LOCAL synchronous_commit = off"
    await connection.execute(begin, timeout=timeout_s)
    written = await dimensions.write(connection, unknown, context.today(), timeout_s=timeout_s)
    await connection.execute("COMMIT", timeout=timeout_s)
    for table, rows in written.inserted.items():
        context.metrics.dimensions_written.add(rows, table)
    if context.series_limit is not None:
        context.series_limit.spend(written.inserted.get("metric_series", 0))
    for request in requests:
        collided = dimensions.collisions(request.dimensions, written)
        if any(collided):
            numbers = dimensions.rows_that_refer_to(request, collided)
            await dead_letters.quarantine(request, numbers, Reason.ID_COLLISION, context.letters_of)
    return dimensions.stored(unknown, written)


async def _run(
    connection: Connection,
    requests: Sequence[ConvertedRequest],
    context: Context,
    replayed: Collection[int],
) -> Committed | None:
    """Run the transaction once; None when a peer claimed one of the requests meanwhile."""
    statement_s = context.statement_s(requests)
    timeout_s = statement_s + GRACE_S
    clock, probe = context.clock, context.probe
    begun_s = clock.monotonic_s()
    keys = _ledger_keys(requests, context)
    presumed = _first_of_unseen(requests, keys, set())
    upserts = await _upserts(requests, presumed, context)
    seen = await _begin_and_look_up(connection, keys, _begin(context, statement_s), timeout_s)
    await probe.reach("flush.begun")
    transaction = ""
    if replayed:
        transaction = await dead_letters.take(connection, replayed, timeout_s=timeout_s)

    stored = _first_of_unseen(requests, keys, seen)
    fresh = [request for request, first in zip(requests, stored, strict=True) if first]
    rows = await copy_rows(connection, context.signal, fresh, timeout_s=timeout_s)
    await dead_letters.write(connection, fresh, timeout_s=timeout_s)
    await probe.reach("flush.copied")

    if stored != presumed:  # duplicates: a group's, and a giant has nothing left to add up
        upserts = await _upserts(requests, stored, context)
    transaction_id: int | None = None
    if keys:
        claimed = await ledger.claim(connection, list(keys.values()), timeout_s=timeout_s)
        if not claimed.before <= seen:
            await connection.execute("ROLLBACK", timeout=timeout_s)
            return None
        transaction_id = claimed.transaction_id
    elif context.wants_transaction_id():
        transaction_id = await ledger.transaction_id(connection, timeout_s=timeout_s)
    await probe.reach("flush.claimed")
    await traces.upsert(connection, upserts, timeout_s=timeout_s)
    await probe.reach("flush.before_commit")

    commit_s = clock.monotonic_s()
    try:
        await commit(connection, timeout_s=timeout_s)
    except CommitUnknownError as error:
        error.stored, error.transaction = tuple(stored), transaction
        raise
    done_s = clock.monotonic_s()
    await probe.reach("flush.committed")
    signal = context.signal.value
    context.metrics.commit_seconds.observe(done_s - commit_s, signal)
    context.metrics.flush_seconds.observe(done_s - begun_s, signal)
    context.metrics.flush_rows.observe(rows, signal)
    return Committed(stored, transaction_id)


def _begin(context: Context, statement_s: float) -> str:
    limits = context.limits
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
        f"; SET LOCAL lock_timeout = {_ms(limits.lock_s_max)}"
        f"; SET LOCAL statement_timeout = {_ms(statement_s)}"
        "; SET LOCAL idle_in_transaction_session_timeout ="
        f" {_ms(limits.idle_in_transaction_s_max)}"
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))  # 0 would mean "no limit"


def _ledger_keys(
    requests: Sequence[ConvertedRequest], context: Context
) -> dict[bytes, ledger.LedgerKey]:
    """Return the key of every request that the ledger is to know, equal bytes merged."""
    if not context.ledger:
        return {}
    today = context.today()
    return {
        request.digest: _ledger_key(request, today, context)
        for request in requests
        if request.in_ledger
    }


def _ledger_key(request: ConvertedRequest, today: date, context: Context) -> ledger.LedgerKey:
    day = context.ledger_day(request.day, today)
    neighbours = (context.ledger_day(request.day, today + timedelta(days=n)) for n in (-1, 1))
    return ledger.LedgerKey(
        day,
        request.digest,
        request.items,
        own_day=request.day,
        border=day != ledger.SENTINEL_DAY and ledger.SENTINEL_DAY in neighbours,
    )


async def _begin_and_look_up(
    connection: Connection, keys: dict[bytes, ledger.LedgerKey], begin: str, timeout_s: float
) -> set[bytes]:
    """Open the transaction and return the digests that are stored already.

    The status of the look-up counts its rows, so the common case, none, costs one round trip.
    """
    if not keys:
        await connection.execute(begin, timeout=timeout_s)
        return set()
    look_up = ledger.lookup_sql(keys.values())
    status = await connection.execute(f"{begin}; {look_up}", timeout=timeout_s)
    if status == "SELECT 0":
        return set()
    return {row[0] for row in await connection.fetch(look_up, timeout=timeout_s)}


def _first_of_unseen(
    requests: Sequence[ConvertedRequest], keys: dict[bytes, Any], seen: set[bytes]
) -> list[bool]:
    """Tell for each request whether it is to be written."""
    taken = set(seen)
    stored: list[bool] = []
    for request in requests:
        if request.digest not in keys or not request.in_ledger:
            stored.append(True)
            continue
        stored.append(request.digest not in taken)
        taken.add(request.digest)
    return stored


async def _upserts(
    requests: Sequence[ConvertedRequest], stored: Sequence[bool], context: Context
) -> list[traces.Columns]:
    """Return the ``traces`` part of those requests that are to be written."""
    if context.signal is not Signal.TRACES:
        return []
    return await traces.parameters(_rows(list(compress(requests, stored))))


def _rows(requests: Sequence[ConvertedRequest]) -> chain[tuple[Any, ...]]:
    return chain.from_iterable(request.rows for request in requests)
