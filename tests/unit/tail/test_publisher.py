"""tail.publisher: it tells what was committed, costs nothing unheard, and never fails a flush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector.errors import LinkError
from collector.rows import ConvertedRequest, Signal
from collector.settings import TailSettings
from collector.tail import publisher as module
from collector.tail.local_link import LocalPublisherLink
from collector.tail.message import Message, decode
from collector.tail.publisher import Publisher
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.clocks import HandClock
from tests.converted import dimensions
from tests.unit.tail.flushed import logs, numbered, points, spans
from tests.unit.tail.links import HandPublisherLink

MADE = {Signal.LOGS: numbered(0, 2), Signal.TRACES: spans("a", "b"), Signal.METRICS: points(2)}


class Stand:
    """A publisher, the link in the test's hand, and what it counted."""

    def __init__(self, *listened: Signal, **settings: Any) -> None:
        self.link = HandPublisherLink(*listened)
        self.probe = TestProbe()
        self.metrics = Metrics()
        self.clock = HandClock()
        self.publisher = Publisher(
            TailSettings(**settings),
            self.link,
            clock=self.clock,
            metrics=self.metrics,
            probe=self.probe,
            database=lambda: "1f.5",
        )

    def offer(self, *requests: ConvertedRequest, signal: Signal = Signal.LOGS) -> None:
        """Tell of one transaction."""
        self.publisher.offer(signal, requests, 42)

    def messages(self) -> list[Message]:
        """Return what was sent."""
        return [decode(body) for _, body in self.link.sent]

    def skipped(self, cause: str) -> float:
        """Return the items that were left out for a cause."""
        return sum(
            n for labels, n in self.metrics.tail_skipped.values.items() if labels[1] == cause
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Send inside the block."""
        task = asyncio.create_task(self.publisher.run())
        try:
            async with asyncio.timeout(20):
                yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it try again at once."""
    monkeypatch.setattr(module, "RETRY_S_MIN", 0.001)


@pytest.mark.parametrize("signal", Signal)
async def test_what_is_committed_is_sent_with_its_number_and_transaction(signal: Signal) -> None:
    """One message for each flush, each beginning where the one before ended."""
    stand = Stand(signal)
    async with stand.running():
        stand.offer(MADE[signal], MADE[signal], signal=signal)
        stand.offer(MADE[signal], signal=signal)
        await stand.probe.reached("tail.published", 2)

    heads = [message.head for message in stand.messages()]
    assert [(head.first, head.items, head.transaction_id) for head in heads] == [
        (0, 4, 42),
        (4, 2, 42),
    ]
    assert {head.signal for head in heads} == {signal}
    assert len({head.source for head in heads}) == 1
    assert {head.database for head in heads} == {"1f.5"}
    assert [len(message.lines) for message in stand.messages()] == [4, 2]
    assert stand.metrics.tail_published.values == {(signal.value,): 6}


async def test_each_life_has_a_name_of_its_own() -> None:
    """So that a reader takes the numbers of a new worker for new ones."""
    sources: set[str] = set()
    for _ in range(2):
        stand = Stand(Signal.LOGS)
        async with stand.running():
            stand.offer(numbered(0, 1))
            await stand.probe.reached("tail.published")
        sources.add(stand.messages()[0].head.source)

    assert len(sources) == 2


async def test_nothing_is_built_while_nobody_listens_but_all_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gap in the numbers tells the next reader what it missed."""
    stand = Stand()

    def build(*_: object) -> bytes:
        raise AssertionError("something was built")

    with monkeypatch.context() as patched:
        patched.setattr(module, "encode", build)
        stand.offer(numbered(0, 3))
        stand.offer(points(5), signal=Signal.METRICS)
    assert stand.publisher.backlog_bytes == 0
    assert stand.skipped("fault") == 0
    stand.link.listened = {Signal.LOGS}
    async with stand.running():
        stand.offer(numbered(3, 1))
        await stand.probe.reached("tail.published")

    [message] = stand.messages()
    assert (message.head.first, message.head.items) == (3, 1)


async def test_an_empty_flush_is_not_told() -> None:
    """All of it were duplicates, or quarantined."""
    stand = Stand(Signal.LOGS)

    stand.offer()
    stand.offer(logs())

    assert stand.publisher.backlog_bytes == 0


async def test_a_greeting_tells_the_next_number() -> None:
    """It stands behind what was committed before it."""
    stand = Stand(Signal.LOGS)
    async with stand.running():
        await stand.link.watched.wait()
        stand.offer(numbered(0, 3))
        assert stand.link.greet is not None
        stand.link.greet([Signal.LOGS, Signal.TRACES])
        await stand.probe.reached("tail.published", 3)

    said = [(m.head.signal, m.head.first, m.head.items) for m in stand.messages()]
    assert said == [(Signal.LOGS, 0, 3), (Signal.LOGS, 3, 0), (Signal.TRACES, 0, 0)]


async def test_who_drains_says_farewell_behind_everything() -> None:
    """To whoever listens, so that nobody takes it for killed."""
    stand = Stand(Signal.LOGS)
    async with stand.running():
        await stand.link.watched.wait()
        stand.offer(numbered(0, 3))
        await stand.publisher.drain(20)

    heads = [message.head for message in stand.messages()]
    assert [(head.first, head.items, head.is_last) for head in heads] == [
        (0, 3, False),
        (3, 0, True),
    ]


async def test_who_has_said_farewell_greets_nobody() -> None:
    """A question that comes between its farewell and its end: it would be taken for another one."""
    stand = Stand(Signal.LOGS)
    async with stand.running():
        await stand.link.watched.wait()
        await stand.publisher.drain(20)
        assert stand.link.greet is not None
        stand.link.greet([Signal.LOGS])
        await stand.publisher.drain(20)

    assert [message.head.is_last for message in stand.messages()] == [True]


async def test_the_backlog_stays_within_its_bound_and_drops_its_oldest() -> None:
    """What is left is the newest, and the numbers tell of the rest."""
    bound = 2**20
    stand = Stand(
        Signal.LOGS, backlog_bytes_max=bound, items_per_second_max=100_000, message_items_max=10_000
    )
    for n in range(400):
        stand.offer(logs(str(n), "x" * 4_000))

        assert stand.publisher.backlog_bytes <= bound
    dropped = stand.skipped("backlog")
    async with stand.running():
        await stand.probe.reached("tail.published", 400 - int(dropped) // 2)

    numbers = [message.head.first for message in stand.messages()]
    assert 0 < dropped < 800
    assert numbers == list(range(int(dropped), 800, 2))
    assert stand.publisher.backlog_bytes == 0


async def test_more_than_the_rate_is_counted_and_told() -> None:
    """The head speaks of all, the lines are fewer."""
    stand = Stand(Signal.LOGS, items_per_second_max=10)
    async with stand.running():
        stand.offer(numbered(0, 100))
        await stand.probe.reached("tail.published")

    [message] = stand.messages()
    assert (message.head.items, len(message.lines)) == (100, 5)
    assert stand.skipped("rate") == 95


async def test_more_than_a_message_holds_is_counted_and_told() -> None:
    """By bytes."""
    stand = Stand(Signal.LOGS, message_bytes_max=16_384)
    async with stand.running():
        stand.offer(logs(*["x" * 4_000] * 10))
        await stand.probe.reached("tail.published")

    [message] = stand.messages()
    assert (message.head.items, len(message.lines)) == (10, 3)
    assert stand.skipped("size") == 7


async def test_a_link_that_breaks_is_tried_again_and_what_waited_is_counted() -> None:
    """Nothing is kept for it: later it would be old news."""
    stand = Stand(Signal.LOGS)
    async with stand.running():
        await stand.link.watched.wait()
        stand.link.fail()
        stand.offer(numbered(0, 3))
        stand.offer(numbered(3, 4))
        await stand.probe.reached("tail.link_failed", 2)
        assert stand.publisher.backlog_bytes == 0
        assert stand.metrics.tail_link_up.values == {(): 0}
        stand.link.watched.clear()
        stand.link.mend()
        await stand.link.watched.wait()
        stand.offer(numbered(7, 1))
        await stand.probe.reached("tail.published")
        assert stand.metrics.tail_link_up.values == {(): 1}

    assert stand.skipped("backlog") == 7
    assert [message.head.first for message in stand.messages()] == [7]


@pytest.mark.parametrize(
    "error", [LinkError("away"), RuntimeError("a bug"), KeyError("of redis-py"), ValueError()]
)
async def test_whatever_a_link_raises_the_publisher_goes_on(error: Exception) -> None:
    """It runs beside the flushers: if it died, the worker would."""
    stand = Stand(Signal.LOGS)
    stand.link.fail(error)
    async with stand.running():
        await stand.probe.reached("tail.link_failed", 3)
        stand.link.mend()
        stand.offer(numbered(0, 1))
        await stand.probe.reached("tail.published")

    assert len(stand.messages()) == 1


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it wants to wait before each new attempt; it waits for none."""
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)
        await real_sleep(0)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    monkeypatch.setattr(module, "RETRY_S_MIN", 0.25)
    return pauses


