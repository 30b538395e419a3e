"""One run of a fault test with a live tail open: nothing that was stored may go by unseen and untold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psutil

from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.tailing import Tail, tailing
from tests.fault.oracle import Verdict, judge
from tests.fault.sender import RecordingSender
from tests.fault.stage import PAUSE_S, load, serves_again, stored_items, wrong_books

ACCOUNTS_S_MAX = 30.0
"""After the fault: so long until the tail has told of all that was stored."""
GROWTH_BYTES_MAX = 48 * 2**20
"""Of a process in a fault: caches, the interpreter's own; a leak under this load is more."""

Fault = Callable[[Daemon, RecordingSender, "Watcher"], Awaitable[None]]


class Watcher:
    """Reads a tail, and counts what it shows and what it says that it does not show."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self.seen: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        self.unknown = 0  # gaps of which nobody knows the length
        self.links: list[bool] = []
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Read until cancelled; fail on what no daemon says in the middle of a tail of these tests."""
        while True:
            kind, data, _ = await self._tail.event()
            self._tail.seen.clear()
            async with self._changed:
                if kind == "item":
                    self.seen[data["signal"]] += 1
                elif kind == "link":
                    self.links.append(data["up"])
                elif kind == "skipped" and data["items"] is None:
                    self.unknown += 1
                elif kind == "skipped":
                    self.told[data["signal"]] += data["items"]
                    self.why[data["why"]] += data["items"]
                else:
                    raise AssertionError(f"the tail says {kind}: {data}")
                self._changed.notify_all()

    async def until(self, what: Callable[[], bool]) -> None:
        """Return once this holds of what was counted."""
        async with self._changed:
            await self._changed.wait_for(what)

    def total(self) -> Counter[str]:
        """Return how many items were shown or told to be missing."""
        return self.seen + self.told


@asynccontextmanager
async def watching(port: int, query: str = "signal=all") -> AsyncGenerator[Watcher]:
    """Read a tail inside the block, from the moment that it is live; its end ends the block too."""
    async with tailing(port, query) as tail, asyncio.TaskGroup() as tasks:
        await tail.until("live")
        watcher = Watcher(tail)
        task = tasks.create_task(watcher.run())
        try:
            yield watcher
        finally:
            task.cancel()


async def run_watched(
    fault: Fault,
    database: DatabaseSettings,
    seed: int,
    *,
    exact: bool = True,
    pause_s: float = PAUSE_S,
    environment: Mapping[str, str],
) -> Verdict:
    """Return the verdict on a daemon with a live tail that met ``fault`` under load.

    No process may die, and no item be refused: whatever happens to Redis or a reader, ingest does not
    notice. Unless not ``exact``, the tail has shown each stored item, or counted it as missing.
    """
    settings: dict[str, Any] = {"OTLPG_API__ENABLED": "true", **environment}
    daemon = Daemon(database, workers=2, **settings)
    try:
        await asyncio.to_thread(daemon.start)
        async with watching(daemon.api_port) as watcher:
            async with load(f"127.0.0.1:{daemon.grpc_port}", seed=seed, pause_s=pause_s) as sender:
                await fault(daemon, sender, watcher)
                await serves_again(sender)
            wrong = await asyncio.to_thread(wrong_books, daemon)
            books = {signal.value: daemon.items(signal) for signal in Signal}
            stored = {signal: ends["stored"] for signal, ends in books.items()}
            if exact:
                await _account_for(watcher, stored)
                assert watcher.unknown == 0
        assert {ends["refused"] for ends in books.values()} == {0}, books
        assert daemon.metric("otlpg_worker_restarts_total") == 0, daemon.log_text()
        assert daemon.metric("otlpg_api_restarts_total") == 0, daemon.log_text()
        assert await asyncio.to_thread(daemon.stop) == 0, daemon.log_text()
    finally:
        await asyncio.to_thread(daemon.kill)
    verdict = judge(sender.records, await stored_items(database))
    verdict.unbalanced = wrong
    return verdict


async def _account_for(watcher: Watcher, stored: dict[str, int]) -> None:
    """Return once the tail has shown, or told of, each item; fail when it does not."""
    try:
        async with asyncio.timeout(ACCOUNTS_S_MAX):
            await watcher.until(lambda: watcher.total() == Counter(stored))
    except TimeoutError:
        raise AssertionError(
            f"stored {stored}, but seen {watcher.seen} and told {watcher.told} ({watcher.why})"
        ) from None


async def linked(daemon: Daemon, workers: int) -> None:
    """Return once so many workers can publish."""
    await daemon.until_metric("otlpg_tail_link_up", workers)


async def pace(sender: RecordingSender, requests: int) -> float:
    """Return how long so many acknowledgements take now.

    Units: seconds.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await sender.acknowledged(requests)
    return loop.time() - began_s


@asynccontextmanager
async def flat(daemon: Daemon, growth_bytes_max: int = GROWTH_BYTES_MAX) -> AsyncGenerator[None]:
    """Fail when a process of the daemon has grown inside the block by more than this."""

    def sizes() -> dict[psutil.Process, int]:
        return {each: each.memory_info().rss for each in (*daemon.workers(), daemon.api())}

    before = sizes()
    yield
    grown = {each.pid: size - before[each] for each, size in sizes().items()}
    assert max(grown.values()) < growth_bytes_max, grown
