"""tail.subscriber: what is heard is passed on, and what is not heard is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from collector.errors import LinkError
from collector.items import Item
from collector.rows import Signal
from collector.tail import subscriber as module
from collector.tail.message import Head, encode
from collector.tail.subscriber import PUBLISHERS_MAX, Feed, Started
from tests.clocks import HandClock
from tests.unit.tail.flushed import numbered
from tests.unit.tail.links import END, HandSubscriberLink
from tests.unit.tail.noting import Notes


class Stand:
    """A feed, the link in the test's hand, and what it told."""

    def __init__(self, publishers: int = 1, workers: int = 0) -> None:
        self.link = HandSubscriberLink(publishers)
        self.notes = Notes()
        self.clock = HandClock()
        self.database: str | None = None
        self.feed = Feed(self.link, self.notes, self.clock, lambda: self.database, workers=workers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Listen inside the block."""
        task = asyncio.create_task(self.feed.run())
        try:
            async with asyncio.timeout(30):
                yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def items(
        self, first: int, count: int, *, source: str = "a", of: int | None = None, xid: int = 9,
        database: str | None = None,
    ) -> None:  # fmt: skip
        """Let a message with ``count`` items come, of ``of`` that were committed."""
        head = Head(Signal.LOGS, source, first, of or count, xid, database)
        request = numbered(first, count)
        self.link.put(encode(head, [(request, row) for row in request.rows], 2**20))

    def greeting(
        self, first: int, source: str = "a", database: str | None = None, *, is_last: bool = False
    ) -> None:
        """Let a greeting come, or a farewell."""
        head = Head(Signal.LOGS, source, first, 0, None, database, is_last)
        self.link.put(encode(head, (), 2**20))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it try again at once."""
    monkeypatch.setattr(module, "RETRY_S", 0.001)


async def test_it_has_begun_when_every_publisher_has_greeted() -> None:
    """And not before; who greets twice counts once."""
    stand = Stand(publishers=2)
    async with stand.running():
        beginning = asyncio.create_task(stand.feed.begin())
        stand.greeting(5)
        stand.greeting(5)
        stand.items(5, 1)
        await stand.notes.until(("5", 9))
        assert not beginning.done()
        stand.greeting(0, source="b")

        assert await beginning == Started(workers=2, expected=2)
    assert not stand.feed.is_away


async def test_without_publishers_it_has_begun_at_once() -> None:
    """Every worker may be away."""
    stand = Stand(publishers=0)
    async with stand.running():
        assert await stand.feed.begin() == Started(0, 0)


async def test_a_publisher_that_does_not_greet_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung worker holds up a reader for a moment, and is told."""
    monkeypatch.setattr(module, "GREETING_S_MAX", 0.05)
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)

        assert await stand.feed.begin() == Started(workers=1, expected=2)


async def test_without_gaps_nothing_is_told_but_items() -> None:
    """Two publishers have numbers of their own."""
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)
        stand.greeting(100, source="b")
        stand.items(0, 2, xid=1)
        stand.items(100, 1, source="b", xid=2)
        stand.items(2, 1, xid=3)
        told = await stand.notes.until(("2", 3))

    assert told == [("0", "1", 1), ("100", 2), ("2", 3)]


async def test_a_gap_is_told_in_its_place_with_its_length() -> None:
    """Whoever made it."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        stand.items(0, 1)
        stand.items(41, 1)
        told = await stand.notes.until(("41", 9))

    assert told == [("0", 9), (40, "lost"), ("41", 9)]


async def test_a_greeting_tells_of_a_gap_too() -> None:
    """So a reader hears of it though nothing is committed any more."""
    stand = Stand()
    async with stand.running():
        stand.greeting(3)
        stand.greeting(10)
        told = await stand.notes.until((7, "lost"))

    assert told == [(7, "lost")]


async def test_fewer_lines_than_items_were_sampled() -> None:
    """The number is exact."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        stand.items(0, 2, of=100)
        stand.items(100, 1)
        told = await stand.notes.until(("100", 9))

    assert told == [(98, "sampled"), ("0", "1", 9), ("100", 9)]


async def test_what_was_committed_while_the_link_was_away_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reader began without it; every publisher was there before the link was."""
    monkeypatch.setattr(module, "GREETING_S_MAX", 0.01)
    stand = Stand(publishers=2)
    stand.link.failure = LinkError("away")
    async with stand.running():
        await stand.notes.until("down")
        await stand.feed.begin()
        stand.link.failure = None
        await stand.link.said_hello()
        stand.greeting(40)
        stand.greeting(2, source="b")
        stand.items(40, 1)
        told = await stand.notes.until(("40", 9))

    assert [each for each in told if each != "up"] == [(None, "lost"), (None, "lost"), ("40", 9)]


async def test_a_publisher_that_nobody_knew_of_has_lost_what_came_before() -> None:
    """How many these are for the tail, nobody knows; from there on its numbers count."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        await stand.feed.begin()
        stand.items(50, 1, source="late")
        stand.items(60, 1, source="late")
        stand.items(0, 1, source="new")
        stand.greeting(0, source="newer")
        stand.greeting(3, source="later")
        stand.items(3, 1, source="later")
        told = await stand.notes.until(("3", 9))

    lost = (None, "lost")
    assert told == [lost, ("50", 9), (9, "lost"), ("60", 9), ("0", 9), lost, ("3", 9)]


@pytest.mark.parametrize("raw", [b"hello", b"\x00\xff", b'[9,"logs","a",0,1,null,{}]', b"[]"])
async def test_a_foreign_message_is_told_and_ends_nothing(raw: bytes) -> None:
    """Of another version, or of somebody else."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        stand.link.put(raw)
        stand.items(0, 1)
        told = await stand.notes.until(("0", 9))

    assert told == [(None, "lost"), ("0", 9)]


async def test_a_link_that_comes_back_tells_how_many_were_lost() -> None:
    """It says hello again, and the greeting knows the number."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        stand.items(0, 2)
        stand.link.put(END)
        await stand.notes.until("down")
        assert stand.feed.is_away
        await stand.link.said_hello(2)
        stand.greeting(1_002)
        told = await stand.notes.until((1_000, "lost"))

    assert told == ["up", (1_000, "lost")]


async def test_a_link_that_is_away_from_the_start_is_tried_until_it_is_there() -> None:
    """Told once each."""
    stand = Stand()
    stand.link.failure = LinkError("away")
    async with stand.running():
        assert await stand.notes.until("down") == ["down"]
        stand.link.failure = None
        assert await stand.notes.until("up") == ["up"]


async def test_a_link_that_is_there_late_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that began before was told that there is none."""
    monkeypatch.setattr(module, "GREETING_S_MAX", 0.01)
    stand = Stand(publishers=0)

    started = await stand.feed.begin()  # a Redis that says nothing, yet
    away_then = stand.feed.is_away
    async with stand.running():
        told = await stand.notes.until("up")

    assert started == Started(0, 0)
    assert away_then
    assert told == ["up"]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), AssertionError(), KeyError("x")])
