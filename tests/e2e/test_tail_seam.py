"""Where the stored items of a tail end and the live ones begin: no gap, no repeat."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, numbered_logs
from tests.e2e.tailing import Tail, tailing

REQUESTS = 120
RECORDS = 5
EVERY = 6
"""A tail opens after so many requests."""
TAILS = REQUESTS // EVERY
LAST = REQUESTS * RECORDS

SETTINGS: dict[str, Any] = {
    "OTLPG_API__ENABLED": "true",
    "OTLPG_TAIL__ITEMS_PER_SECOND_MAX": "100000",
    "OTLPG_TAIL__READERS_PER_CLIENT_MAX": "20",
}


async def test_tails_that_open_under_load_show_each_item_once(
    database_settings: DatabaseSettings,
) -> None:
    """Twenty tails open while two workers commit; each shows all that is stored, then the rest."""
    opened: list[list[str]] = []
    caught_up = asyncio.Semaphore(0)
    last_is_sent = asyncio.Event()

    async def watch(port: int) -> None:
        async with tailing(port, "signal=logs&n=1000") as tail:
            bodies: list[str] = []
            opened.append(bodies)
            while len(bodies) < LAST:
                bodies += await tail.bodies(1)
            caught_up.release()
            await last_is_sent.wait()
            bodies += await tail.bodies(1)
            assert_whole(tail)

    with Daemon(database_settings, workers=2, **SETTINGS) as daemon, ExitStack() as stack:
        await daemon.until_metric("otlpg_tail_link_up", 2)  # what is committed before is lost
        callers = [stack.enter_context(Caller(daemon.grpc_port)) for _ in range(4)]
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for number in range(REQUESTS):
                if number % EVERY == 0:
                    tasks.create_task(watch(daemon.api_port))
                records = numbered_logs(range(number * RECORDS, (number + 1) * RECORDS))
                caller = callers[number % len(callers)]
                assert await asyncio.to_thread(caller.send, Signal.LOGS, records) == b""
            for _ in range(TAILS):
                await caught_up.acquire()
            last = numbered_logs([LAST])
            assert await asyncio.to_thread(callers[0].send, Signal.LOGS, last) == b""
            last_is_sent.set()

    assert len(opened) == TAILS
    for bodies in opened:
        assert sorted(map(int, bodies)) == list(range(LAST + 1))
        assert bodies[-1] == str(LAST)


def assert_whole(tail: Tail) -> None:
    """Fail when a tail was told that something is missing, or never got to what is live."""
    kinds = {event.kind for event in tail.seen}
    assert kinds == {"item", "live"}, kinds
