"""tail.hub: each reader gets what it wants, and what it does not get it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from collector.errors import TooManyReadersError
from collector.items import Item
from collector.rows import Signal
from collector.settings import TailSettings
from collector.tail import hub as module
from collector.tail import reader as buffers
from collector.tail.hub import Hub
from collector.tail.reader import Event, LinkState, Notice, Reader, Shown, Skipped
from collector.tail.subscriber import STRANGERS
from collector.telemetry.metrics import Metrics
from tests.clocks import HandClock
from tests.unit.tail.links import HandSubscriberLink

LOGS = frozenset({Signal.LOGS})


def everything(_: object) -> bool:
    """Match any item."""
    return True


class Stand:
    """A hub whose links nobody publishes to; the test is its feed."""

    def __init__(self, **settings: Any) -> None:
        self.metrics = Metrics()
        self.links: list[HandSubscriberLink] = []
        self.hub = Hub(
            TailSettings(**settings), self._link, clock=HandClock(), metrics=self.metrics
        )

    def _link(self, _: Signal) -> HandSubscriberLink:
        self.links.append(HandSubscriberLink(publishers=0))
        return self.links[-1]

    def show(self, *bodies: str, signal: Signal = Signal.LOGS) -> None:
        """Let the feed of a signal hand over items."""
        items: list[Any] = [{"signal": signal.value, "time": "", "body": body} for body in bodies]
        self.hub.show(signal, items, 9)

    def skip(self, items: int | None, why: str, signal: Signal = Signal.LOGS) -> None:
        """Let the feed of a signal tell of what is missing."""
        self.hub.tell(signal, Skipped(signal.value, items, why))


@contextlib.asynccontextmanager
async def running(stand: Stand) -> AsyncGenerator[Hub]:
    """Run the hub inside the block."""
    task = asyncio.create_task(stand.hub.run())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            yield stand.hub
    finally:
        task.cancel()
        await asyncio.wait((task,))


def said(events: list[Event]) -> list[Any]:
    """Return events in short: a body, or what is no item as it is."""
    return [
        orjson.loads(event.data)["body"] if isinstance(event, Shown) else tuple(event)
        for event in events
    ]


def at(hub: Hub, number: int | str) -> str:
    """Return the id of a place in the life of a hub."""
    return f"{hub.place().partition('-')[0]}-{number}"


async def test_items_go_to_those_who_want_them_in_order() -> None:
    """By signal and filter."""
    stand = Stand()
    async with (
        running(stand) as hub,
        hub.open(LOGS, everything) as (all_logs, _),
        hub.open(LOGS, lambda item: dict(item)["body"] == "b") as (only_b, _),
        hub.open({Signal.TRACES}, everything) as (other, _),
        hub.open(set(Signal), everything) as (every, _),
    ):
        stand.show("a", "b", "c")
        stand.show("d", signal=Signal.METRICS)

        assert said(await all_logs.take()) == ["a", "b", "c"]
        assert said(await only_b.take()) == ["b"]
        assert said(await every.take()) == ["a", "b", "c", "d"]
        assert other.take_now() == []
        assert stand.metrics.tail_readers.values == {(): 4}
        assert len(stand.links) == 3  # one feed for each signal, whoever reads
    assert stand.metrics.tail_readers.values == {(): 0}


async def test_a_slow_reader_drops_its_oldest_and_is_told_how_many() -> None:
    """Others are not affected."""
    stand = Stand(reader_bytes_max=256 * 1024)
    async with (
        running(stand) as hub,
        hub.open(LOGS, everything) as (slow, _),
        hub.open(LOGS, everything) as (quick, _),
    ):
        seen = 0
        for n in range(100):
            stand.show(f"{n} {'x' * 16_000}")
            seen += len(await quick.take())

        first, *rest = said(slow.take_now())

        assert seen == 100
        assert first[::2] == ("logs", "slow")
        assert [int(body.split()[0]) for body in rest] == list(range(first[1], 100))
        assert 10 < len(rest) < 17
        assert stand.metrics.tail_skipped.values == {("logs", "slow"): first[1]}
        stand.show("next")
        assert said(slow.take_now()) == ["next"]


def reader(bytes_max: int = 16_384) -> Reader:
    """Return a reader that nobody reads."""
    return Reader(LOGS, everything, bytes_max=bytes_max, metrics=Metrics())


def shown(number: int, size: int = 100) -> Shown:
    """Return an item of some size."""
    return Shown(number, Signal.LOGS, b"x" * size, None)


async def test_a_reader_waits_until_something_comes() -> None:
    """It takes nothing only when it is woken."""
    waiting = reader()
    first = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    assert not first.done()
    waiting.tell(Skipped("logs", 5, "lost"))

    assert await first == [Skipped("logs", 5, "lost")]
    second = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    assert not second.done()
    waiting.wake()
    assert await second == []


def test_a_reader_that_never_reads_keeps_no_more_whatever_it_is_told() -> None:
    """A reader of no item, and of every gap, for a day."""
    silent = reader()
    for n in range(20_000):
        silent.tell(Skipped("logs", 1, "sampled"))
        silent.tell(Skipped("traces", 2, "sampled"))
        silent.tell(LinkState(n % 2 == 0, str(n)))

    events = silent.take_now()

    skips = [event for event in events if isinstance(event, Skipped)]
    assert sum(s.items or 0 for s in skips if s.signal == "logs") == 20_000
    assert sum(s.items or 0 for s in skips if s.signal == "traces") == 40_000
    assert events[-1] == LinkState(False, "19999")
    assert len(events) < 16_384 / buffers.NOTE_BYTES + 4


def test_gaps_among_dropped_items_are_kept_and_cost_no_time() -> None:
    """Each dropped item costs the same, however many gaps stand before it."""
    silent = reader()
    for n in range(20_000):
        silent.show([{"signal": "logs", "time": ""}], [shown(n)])
        silent.tell(Skipped("logs", 3, "sampled"))

    dropped, sampled = 0, 0
    for event in silent.take_now():
        if isinstance(event, Skipped):
            dropped += (event.items or 0) * (event.why == "slow")
            sampled += (event.items or 0) * (event.why == "sampled")
        else:
            dropped += 1
    assert dropped == 20_000
    assert sampled == 60_000


def test_an_unknown_number_stays_unknown() -> None:
    """With whatever it is added up."""
    silent = reader()
    silent.tell(Skipped("logs", 5, "lost"))
    silent.tell(Skipped("logs", None, "lost"))
    silent.tell(Skipped("logs", 7, "lost"))

    assert silent.take_now() == [Skipped("logs", None, "lost")]


async def test_who_comes_back_goes_on_behind_what_it_saw() -> None:
    """Without gap or repeat, by its own filter."""
    stand = Stand()
    async with running(stand) as hub:
        async with hub.open(LOGS, everything) as (first, _):
            stand.show("a", "b", "c")
            after = at(hub, next(e.number for e in first.take_now() if isinstance(e, Shown)) + 1)
        stand.show("d")
        stand.show("other", signal=Signal.TRACES)
        async with hub.open(LOGS, everything, after) as (again, _):
            stand.show("e")

            assert said(again.take_now()) == ["b", "c", "d", "e"]


async def test_who_comes_back_is_told_what_was_skipped_meanwhile() -> None:
    """In its place, and not what it was told before."""
    stand = Stand()
    async with running(stand) as hub:
        async with hub.open(LOGS, everything):
            stand.skip(5, "sampled")
            stand.show("a")
            stand.skip(6, "lost")
            after = hub.place()
        stand.show("b")
        stand.skip(40, "lost")
        stand.show("c")
        async with hub.open(LOGS, everything, after) as (again, _):
            assert said(again.take_now()) == ["b", ("logs", 40, "lost"), "c"]


async def test_what_is_no_longer_kept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number."""
    monkeypatch.setattr(module, "RECENT_BYTES_MAX", 5_000)
    stand = Stand()
    async with running(stand) as hub, hub.open(LOGS, everything):
        after = at(hub, 0)
        for n in range(10):
            stand.show(f"{n:01000}")
        async with hub.open(LOGS, everything, after, sees_all=True) as (again, _):
            missing, *rest = said(again.take_now())

    assert missing == ("all", 6, "lost")
    assert [int(body) for body in rest] == [6, 7, 8, 9]