async def test_whatever_a_link_raises_the_feed_goes_on(error: Exception) -> None:
    """It runs beside all other tails: if it died, the API would."""
    stand = Stand()
    stand.link.failure = error
    async with stand.running():
        await stand.notes.until("down")
        stand.link.failure = None
        stand.items(0, 1)

        assert ("0", 9) in await stand.notes.until(("0", 9))
        assert not stand.feed.is_away


async def test_only_so_many_publishers_are_remembered() -> None:
    """Those that were silent longest are forgotten; who speaks now and then is not."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0)
        await stand.feed.begin()
        for n in range(PUBLISHERS_MAX + 10):
            stand.greeting(0, source=f"worker {n}")
            stand.greeting(0)
        stand.items(5, 1)
        stand.items(9, 1, source="worker 0")
        told = await stand.notes.until(("9", 9))

    assert told == [(5, "lost"), ("5", 9), (None, "lost"), ("9", 9)]


async def test_who_is_gone_is_not_counted_for_a_later_reader() -> None:
    """It is asked again who publishes, though not for each reader."""
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)
        stand.greeting(0, source="b")
        at_first = await stand.feed.begin()
        stand.link.publishers = 1
        soon = await stand.feed.begin()
        stand.clock.move(timedelta(seconds=2))
        beginning = asyncio.create_task(stand.feed.begin())
        await stand.link.said_hello(2)
        stand.greeting(0, source="b")
        later = await beginning

    assert (at_first, soon, later) == (Started(2, 2), Started(2, 2), Started(1, 1))
    assert stand.link.hellos == 2


async def test_an_unknown_publisher_is_missed_also_while_all_are_asked_anew() -> None:
    """What it committed before nobody has seen."""
    stand = Stand(publishers=1)
    async with stand.running():
        stand.greeting(0)
        await stand.feed.begin()
        stand.clock.move(timedelta(seconds=2))
        stand.link.publishers = 2
        beginning = asyncio.create_task(stand.feed.begin())
        await stand.link.said_hello(2)
        stand.greeting(40, source="b")
        stand.greeting(0)
        await beginning

        assert await stand.notes.until((None, "lost")) == [(None, "lost")]


async def test_what_another_database_stores_is_not_shown_and_that_is_told_once() -> None:
    """Its publishers greet, so that nobody waits for them, and their numbers are nobody's loss."""
    stand = Stand(publishers=3)
    stand.database = "1f.5"
    async with stand.running():
        stand.greeting(0, database="1f.5")
        stand.greeting(70, source="stranger", database="1f.6")
        stand.greeting(0, source="early")  # it does not know yet
        started = await stand.feed.begin()
        stand.items(0, 1, database="1f.5")
        stand.items(99, 1, source="stranger", database="1f.6")
        stand.items(7, 1, source="another", database="2f.5")
        stand.items(1, 1, database="1f.5")
        told = await stand.notes.until(("1", 9))

    assert started == Started(2, 2)
    assert told == ["strangers", ("0", 9), ("1", 9)]


