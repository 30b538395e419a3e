"""What is older than its window leaves the ledger, without holding up who writes to it.

A leaf is let go by its *content*: it may be of an old day and hold a request of a minute ago, for a
sender may catch up on a week. It is detached CONCURRENTLY, which waits for running transactions
instead of blocking new ones, and dropped; or attached again, if rows came while it was on its way
out. Whoever needs a leaf for its day before that is done takes it back as well (migration 0008).

A detach that has begun and cannot end, because somebody's transaction has looked at the ledger and
goes on (pg_dump, a long SELECT), leaves a day for which nothing can be stored. So it does not begin
before everybody who holds a lock on the ledger has let go of it. A holder may still come in the
moment between; then the next round finishes the detach as soon as it can.

What is old is so by two clocks, the worker's and the server's: a worker that is days ahead would drop
what everybody else is still filling, and what is dropped does not come back. Claims bear the time of
the server (``store.ledger``), so a worker whose clock is behind merely leaves the work to others.

Whoever does not own the ledger (a role that may only insert) deletes the old rows instead.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING

import asyncpg
import structlog

from collector.errors import LedgerHeldError
from collector.rows import PG_EPOCH_UNIX_US
from collector.store.failures import translated
from collector.store.migrate import LOCK_CLASS, MIGRATIONS_KEY
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collector.store.pool import Connection, Database
    from collector.telemetry.clock import Clock
    from collector.telemetry.probe import Probe

HOLDERS_PER_REAP = 0.25
"""Part of ``reap_after_s`` that holders of the ledger get to let go of it: flushes do, a dump does not."""

HOLDERS_LOOK_S = 0.05
"""Pause between two looks at them."""

DETACH_PER_REAP = 0.5
"""Part of ``reap_after_s`` that a detach may take: the transaction that guards it waits meanwhile,
and the reaper would end that. A reader may keep its transaction open; then the leaf stays half
detached until the next round."""

_STATE = """
SELECT quote_ident(c.relname) AS leaf, i.inhdetachpending AS pending
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'ingest_ledger'::regclass AND c.relname <> 'ingest_ledger_sentinel'
UNION ALL
SELECT quote_ident(c.relname), NULL
FROM pg_class AS c
JOIN pg_class AS p ON p.relnamespace = c.relnamespace AND p.relowner = c.relowner
WHERE p.oid = 'ingest_ledger'::regclass AND c.relkind = 'r' AND NOT c.relispartition
  AND c.relname ~ '^ingest_ledger_p[0-9]{8}(_[0-9]+)?$'
ORDER BY 2 DESC NULLS FIRST, 1
"""
"""Every leaf, with whether a detach of it was begun; NULL when it is detached but not dropped.

What counts as a detached leaf is what migration 0008 would take back: a table that is called just
like one, in the ledger's schema and of its owner. Any other belongs to somebody else.

The begun one comes before the whole ones: PostgreSQL refuses to detach another before it is done.
"""

_HOLDERS = """
SELECT virtualtransaction
FROM pg_locks
WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation IN ('ingest_ledger'::regclass, $1::text::regclass)
"""
"""Transactions, of whatever role, that a detach of this leaf would wait for; no privilege is needed.

