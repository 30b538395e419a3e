"""Converted requests through a real PostgreSQL and back, as a flusher writes and a reader reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from collector.convert.letters import letters_of
from collector.restore.requests import restore
from collector.rows import FACT_TABLES, ConvertedRequest, Signal
from collector.settings import DatabaseSettings
from collector.store.known import KnownDimensions
from collector.store.pool import Connection
from collector.store.read import snapshot
from collector.store.transaction import Context, write_batch
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe
from tests.factories import ExportRequest
from tests.leaves import DAY_US, make_leaves, pg_us
from tests.strategies import NOW_UNIX_NANO, REQUEST_TYPES

FORGET_AFTER = 50
"""Trips after which dimensions and letters are deleted, too."""

_ALL = "trace_spans, logs, metric_data_points, traces, resources, scopes, metrics, metric_series"


class Storage:
    """Stores requests, reads them back, and forgets them; for a database of its own.

    Args:
        connection: to a migrated database, whose facts are deleted after each trip.
        settings: of that database.
    """

    def __init__(self, connection: Connection, settings: DatabaseSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._known = KnownDimensions()
        self._trips = 0

    async def prepare(self) -> None:
        """Make the leaves that rows of requests at ``NOW_UNIX_NANO`` may stand in."""
        days = [pg_us(NOW_UNIX_NANO) + day * DAY_US for day in range(-3, 3)]
        await make_leaves(self._connection, days)

    async def there_and_back(
        self, signal: Signal, requests: Sequence[ConvertedRequest]
    ) -> ExportRequest:
        """Return what PostgreSQL holds of ``requests`` once they are committed in one transaction.

        Raises:
            StoreError: it did not take them; the connection must not be used again.
        """
        await self.store(signal, requests)
        restored = await self._read_back(signal)
        await self.forget(signal)
        return restored

    async def store(self, signal: Signal, requests: Sequence[ConvertedRequest]) -> None:
        """Commit ``requests`` in one transaction.

        Raises:
            StoreError: as ``there_and_back``.
        """
        context = Context(
            signal=signal,
            limits=self._settings,
            known=self._known,
            ledger=False,
            ledger_day=_same_day,
            letters_of=letters_of,
            clock=SystemClock(),
            metrics=Metrics(),
            probe=Probe(),
        )
        assert all((await write_batch(self._connection, requests, context)).stored)

    async def _read_back(self, signal: Signal) -> ExportRequest:
        """Return everything that is stored of a signal, in chunks so small that items get parted."""
        whole = REQUEST_TYPES[signal]()
        async with snapshot(self._connection) as frozen:
            async for chunk in frozen.chunks(signal, chunk_rows=7):
                part = restore(signal, chunk.rows, chunk.dimensions)
                whole.MergeFromString(part.SerializeToString())
        return whole

    async def forget(self, signal: Signal) -> None:
        """Delete what is stored of a signal."""
        self._trips += 1
        if self._trips % FORGET_AFTER:
            await self._connection.execute(f"DELETE FROM {FACT_TABLES[signal]}; DELETE FROM traces")
        else:
            await self.clear()

    async def clear(self) -> None:
        """Delete everything."""
        await self._connection.execute(f"TRUNCATE {_ALL}, dead_letters")
        self._known = KnownDimensions()

    def terminate(self) -> None:
        """Cut the connection."""
        self._connection.terminate()


def _same_day(day: date, _: date) -> date:
    return day