async def test_what_was_skipped_is_told_though_it_is_no_longer_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Added up, by signal and reason; to who saw some of it before, without a number."""
    monkeypatch.setattr(module, "RECENT_BYTES_MAX", 5_000)
    stand = Stand()
    async with running(stand) as hub, hub.open(set(Signal), everything):
        at_first = hub.place()
        stand.skip(5, "sampled")
        between = hub.place()
        stand.skip(7, "sampled")
        stand.skip(100, "lost", signal=Signal.TRACES)
        behind = hub.place()
        for n in range(10):
            stand.show(f"{n:01000}")
        told: list[list[Any]] = []
        for after in (at_first, between, behind):
            async with hub.open(LOGS, everything, after) as (again, _):
                told.append([event for event in said(again.take_now()) if len(event) == 3])

    lost = ("all", None, "lost")
    assert told == [
        [lost, ("logs", 12, "sampled")],
        [lost, ("logs", None, "sampled")],
        [lost],
    ]


@pytest.mark.parametrize("after", ["", "x", "0-0", "nonsense-1", "{epoch}-", "{epoch}-99", "{epoch}--1", "{epoch}-²"])  # fmt: skip
async def test_an_id_of_another_life_is_told_as_a_loss(after: str) -> None:
    """The API was restarted, or the id is somebody's invention."""
    stand = Stand()
    async with running(stand) as hub:
        epoch = at(hub, 0).partition("-")[0]
        async with hub.open(LOGS, everything, after.format(epoch=epoch)) as (again, _):
            assert said(again.take_now()) == [("all", None, "lost")]


