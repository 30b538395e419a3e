"""A reader opens a tail and never reads: it hurts nobody, and it is told what it missed."""

from __future__ import annotations

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.tailing import tailing
from tests.fault.sender import RecordingSender
from tests.fault.watching import Watcher, flat, pace, run_watched

REQUESTS = 300
SMALL = {"OTLPG_TAIL__READER_BYTES_MAX": "256KiB"}
"""So that a reader that does not read drops soon."""


async def test_a_silent_reader_drops_its_own(database_settings: DatabaseSettings) -> None:
    """Ingest keeps its pace, the other reader sees everything, no memory grows."""

    async def be_silent(daemon: Daemon, sender: RecordingSender, watcher: Watcher) -> None:
        before_s = await pace(sender, REQUESTS)
        async with tailing(daemon.api_port, "signal=all") as silent, flat(daemon):
            await daemon.until_metric("otlpg_tail_skipped_total", cause="slow")
            during_s = await pace(sender, REQUESTS)
            quick = watcher.seen.total()
            await watcher.until(lambda: watcher.seen.total() > quick)
            while not silent.skipped("slow"):  # now it reads
                await silent.event()
        assert during_s < 1.5 * before_s + 0.5, (before_s, during_s)

    verdict = await run_watched(be_silent, database_settings, seed=51, environment=SMALL)

    verdict.assert_promises_kept()
