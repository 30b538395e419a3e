"""The loop that keeps the house: leaves ahead of time, and a ledger of bounded size."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from collector.errors import StoreError

if TYPE_CHECKING:
    from collector.maintain.ledger import LedgerRetirement
    from collector.maintain.partitions import Partitions
    from collector.telemetry.probe import Probe

EVERY_S = 600.0
"""Leaves reach a day ahead and more, so that many rounds may fail before anybody notices."""
RETRY_S = 5.0


class Schedule:
    """One process's round of maintenance; every process may run one, the database sorts them out.

    The pause is jittered, so that workers that started together do not come together.
    """

    def __init__(
        self,
        partitions: Partitions,
        ledger: LedgerRetirement,
        *,
        probe: Probe,
        randomness: random.Random | None = None,
        every_s: float = EVERY_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._partitions = partitions
        self._ledger = ledger
        self._probe = probe
        self._random = randomness or random.Random()
        self._every_s = every_s
        self._retry_s = retry_s
        self._log = structlog.stdlib.get_logger("otlpg.maintain")

    async def run(self) -> None:
        """Go round until cancelled. A round that fails is told and comes again soon."""
        while True:
            pause_s = self._every_s if await self._round() else self._retry_s
            await asyncio.sleep(pause_s * self._random.uniform(0.8, 1.2))

    async def _round(self) -> bool:
        """Do everything once; one job's failure does not keep the next from its turn."""
        succeeded = True
        for job in (self._partitions.prepare, self._ledger.retire):
            try:
                await job()
            except StoreError as error:
                succeeded = False
                self._log.warning(
                    "maintenance failed",
                    job=job.__qualname__,
                    sqlstate=error.sqlstate,
                    error=str(error),
                )
        await self._probe.reach("schedule.round" if succeeded else "schedule.failed")
        return succeeded
