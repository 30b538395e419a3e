"""Asks PostgreSQL now and then whether it is there and takes writes: what readiness stands on.

The flushers notice it too, but only when somebody sends.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from collector.store.failures import translate
from collector.store.pool import Database
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

EVERY_S: Final = 2.0

_log = structlog.stdlib.get_logger("otlpg.store")


class Pulse:
    """Keeps ``otlpg_store_up`` true of an idle daemon, and tells of each change once."""

    def __init__(
        self, database: Database, *, metrics: Metrics, probe: Probe, every_s: float = EVERY_S
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._probe = probe
        self._every_s = every_s
        self._up = True

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self._ask()
            await self._probe.reach("pulse.asked")

    async def _ask(self) -> None:
        reason = ""
        try:
            async with self._database.acquire() as connection:
                standby: bool = await connection.fetchval(
                    "SELECT pg_is_in_recovery()", timeout=self._database.settings.connect_s_max
                )
            if standby:
                reason = "the server is a standby"
        except Exception as error:  # noqa: BLE001 -- whatever it is, the store did not answer
            reason = str(translate(error))
        up = not reason
        self._metrics.store_up.set(up)
        if up is not self._up:
            self._up = up
            if up:
                _log.info("store is back")
            else:
                _log.warning("store is away", error=reason)