async def test_pauses_grow_and_are_short_again_after_a_good_while(pauses: list[float]) -> None:
    """A Redis that was away in January is not waited for in June."""
    stand = Stand(Signal.LOGS)
    stand.link.fail()
    async with stand.running():
        await stand.probe.reached("tail.link_failed", 8)
        stand.link.mend()
        await stand.link.watched.wait()
        stand.clock.move(timedelta(seconds=stand.link.retry_s_max + 1))
        before = stand.probe.counts["tail.link_failed"]
        stand.link.fail()
        await stand.probe.reached("tail.link_failed", before + 2)

    assert pauses[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pauses[before] == 0.25


async def test_a_link_on_this_machine_is_tried_again_soon(pauses: list[float]) -> None:
    """However long the API was away: it is back within a second, and its readers with it."""
    stand = Stand(Signal.LOGS)
    stand.link.retry_s_max = LocalPublisherLink.retry_s_max
    stand.link.fail()
    async with stand.running():
        await stand.probe.reached("tail.link_failed", 8)

    assert set(pauses) == {0.25}


async def test_a_link_that_comes_soon_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    """An API starts later than its workers; one that stays away is told."""
    stand = Stand(Signal.LOGS)
    stand.link.patience_s = 5.0
    stand.link.fail()

    async with stand.running():
        await stand.probe.reached("tail.link_failed", 2)
        at_first = capsys.readouterr().out
        stand.clock.move(timedelta(seconds=6))
        before = stand.probe.counts["tail.link_failed"]
        await stand.probe.reached("tail.link_failed", before + 2)

    assert not at_first
    assert "live tails are away" in capsys.readouterr().out


async def test_rows_that_cannot_be_shown_raise_nothing() -> None:
    """They are committed: the flush that brought them is not to fail for us."""
    stand = Stand(*Signal)
    orphan = points(3)
    orphan.dimensions = dimensions()
    crooked = logs("a")
    crooked.rows = [("no", "row")]
    surrogate = logs("\ud800")

    with capture_logs():  # to write a traceback for people takes seconds
        for signal, made in (
            (Signal.METRICS, orphan),
            (Signal.LOGS, crooked),
            (Signal.LOGS, surrogate),
        ):
            stand.offer(made, signal=signal)

    assert stand.skipped("fault") == 5
    assert stand.publisher.backlog_bytes == 0
    async with stand.running():
        stand.offer(numbered(0, 1))
        await stand.probe.reached("tail.published")
    assert stand.messages()[0].head.first == 2
