"""The daemon's wall clock jumps under load, by days, ahead and back."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from random import Random

import pytest

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, numbered_logs
from tests.fault.broken import changed_by
from tests.fault.sender import RecordingSender
from tests.fault.stage import failing, run_under, serves_again

DAY_NS = 86_400 * 10**9
JUMPS_DAYS = (2, -2, 40, -400, 0)
"""Beyond the day that a sender may be ahead; back again; beyond the retention; before any leaf; home."""
ACKNOWLEDGED_BETWEEN_MAX = 60


class HandedClock:
    """The wall clock of daemons that run in ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment = changed_by("jumping_clock") | {"FAULT_CLOCK_FILE": str(self._file)}
        self.jump_to(0)

    def jump_to(self, days: int) -> None:
        """Be so many days ahead of the machine's clock, in all running daemons and at once."""
        shift = struct.pack("=q", days * DAY_NS)
        if not self._file.exists():
            self._file.write_bytes(shift)
        with self._file.open("r+b") as file:  # in place: the daemons have it mapped
            file.write(shift)


@pytest.fixture
def clock(tmp_path: Path) -> HandedClock:
    """A clock that is right at first."""
    return HandedClock(tmp_path)


@pytest.mark.long
async def test_a_jumping_clock_loses_and_repeats_nothing(
    durable_database: DatabaseSettings, clock: HandedClock
) -> None:
    """Leaves are made where they are missing, times out of reach are kept beside, retries known."""

    async def jump(_daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for days in JUMPS_DAYS:
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_MAX))
            clock.jump_to(days)
            await serves_again(sender)

    verdict = await run_under(jump, durable_database, seed=10, environment=clock.environment)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > len(JUMPS_DAYS)


async def test_a_hold_is_no_shorter_and_no_longer_for_it(
    durable_database: DatabaseSettings, administrator: Connection, clock: HandedClock
) -> None:
    """A call waits for a lock while the clock jumps, and is stored and answered when that is gone."""
    running = Daemon(durable_database, workers=1, await_store=True, **clock.environment)
    with running as daemon, Caller(daemon.grpc_port) as caller:
        async with administrator.transaction():
            await administrator.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(
                asyncio.to_thread(caller.send, Signal.LOGS, numbered_logs([1]), timeout_s=30.0)
            )
            for days in (40, -40):
                await failing(daemon, "55P03")
                clock.jump_to(days)
            await failing(daemon, "55P03")
            assert not call.done()
        heard = await call

    assert heard == b""
    assert await administrator.fetchval("SELECT count(*) FROM logs") == 1
