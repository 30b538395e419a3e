"""Ends our own backends whose client hangs in the middle of a transaction.

A worker that is frozen (stopped, swapped out, cut off) in mid-COPY leaves a backend that waits for
its client for ever: neither ``statement_timeout`` nor ``idle_in_transaction_session_timeout`` ends
a read of COPY data. What that backend has locked stays locked, so some other worker ends it.

Needs no privilege: a role may end the backends of its own role.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from collector.store.failures import translate

if TYPE_CHECKING:
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection, Database
    from collector.telemetry.metrics import Metrics
    from collector.telemetry.probe import Probe

_log = structlog.stdlib.get_logger(__name__)

LOOKS_PER_LIMIT = 3
"""A backend is ended at the latest after 4/3 of ``reap_after_s``."""

_REAP = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE pid <> pg_backend_pid()
  AND datname = current_database()
  AND usename = current_user
  AND application_name = $1
  AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
  AND xact_start < clock_timestamp() - make_interval(secs => $2)
"""


async def reap(connection: Connection, settings: DatabaseSettings) -> int:
    """End every backend of ours that has waited too long for its client; return how many."""
    ended: int = await connection.fetchval(_REAP, settings.app_name, settings.reap_after_s)
    return ended


class Reaper:
    """Reaps now and then. One per worker, so that one is awake when another is frozen."""

    def __init__(
        self, database: Database, settings: DatabaseSettings, *, metrics: Metrics, probe: Probe
    ) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._probe = probe

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._settings.reap_after_s / LOOKS_PER_LIMIT)
            try:
                async with self._database.acquire() as connection:
                    ended = await reap(connection, self._settings)
            except Exception as error:  # noqa: BLE001 -- PostgreSQL may be away; look again later
                _log.debug("reap_failed", error=str(translate(error)))
            else:
                if ended:
                    self._metrics.reaped.add(ended)
                    _log.warning("backends_reaped", ended=ended)
            await self._probe.reach("reaper.looked")