async def test_a_reader_that_cannot_be_served_leaves_its_place() -> None:
    """Else a few of them would keep everybody out, for ever."""
    stand = Stand(readers_max=1)

    def broken(_item: Item) -> bool:
        raise ArithmeticError

    async with running(stand) as hub:
        async with hub.open(LOGS, everything):
            after = at(hub, 0)
            stand.show("a")
        with pytest.raises(ArithmeticError):
            async with hub.open(LOGS, broken, after):
                pass
        async with hub.open(LOGS, everything, after) as (again, _):
            assert said(again.take_now()) == ["a"]


async def test_a_feed_lives_a_little_longer_than_its_last_reader() -> None:
    """Who comes back in time has no second feed; after that it has lost something."""
    stand = Stand()
    async with running(stand) as hub:
        async with hub.open(LOGS, everything):
            stand.show("a")
        async with hub.open(LOGS, everything, at(hub, 0)) as (again, _):
            assert said(again.take_now()) == ["a"]
            assert len(stand.links) == 1
        hub.end(Signal.LOGS)  # as LINGER_S would
        async with hub.open(LOGS, everything, at(hub, 0)) as (late, _):
            assert said(late.take_now()) == [("all", None, "lost")]
            assert len(stand.links) == 2


async def test_a_feed_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link is left alone then, and no worker publishes for nobody."""
    monkeypatch.setattr(module, "LINGER_S", 0.01)
    stand = Stand()
    async with running(stand) as hub:
        async with hub.open(LOGS, everything):
            assert not stand.links[0].left.is_set()
        await stand.links[0].left.wait()


async def test_a_feed_does_not_end_under_who_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end was near when the reader returned."""
    monkeypatch.setattr(module, "LINGER_S", 0)
    stand = Stand()
    end_was_due = asyncio.Event()
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with running(stand) as hub:
        async with hub.open(LOGS, everything):
            pass
        async with hub.open(LOGS, everything):
            asyncio.get_running_loop().call_later(0, end_was_due.set)  # behind any other timer
            await end_was_due.wait()

            assert not stand.links[0].left.is_set()
            assert len(stand.links) == 1
    assert faults == []


async def test_who_has_left_is_forgotten() -> None:
    """Clients come with any number of names."""
    stand = Stand()
    async with running(stand) as hub:
        for number in range(3):
            async with hub.open(LOGS, everything, client=str(number)):
                assert [*hub._clients] == [str(number)]  # pyright: ignore[reportPrivateUsage]

        assert not hub._clients  # pyright: ignore[reportPrivateUsage]


async def test_there_are_no_more_readers_than_may_be() -> None:
    """One leaves, and another may come."""
    stand = Stand(readers_max=2)
    async with running(stand) as hub, hub.open(LOGS, everything):
        async with hub.open(LOGS, everything):
            with pytest.raises(TooManyReadersError) as caught:
                async with hub.open(LOGS, everything):
                    pass
            assert caught.value.readers_max == 2
        async with hub.open(LOGS, everything):
            pass


async def test_one_client_cannot_take_all_places() -> None:
    """It is told that these are its own; others come in, and it does when it has left."""
    stand = Stand(readers_max=3, readers_per_client_max=1)
    async with running(stand) as hub, hub.open(LOGS, everything, client="other"):
        for _ in range(2):
            async with hub.open(LOGS, everything, client="greedy"):
                with pytest.raises(
                    TooManyReadersError, match="1 live tails of this client"
                ) as caught:
                    async with hub.open(LOGS, everything, client="greedy"):
                        pass
                async with hub.open(LOGS, everything, client="third"):
                    pass
            assert caught.value.readers_max == 1