async def test_without_a_database_of_its_own_everything_is_shown() -> None:
    """PostgreSQL may be away while others commit."""
    stand = Stand()
    async with stand.running():
        stand.greeting(0, database="1f.6")
        stand.items(0, 1, database="1f.6")

        assert await stand.notes.until(("0", 9)) == [("0", 9)]
    assert not stand.feed.has_strangers


async def test_workers_that_are_not_there_yet_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The link, or its other end, was away: a reader is told that they exist, and waits for them."""
    monkeypatch.setattr(module, "GREETING_S_MAX", 0.05)
    link = HandSubscriberLink(publishers=0)
    feed = Feed(link, Notes(), HandClock(), workers=2)
    listening = asyncio.create_task(feed.run())

    too_early = await feed.begin()
    for source in ("a", "b"):
        link.put(encode(Head(Signal.LOGS, source, 0, 0, None), (), 2**20))
    monkeypatch.setattr(module, "GREETING_S_MAX", 20)
    in_time = await feed.begin()

    listening.cancel()
    await asyncio.wait((listening,))
    assert (too_early, in_time) == (Started(0, 2), Started(2, 2))


async def test_a_listener_that_fails_loses_a_message_and_not_the_feed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told how many items that were."""
    stand = Stand()
    note = stand.notes.on_items

    def fail_once(items: list[Item], transaction_id: int | None) -> None:
        monkeypatch.setattr(stand.notes, "on_items", note)
        raise ArithmeticError

    monkeypatch.setattr(stand.notes, "on_items", fail_once)
    async with stand.running():
        stand.greeting(0)
        stand.items(0, 3)
        stand.items(3, 1)
        told = await stand.notes.until(("3", 9))

    assert told == [(3, "lost"), ("3", 9)]


async def test_strangers_take_no_place_of_our_workers() -> None:
    """They answer too; until our own have greeted nothing has begun, and all of them are expected."""
    stand = Stand(publishers=2, workers=2)
    stand.database = "ours"
    async with stand.running():
        beginning = asyncio.create_task(stand.feed.begin())
        stand.greeting(0, source="x", database="theirs")
        stand.greeting(0, source="y", database="theirs")
        stand.greeting(0, source="a", database="ours")
        stand.items(0, 1, database="ours")
        await stand.notes.until(("0", 9))
        assert not beginning.done()
        stand.greeting(0, source="b", database="ours")

        assert await beginning == Started(workers=2, expected=2)


