"""The last stored items, for a live tail to begin with."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from collector.query.filters import Filter
from collector.query.recent import Recent, find_recent
from collector.rows import PG_EPOCH_UNIX_US, Signal
from collector.settings import ApiSettings
from collector.store.pool import Database
from collector.telemetry.clock import Clock


class StoredItems:
    """Reads them on a connection of the API's own, within ``api.statement_s_max``."""

    def __init__(self, database: Database, settings: ApiSettings, clock: Clock) -> None:
        self._database = database
        self._timeout_s = settings.statement_s_max
        self._clock = clock

    async def find(
        self,
        signals: Collection[Signal],
        filter_: Filter,
        *,
        since: timedelta | None,
        limit: int,
    ) -> Recent:
        """Return the newest ``limit`` items that match, none older than ``since``.

        Raises:
            StoreError: PostgreSQL did not answer, or does not let us read.
        """
        bound: int | None = None
        if since is not None:
            now_us = self._clock.unix_ns() // 1_000 - PG_EPOCH_UNIX_US
            bound = now_us - int(since.total_seconds() * 1e6)
        async with self._database.acquire() as connection:
            return await find_recent(
                connection, signals, filter_, since=bound, limit=limit, timeout_s=self._timeout_s
            )