async def test_a_reader_of_several_signals_is_told_of_its_links_once() -> None:
    """Away when the first is, back when the last is; who comes meanwhile is told, too."""
    stand = Stand()
    async with running(stand) as hub, hub.open(set(Signal), everything) as (every, _):
        feeds = [hub._feeds[signal] for signal in Signal]  # pyright: ignore[reportPrivateUsage]
        for feed, _ in feeds:
            feed._set_up(False, "away")  # pyright: ignore[reportPrivateUsage]
        assert said(every.take_now()) == [(False, "away")]
        async with hub.open(LOGS, everything) as (late, _):
            assert said(late.take_now()) == [(False, "away")]
            feeds[0][0]._set_up(True, "")  # pyright: ignore[reportPrivateUsage]
            feeds[1][0]._set_up(True, "")  # pyright: ignore[reportPrivateUsage]
            assert every.take_now() == []
            feeds[2][0]._set_up(True, "")  # pyright: ignore[reportPrivateUsage]

            assert said(every.take_now()) == [(True, "")]
            assert said(late.take_now()) == [(True, "")]


async def test_strangers_are_told_to_each_reader_once() -> None:
    """Also to who comes later, and however many signals it reads."""
    stand = Stand()
    notice = Notice(STRANGERS)
    async with running(stand) as hub, hub.open(set(Signal), everything) as (every, _):
        for signal in Signal:
            feed = hub._feeds[signal][0]  # pyright: ignore[reportPrivateUsage]
            feed.has_strangers = True
            hub.look_at_strangers(signal)
        assert every.take_now() == [notice]
        async with hub.open(LOGS, everything) as (late, _):
            assert late.take_now() == [notice]
            hub.look_at_strangers(Signal.LOGS)
            assert late.take_now() == []


def test_a_notice_outlives_a_full_buffer() -> None:
    """Each kind once, the last."""
    silent = reader()
    silent.tell(Notice("known"))
    for n in range(1_000):
        silent.show([{"signal": "logs", "time": ""}], [shown(n)])

    assert Notice("known") in silent.take_now()


async def test_what_nobody_could_see_is_told_to_who_comes_back() -> None:
    """The last reader left, the feed ended, and items were committed: the old id says too little."""
    stand = Stand()
    async with running(stand) as hub:
        async with hub.open(LOGS, everything) as (reader, _):
            stand.show("a")
            last = reader.take_now()[-1]
            assert isinstance(last, Shown)
            seen = at(hub, last.number + 1)
        hub.end(Signal.LOGS)

        async with hub.open(LOGS, everything, seen) as (reader, _):
            told = reader.take_now()

    assert Skipped("all", None, "lost") in told


@pytest.mark.parametrize("number", ["9" * 5_000, "٣", "-1", "1e3", ""])
async def test_an_id_that_is_none_takes_no_place(number: str) -> None:
    """Whatever comes as Last-Event-ID, the reader gets in, and its place is free afterwards."""
    stand = Stand(readers_max=1)
    async with running(stand) as hub:
        epoch = at(hub, 0).partition("-")[0]
        for _ in range(3):
            async with hub.open(LOGS, everything, f"{epoch}-{number}") as (reader, _):
                assert reader.take_now() == [Skipped("all", None, "lost")]


async def test_a_place_moves_on_with_what_was_for_others() -> None:
    """Who comes back with it missed nothing, however little of it was shown there."""
    stand = Stand()
    async with running(stand) as hub, hub.open(LOGS, everything):
        stand.show("a", "b", "c")
        async with hub.open(LOGS, lambda _: False, hub.place()) as (again, _):
            assert again.take_now() == []


async def test_what_has_no_room_at_a_return_is_lost_and_not_slow() -> None:
    """The newest come; the client tells of the others beside its return."""
    stand = Stand(reader_bytes_max=256 * 1024)
    async with running(stand) as hub, hub.open(LOGS, everything):
        before = hub.place()
        stand.show(*map(str, range(5_000)))
        async with hub.open(LOGS, everything, before) as (again, _):
            lost, *shown = said(again.take_now())

    assert lost == ("all", 5_000 - len(shown), "lost")
    assert 0 < len(shown) < 5_000
    assert shown == list(map(str, range(5_000)))[-len(shown) :]


async def test_what_is_gone_is_counted_only_where_all_of_it_was_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who wants some of it may have missed nothing at all."""
    monkeypatch.setattr(module, "RECENT_BYTES_MAX", 0)
    stand = Stand()
    async with running(stand) as hub, hub.open(LOGS, everything):
        before = hub.place()
        stand.show("a", "b", "c")
        async with hub.open(LOGS, everything, before, sees_all=True) as (again, _):
            counted = said(again.take_now())
        async with hub.open(LOGS, everything, before) as (again, _):
            unknown = said(again.take_now())

    assert (counted, unknown) == ([("all", 3, "lost")], [("all", None, "lost")])