async def test_strangers_are_not_remembered_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often another daemon is started anew beside a long tail."""
    monkeypatch.setattr(module, "PUBLISHERS_MAX", 3)
    stand = Stand(publishers=1)
    stand.database = "ours"
    async with stand.running():
        for number in range(9):
            stand.greeting(0, source=f"x{number}", database="theirs")
        stand.greeting(0, database="ours")
        stand.items(0, 1, database="ours")
        await stand.notes.until(("0", 9))

    assert len(stand.feed._strangers) == 3  # pyright: ignore[reportPrivateUsage]
    assert len(stand.feed._greeted) == 3  # pyright: ignore[reportPrivateUsage]


async def test_the_roll_is_called_also_where_nothing_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A successor that greets right after a hello is followed by another one."""
    monkeypatch.setattr(module, "HELLO_S", 0.01)
    stand = Stand(publishers=1)
    async with stand.running():
        stand.greeting(0)
        await stand.feed.begin()
        stand.greeting(0, source="b")
        await stand.link.said_hello(2)

    assert stand.link.hellos == 2


async def test_a_reader_who_leaves_while_it_asks_changes_nothing() -> None:
    """Others have begun as before, and the roll is called all the same."""
    stand = Stand(publishers=1)
    async with stand.running():
        stand.greeting(0)
        await stand.feed.begin()
        stand.clock.move(timedelta(seconds=2))
        stand.link.may_answer.clear()
        leaving = asyncio.create_task(stand.feed.begin())
        await stand.link.said_hello(2)
        leaving.cancel()
        await asyncio.wait((leaving,))
        stand.link.may_answer.set()

        assert await stand.feed.begin() == Started(1, 1)
        stand.clock.move(timedelta(seconds=2))
        await stand.link.said_hello(3)


async def test_the_timer_misses_who_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers who come meanwhile put it off no further than they must."""
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)
        stand.greeting(0, source="b")
        await stand.feed.begin()
        monkeypatch.setattr(module, "GREETING_S_MAX", 0.01)
        stand.clock.move(timedelta(seconds=2))
        stand.link.publishers = 1
        beginning = asyncio.create_task(stand.feed.begin())
        await stand.link.said_hello(2)
        stand.greeting(0)
        await beginning
        told = await stand.notes.until((None, "lost"))

    assert told == [(None, "lost")]


@pytest.mark.parametrize("says_farewell", [False, True])
async def test_who_was_killed_may_have_lost_something(says_farewell: bool) -> None:
    """Nobody knows how much; told once another one comes, unless it ended in order."""
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)
        stand.greeting(0, source="b")
        await stand.feed.begin()
        stand.items(0, 5, source="b")
        if says_farewell:
            stand.greeting(5, source="b", is_last=True)
        stand.clock.move(timedelta(seconds=2))
        stand.greeting(0, source="c")
        await stand.link.said_hello(2)
        stand.greeting(0)
        stand.greeting(0, source="c")
        stand.items(0, 1, source="c")
        await stand.notes.until(("0", 9))
        for _ in range(2):
            stand.feed._miss_who_is_gone()  # pyright: ignore[reportPrivateUsage] -- as its timer does

    assert stand.notes.told == ([] if says_farewell else [(None, "lost")])


async def test_while_somebody_is_awaited_nobody_is_missed() -> None:
    """A worker that hangs may go on."""
    stand = Stand(publishers=2)
    async with stand.running():
        stand.greeting(0)
        stand.greeting(0, source="b")
        await stand.feed.begin()
        stand.clock.move(timedelta(seconds=2))
        stand.link.publishers = 3
        stand.greeting(0, source="c")
        await stand.link.said_hello(2)
        stand.greeting(0)
        stand.greeting(0, source="c")
        stand.items(0, 1, source="c")
        await stand.notes.until(("0", 9))
        stand.feed._miss_who_is_gone()  # pyright: ignore[reportPrivateUsage] -- as its timer does

    assert stand.notes.told == []