A mere snapshot is none: only FINALIZE waits for those, and their age is not for every role to see.
"""

_EARLIER_NOW = "SELECT least($1::timestamptz, now())"

_DELETE = "DELETE FROM ingest_ledger WHERE received_at < $1"
_DELETE_SENTINEL = _DELETE + " AND day = DATE '1970-01-01'"


class LedgerRetirement:
    """Keeps ``ingest_ledger`` to the requests of the last ``window_h`` hours, roughly."""

    def __init__(self, window_h: float, database: Database, clock: Clock, *, probe: Probe) -> None:
        """Moments of the probe: ``ledger.held``, ``ledger.free``, between which a leaf waits."""
        self._window_us = round(window_h * 3_600_000_000)
        self._database = database
        self._clock = clock
        self._probe = probe
        self._log = structlog.stdlib.get_logger("otlpg.maintain")

    async def retire(self) -> None:
        """Let go of every leaf, and every row of the sentinel leaf, that is past the window.

        Past it by the clock of this process and by that of the server.

        Raises:
            StoreError: PostgreSQL did not; what is left over is taken up by the next call.
        """
        with translated(only=DRIVER_ERRORS):
            await self._retire()

    async def _retire(self) -> None:
        async with self._database.acquire() as connection:
            cutoff = await self._cutoff(connection)
            owner = await connection.fetchval(
                "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class"
                " WHERE oid = 'ingest_ledger'::regclass"
            )
            if owner:
                await connection.execute(_DELETE_SENTINEL, cutoff)
            else:
                await connection.execute(_DELETE, cutoff)
            leaves = [row["leaf"] for row in await connection.fetch(_STATE)] if owner else []
        for leaf in leaves:
            try:
                await self._let_go(leaf, cutoff)
            except asyncpg.LockNotAvailableError:
                return  # another process is at it, and will go on after this leaf
            except LedgerHeldError:
                self._log.info("ledger is held by a long transaction; old leaves stay", leaf=leaf)
                return

    async def _cutoff(self, connection: Connection) -> int:
        """Return the moment before which a claim is old by the clock that is behind the other."""
        own_now = self._clock.unix_ns() // 1000 - PG_EPOCH_UNIX_US
        now: int = await connection.fetchval(_EARLIER_NOW, own_now)
        return now - self._window_us

    async def _let_go(self, leaf: str, cutoff: int) -> None:
        """Drop one leaf, whatever state it was left in, unless a row of it is still young.

        ``guard`` is inside a transaction, in which it keeps makers of ledger leaves out by an
        advisory lock: nobody makes or takes back a leaf until this one's fate is decided. Detaching
        waits for whoever holds a lock on the ledger or a snapshot: ``guard`` has neither, so long
        as it has run nothing but this text (a query's portal would keep its snapshot).
        """
        async with self._database.acquire() as guard, guard.transaction():
            await guard.execute(
                f"SET LOCAL lock_timeout = '{self._database.settings.lock_s_max}s';"
                f"SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, {MIGRATIONS_KEY});"
                f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, 'ingest_ledger'::regclass::oid::integer)"
            )
            async with self._database.acquire() as connection:
                detached = await self._detach(connection, leaf, cutoff)
            if detached and not await _take_back(guard, leaf, cutoff):
                await guard.execute(f"DROP TABLE {leaf}")
                self._log.info("ledger leaf dropped", leaf=leaf)

    async def _detach(self, connection: Connection, leaf: str, cutoff: int) -> bool:
        """Detach the leaf unless a row of it is young; return whether it is a table by itself now.

        Raises:
            LedgerHeldError: the detach would wait, and was not begun.
        """
        state = {row["leaf"]: row["pending"] for row in await connection.fetch(_STATE)}
        if leaf not in state:
            return False  # another process was faster
        pending = state[leaf]
        if pending is None:
            return True
        if not pending:
            if await _is_needed(connection, leaf, cutoff):
                return False
            await self._wait_for_holders(connection, leaf)
        how = "FINALIZE" if pending else "CONCURRENTLY"
        await connection.execute(
            f"ALTER TABLE ingest_ledger DETACH PARTITION {leaf} {how}",
            timeout=self._database.settings.reap_after_s * DETACH_PER_REAP,
        )
        return True

    async def _wait_for_holders(self, connection: Connection, leaf: str) -> None:
        """Return once everybody who held the ledger or the leaf at the first look has let go of it.

        Who comes later is not waited for, or a busy ledger would never be free: a flush is brief.

        Raises:
            LedgerHeldError: one of them still holds it.
        """
        patience_s = self._database.settings.reap_after_s * HOLDERS_PER_REAP
        holders = await _holders(connection, leaf)
        for _ in range(ceil(patience_s / HOLDERS_LOOK_S)):
            if not holders:
                break
            await self._probe.reach("ledger.held")
            await asyncio.sleep(HOLDERS_LOOK_S)
            holders &= await _holders(connection, leaf)
        if holders:
            raise LedgerHeldError(len(holders))
        await self._probe.reach("ledger.free")


async def _holders(connection: Connection, leaf: str) -> set[str]:
    """Return the transactions that hold a lock on the ledger or the leaf."""
    return {row["virtualtransaction"] for row in await connection.fetch(_HOLDERS, leaf)}


async def _is_needed(connection: Connection, leaf: str, cutoff: int) -> bool:
    """Return whether the leaf is of a day that is still to be filled, or holds a young row."""
    return await _reaches_into_window(connection, leaf, cutoff) or await _has_young(
        connection, leaf, cutoff
    )


async def _reaches_into_window(connection: Connection, leaf: str, cutoff: int) -> bool:
    """Return whether the leaf is of a day inside the window or ahead: it is there to be filled."""
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM otlpg_leaves()"
        " WHERE parent = 'ingest_ledger' AND quote_ident(leaf) = $1 AND ends_at > $2)",
        leaf,
        cutoff,
    )


async def _has_young(connection: Connection, leaf: str, cutoff: int) -> bool:
    """Return whether a row of the leaf is inside the window."""
    return await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {leaf} WHERE received_at >= $1)",  # noqa: S608 -- quoted
        cutoff,
    )


async def _take_back(guard: Connection, leaf: str, cutoff: int) -> bool:
    """Attach a detached leaf again if a row of it is young; False when it may be dropped.

    When its day has another leaf by now, the young rows move there.
    """
    if not await _has_young(guard, leaf, cutoff):
        return False
    day = await guard.fetchval(f"SELECT day FROM {leaf} LIMIT 1")  # noqa: S608 -- quoted
    taken_back = await guard.fetchval(
        "SELECT quote_ident(otlpg_make_leaf("
        "'ingest_ledger', $1::date::timestamp AT TIME ZONE 'UTC', 24))",
        day,
    )
    if taken_back == leaf:
        return True
    columns = "day, digest, received_at, items, seen"
    await guard.execute(
        f"INSERT INTO ingest_ledger ({columns}) SELECT {columns} FROM {leaf}"  # noqa: S608 -- quoted
        " WHERE received_at >= $1 ON CONFLICT DO NOTHING",
        cutoff,
    )
    return False
