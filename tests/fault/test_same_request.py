"""Fifty senders bring the same request to three daemons at once, again and again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from random import Random

import pytest

from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.fault.oracle import judge
from tests.fault.records import Record, requests
from tests.fault.sender import Line, attempt, connect_to
from tests.fault.several import daemons, endpoints_of, kill_all
from tests.fault.stage import RUN_S_MAX, stored_items, wrong_books

DAEMONS = 3
SENDERS = 50
RETRY_S = 0.05
SERVED_S_MAX = 10.0
"""All fifty have heard OK by then, also when a third of them has to go elsewhere."""
REQUESTS = 12
REQUESTS_OF_LONG_RUN = 150
LONG_RUNS = 3


class Choir:
    """Fifty senders, each with a connection to every daemon, spread evenly over them."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._heard = asyncio.Condition()
        self._count = 0

    @classmethod
    @asynccontextmanager
    async def gather(cls, endpoints: list[str]) -> AsyncGenerator[Choir]:
        """Lend them for a block."""
        async with AsyncExitStack() as open_channels:
            yield cls(
                [
                    Line([await connect_to(open_channels, each) for each in endpoints], first=first)
                    for first in range(SENDERS)
                ]
            )

    async def send(self, record: Record) -> None:
        """Return once every one of them has heard OK, or that there is no use in trying again."""
        self._count = 0
        async with asyncio.timeout(SERVED_S_MAX), asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(self._insist(record, line))

    async def heard(self, count: int) -> None:
        """Return once so many have heard OK of the request that is sent at present."""
        async with self._heard:
            await self._heard.wait_for(lambda: self._count >= count)

    async def _insist(self, record: Record, line: Line) -> None:
        while not await attempt(record, line):
            await self._pause()
        async with self._heard:
            self._count += 1
            self._heard.notify_all()

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY_S)


def ends_of(books: Iterable[dict[str, int]]) -> Counter[str]:
    """Return the sum of several books."""
    total: Counter[str] = Counter()
    for ends in books:
        total.update(ends)
    return total


async def test_fifty_senders_of_one_request_are_one_and_forty_nine_duplicates(
    durable_database: DatabaseSettings,
) -> None:
    """Every one hears OK; the items are stored once, and the books know the others."""
    records = list(islice(requests(8), REQUESTS))
    async with daemons(DAEMONS, durable_database) as running:
        async with Choir.gather(endpoints_of(running)) as choir:
            for record in records:
                await choir.send(record)
        wrong = [books for daemon in running for books in wrong_books(daemon)]
        ends = ends_of(daemon.items(signal) for daemon in running for signal in Signal)
    verdict = judge(records, await stored_items(durable_database))
    verdict.unbalanced = wrong

    items = sum(len(record.texts()) for record in records)
    verdict.assert_promises_kept()
    assert verdict.acknowledged == REQUESTS
    assert ends["stored"] + ends["quarantined"] == items
    assert ends["duplicate"] == (SENDERS - 1) * items


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(800, 800 + LONG_RUNS))
async def test_fifty_senders_and_a_killed_daemon_store_each_request_once(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """Now and then a daemon dies with the request in its hands; its senders go elsewhere."""
    await assert_kills_cost_nothing(
        durable_database, REQUESTS_OF_LONG_RUN, kill_every=10, seed=seed
    )


async def test_a_daemon_killed_among_fifty_senders_costs_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """A short run of the same, with one kill."""
    await assert_kills_cost_nothing(durable_database, REQUESTS // 2, kill_every=4, seed=9)


async def assert_kills_cost_nothing(
    database: DatabaseSettings, count: int, *, kill_every: int, seed: int
) -> None:
    """Send so many requests, kill a daemon during each ``kill_every``-th; fail unless all is kept."""
    rng = Random(f"choir {seed}")
    records = list(islice(requests(seed), count))
    async with daemons(DAEMONS, database) as running:
        for daemon in running:
            daemon.keep_ports()
        async with Choir.gather(endpoints_of(running)) as choir:
            for number, record in enumerate(records, start=1):
                if number % kill_every:
                    await choir.send(record)
                    continue
                victim = rng.choice(running)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(choir.send(record))
                    await choir.heard(rng.choice((0, 1, SENDERS // DAEMONS, SENDERS // 2)))
                    await asyncio.to_thread(kill_all, victim)
                await asyncio.to_thread(victim.start)

    verdict = judge(records, await stored_items(database))
    verdict.assert_promises_kept()
    assert verdict.acknowledged == count
