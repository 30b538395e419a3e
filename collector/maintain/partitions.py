"""Leaves are there before a flush needs them: made ahead of time, and on demand for late items.

A leaf is made on a connection of its own, before the flush begins its transaction: inside it, the
maker would wait for other flushes while it holds up theirs. The catalog decides, not the clock:
``otlpg_make_leaf`` (migration 0006) fits a new leaf into the gap between those that exist, so the
leaf length may change at any time, and several processes may make leaves at once.

What was learned of the catalog is kept: a flush asks ``covers`` for each batch and pays for one
bisection. When the answer was wrong (somebody dropped a leaf), the flush fails with
``MissingLeafError``, calls ``forget``, and ``ensure`` reads the catalog again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING

import structlog

from collector.errors import StoreError
from collector.maintain.leaves import HOUR_US, Coverage, day_us
from collector.rows import FACT_TABLES, PG_EPOCH_UNIX_US, Signal
from collector.store.failures import translated
from collector.store.ledger import SENTINEL_DAY
from collector.store.migrate import LOCK_CLASS, MIGRATIONS_KEY
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collector.settings import PartitionSettings
    from collector.store.pool import Connection, Database
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import Metrics

LEDGER_DAYS_AHEAD = 2
"""A sender's clock may be a day ahead, and a day may end while its request waits."""

LEAVES_PER_TRANSACTION = 24
"""Each new leaf keeps about ten locks until COMMIT, and the server's lock table is finite."""


class Partitions:
    """The leaves of all partitioned tables, as one process knows them.

    Units: times are microseconds since 2000-01-01 UTC.
    """

    def __init__(
        self, settings: PartitionSettings, database: Database, clock: Clock, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._log = structlog.stdlib.get_logger("otlpg.maintain")
        self._one_by_one = asyncio.Lock()
        self._coverage: dict[str, Coverage] = {}
        self._leaf_h = {
            FACT_TABLES[Signal.TRACES]: settings.spans_leaf_h,
            FACT_TABLES[Signal.METRICS]: settings.points_leaf_h,
            FACT_TABLES[Signal.LOGS]: settings.logs_leaf_h,
            "traces": 24,
            "ingest_ledger": 24,
        }

    async def prepare(self) -> None:
        """Make the leaves of every table from an hour ago to ``ahead_h`` from now.

        Raises:
            StoreError: PostgreSQL did not; what is on demand still works.
        """
        now = self._clock.unix_ns() // 1000 - PG_EPOCH_UNIX_US
        end = now + self._settings.ahead_h * HOUR_US
        async with self._one_by_one, self._connection() as connection:
            await self._learn(connection)  # what was known stays good for others meanwhile
            for table, hours in self._leaf_h.items():
                times = [*range(now - HOUR_US, end, hours * HOUR_US), end]
                await self._make(connection, table, times)

    def covers(self, table: str, time_min: int, time_max: int) -> bool:
        """Return whether every moment between the two, both included, is known to have a leaf."""
        coverage = self._coverage.get(table)
        return coverage is not None and coverage.holds(time_min, time_max)

    def covers_day(self, table: str, day: date) -> bool:
        """Return whether a table that is partitioned by day is known to have a leaf for it."""
        return self.covers(table, day_us(day), day_us(day))

    async def ensure(self, table: str, times: Iterable[int]) -> None:
        """Make sure that each of the times has a leaf. Idempotent, here and in other processes.

        Waits for other makers and for a migration as long as one statement may take, for nobody
        else longer than ``lock_s_max``, and makes nobody wait: see migration 0006.

        Raises:
            StoreError: PostgreSQL did not make one; call again later.
        """
        wanted = list(times)
        async with self._one_by_one:
            if all(self.covers(table, t, t) for t in wanted):
                return  # somebody else waited for the same leaf and was first
            async with self._connection() as connection:
                await self._learn(connection)
                await self._make(connection, table, wanted)

    async def ensure_day(self, table: str, day: date) -> None:
        """Make sure that a table that is partitioned by day has a leaf for it; as ``ensure``."""
        await self.ensure(table, [day_us(day)])

    def ledger_day(self, day: date, now: date) -> date:
        """Return the day under which the ledger keeps a request of ``day``: it, or the sentinel.

        Only days inside the retention get a leaf of their own, or a sender with a broken clock
        could have a leaf made for every day of history.
        """
        oldest = now - timedelta(days=self._settings.retention_days)
        newest = now + timedelta(days=LEDGER_DAYS_AHEAD)
        return day if oldest <= day <= newest else SENTINEL_DAY

    def forget(self) -> None:
        """Know nothing; the next ``ensure`` reads the catalog."""
        self._coverage.clear()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection for a block, in which the driver's errors become ours."""
        with translated(only=DRIVER_ERRORS):
            async with self._database.acquire() as connection:
                yield connection

    async def _make(self, connection: Connection, table: str, times: list[int]) -> None:
        """Make leaves until each of the times has one; the catalog was just read.

        Beside older leaves of another length one slot may have several gaps: a round makes one
        leaf in each slot, and the next looks at what is left.
        """
        slot_us = self._leaf_h[table] * HOUR_US
        missing = self._coverage[table].missing(times, slot_us)
        while missing:
            for first in range(0, len(missing), LEAVES_PER_TRANSACTION):
                chunk = missing[first : first + LEAVES_PER_TRANSACTION]
                await self._make_leaves(connection, table, chunk)
            await self._learn(connection)
            asked, missing = missing, self._coverage[table].missing(times, slot_us)
            if not set(missing).isdisjoint(asked):
                raise StoreError(f"a leaf of {table} was made and is gone again")

    async def _make_leaves(self, connection: Connection, table: str, times: list[int]) -> None:
        """Make the leaves of these times in one transaction.

        The advisory locks, which ``otlpg_make_leaf`` takes too, may take their time: only makers
        wait for each other there. The lock on the parent may not: everybody waits behind it.
        """
        limits = self._database.settings
        async with connection.transaction():
            await connection.execute(
                f"SET LOCAL lock_timeout = '{limits.statement_s_max}s';"
                f"SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, {MIGRATIONS_KEY});"
                f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, '{table}'::regclass::oid::integer);"
                f"SET LOCAL lock_timeout = '{limits.lock_s_max}s';"
                f"SET LOCAL statement_timeout = '{limits.statement_s_max}s'"
            )
            made = await connection.fetch(
                "SELECT leaf FROM unnest($2::timestamptz[]) AS moment,"
                " otlpg_make_leaf($1, moment, $3) AS leaf WHERE leaf IS NOT NULL",
                table,
                times,
                self._leaf_h[table],
                timeout=limits.statement_s_max,
            )
        if made:
            names = sorted(row["leaf"] for row in made)
            self._metrics.leaves_made.add(len(names), table)
            self._log.info(
                "leaves made", table=table, count=len(names), first=names[0], last=names[-1]
            )

    async def _learn(self, connection: Connection) -> None:
        """Read from the catalog which leaves there are."""
        found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in await connection.fetch(
            "SELECT parent, starts_at, ends_at FROM otlpg_leaves()",
            timeout=self._database.settings.statement_s_max,
        ):
            found[row["parent"]].append((row["starts_at"], row["ends_at"]))
        self._coverage = {table: Coverage(found[table]) for table in self._leaf_h}
