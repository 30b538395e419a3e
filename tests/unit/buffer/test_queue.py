"""The bounded queue: bounds, order, joining, leaving, draining."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from collector.buffer.budget import ByteBudget
from collector.buffer.entry import End, Entry, Outcome
from collector.buffer.queue import BoundedQueue
from collector.errors import DrainingError, HoldExpiredError, QueueFullError
from tests.converted import request

HOLD_S = 30.0


class Books:
    """Adds up what a queue counts."""

    def __init__(self) -> None:
        self.ends: Counter[End] = Counter()

    def __call__(self, end: End, items: int) -> None:
        """Add ``items`` to one end."""
        self.ends[end] += items


def queue_of(
    items_max: int = 100, bytes_max: int = 100_000, books: Books | None = None
) -> BoundedQueue:
    """Return a queue with a budget of its own."""
    return BoundedQueue(items_max, ByteBudget(bytes_max), count=books or Books())


async def take(queue: BoundedQueue, rows_max: int = 10, giants_max: int = 1) -> list[Entry]:
    """Take as a flusher does, but not for ever."""
    async with asyncio.timeout(5):
        return await queue.take(rows_max, 1_000_000, giants_max)


def names(group: list[Entry]) -> list[str]:
    """Return what the requests were called."""
    return [entry.request.payload.decode() for entry in group]


async def test_a_reservation_grows_while_there_is_room_and_ends_with_its_block() -> None:
    """A growth that does not fit leaves what was held, and the queue is as it was afterwards."""
    queue = queue_of(bytes_max=10_000)
    with queue.reserve(4_000) as first, queue.reserve(4_000) as second:
        first.grow_to(6_000)
        first.grow_to(100)

        with pytest.raises(QueueFullError) as caught:
            second.grow_to(4_001)

        assert (first.size_bytes, second.size_bytes) == (6_000, 4_000)
        assert caught.value.free_bytes == 4_000
    with queue.reserve(10_000):
        pass


async def test_a_request_may_grow_beyond_the_budget_while_others_use_half() -> None:
    """Or it would be refused for ever; the other one cannot grow meanwhile, and ends first."""
    queue = queue_of(bytes_max=10_000)
    with queue.reserve(5_001) as large, queue.reserve(4_000) as other:
        large.grow_to(50_000)

        with pytest.raises(QueueFullError):
            other.grow_to(4_001)


async def test_refused_offer_changes_nothing() -> None:
    """An offer that does not fit takes nothing and drops nothing."""
    queue = queue_of(items_max=3)
    queue.offer(request("a", items=2))

    with pytest.raises(QueueFullError) as caught:
        queue.offer(request("b", items=2))

    assert (queue.items, queue.bytes, queue.entries_waiting) == (2, 1_000, 1)
    assert caught.value.offered_items == 2
    assert caught.value.free_items == 1


async def test_bytes_are_shared_by_all_queues_of_a_budget() -> None:
    """What one queue holds is missing in the other, until it is settled."""
    budget = ByteBudget(1_500)
    traces, logs = BoundedQueue(10, budget), BoundedQueue(10, budget)
    traces.offer(request("a", items=1))
    with pytest.raises(QueueFullError) as caught:
        logs.offer(request("b", items=1))
    assert caught.value.free_bytes == 500

    (entry,) = await take(traces)
    traces.settle(entry, Outcome.STORED)

    assert budget.used == 0
    logs.offer(request("b", items=1))


async def test_in_flight_counts_until_settled() -> None:
    """Taking frees no room; settling does, once."""
    queue = queue_of(items_max=4)
    queue.offer(request("a", items=4))
    (entry,) = await take(queue)
    with pytest.raises(QueueFullError):
        queue.offer(request("b", items=1))

    queue.settle(entry, Outcome.STORED)
    queue.settle(entry, Outcome.STORED)

    assert (queue.items, queue.bytes) == (0, 0)
    queue.offer(request("b", items=4))


@pytest.mark.parametrize("items", [5, 6, 9, 10, 11, 30])
async def test_every_size_gets_in_when_half_is_free(items: int) -> None:
    """A request just below the bound waits for no more room than one above it (promise 4)."""
    queue = queue_of(items_max=10)
    queue.offer(request("small", items=5))

    queue.offer(request("large", items=items))

    assert queue.items == 5 + items
    with pytest.raises(QueueFullError):
        queue.offer(request("more", items=6))


async def test_request_larger_than_the_bound_gets_in_when_half_is_free() -> None:
    """A valid request is never refused for ever; it passes the bound alone."""
    queue = queue_of(items_max=10)
    queue.offer(request("small", items=6))
    with pytest.raises(QueueFullError):
        queue.offer(request("huge", items=50))
    for entry in await take(queue):
        queue.settle(entry, Outcome.STORED)

    queue.offer(request("huge", items=50))

    with pytest.raises(QueueFullError):
        queue.offer(request("small", items=1))
    with pytest.raises(QueueFullError):
        queue.offer(request("another", items=50))


async def test_take_hands_out_the_oldest_that_fit_together() -> None:
    """FIFO; a group ends before the entry that would pass the limit."""
    queue = queue_of()
    for name in "abcd":
        queue.offer(request(name, items=4))

    assert names(await take(queue)) == ["a", "b"]
    assert names(await take(queue)) == ["c", "d"]


async def test_take_respects_bytes_too() -> None:
    """A group ends at the byte limit as well."""
    queue = queue_of()
    for name in "abc":
        queue.offer(request(name, items=1, size_bytes=600))

    group = await queue.take(100, 1_200, 1)

    assert names(group) == ["a", "b"]


async def test_giant_goes_alone_and_leaves_a_flusher_for_the_others() -> None:
    """While giants_max giants are in flight, what stands behind the next giant passes it."""
    queue = queue_of()
    for name, items in (("giant", 30), ("giant 2", 30), ("a", 1), ("b", 1)):
        queue.offer(request(name, items=items))

    giant = await take(queue)
    small = await take(queue)
    waiting = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)

    assert names(giant) == ["giant"]
    assert names(small) == ["a", "b"]
    assert not waiting.done()
    queue.settle(giant[0], Outcome.STORED)
    assert names(await waiting) == ["giant 2"]


async def test_giant_that_is_set_aside_lets_the_next_one_pass() -> None:
    """It is still held, but no longer in a flusher's way."""
    queue = queue_of()
    queue.offer(request("giant", items=30))
    queue.offer(request("giant 2", items=30))
    (giant,) = await take(queue)
    waiting = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)
    assert not waiting.done()

    queue.set_aside(giant)
    queue.set_aside(giant)

    assert names(await waiting) == ["giant 2"]
    assert queue.items == 60
    queue.settle(giant, Outcome.STORED)
    assert queue.items == 30
    queue.offer(request("giant 3", items=30))
    third = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)
    assert not third.done(), "one giant is still in flight"
    third.cancel()
    await asyncio.wait([third])


async def test_take_waits_until_something_is_offered() -> None:
    """Two takers, one offer: exactly one of them gets it, at once."""
    queue = queue_of()
    takers = [asyncio.ensure_future(take(queue)) for _ in range(2)]
    await asyncio.sleep(0)

    queue.offer(request("a", items=1))
    done, pending = await asyncio.wait(takers, return_when=asyncio.FIRST_COMPLETED)

    assert [names(task.result()) for task in done] == [["a"]]
    queue.offer(request("b", items=1))
    assert names(await pending.pop()) == ["b"]


async def test_cancelled_taker_hands_its_wake_up_on() -> None:
    """A taker that is cancelled in the moment it was woken does not leave the entry lying."""
    queue = queue_of()
    first, second = (asyncio.ensure_future(take(queue)) for _ in range(2))
    await asyncio.sleep(0)

    queue.offer(request("a", items=1))
    first.cancel()

    assert names(await second) == ["a"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_cancelled_taker_is_forgotten() -> None:
    """A taker that was cancelled while it slept is not woken in another's place."""
    queue = queue_of()
    first, second = (asyncio.ensure_future(take(queue)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])

    queue.offer(request("a", items=1))

    assert names(await second) == ["a"]


async def test_equal_bytes_join_while_waiting_and_in_flight() -> None:
    """All senders of the same bytes get the one outcome; all but one count as duplicates."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=5))
    joined = queue.offer(request("a", items=5))
    await take(queue)
    found = queue.find(entry.request.digest)

    assert joined is entry
    assert found is entry
    waits = [asyncio.ensure_future(queue.wait(entry, HOLD_S)) for _ in range(3)]
    queue.settle(entry, Outcome.STORED)
    assert await asyncio.gather(*waits) == [Outcome.STORED] * 3
    assert books.ends[End.STORED] == 5
    assert books.ends[End.DUPLICATE] == 10
    assert queue.find(entry.request.digest) is None


async def test_requests_outside_the_ledger_never_join() -> None:
    """Equal bytes without entropy are two requests."""
    queue = queue_of()
    first = queue.offer(request("a", items=1, in_ledger=False))
    second = queue.offer(request("a", items=1, in_ledger=False))

    assert first is not second
    assert queue.find(first.request.digest) is None
    for entry in await take(queue):
        queue.settle(entry, Outcome.STORED)
    assert queue.items == 0


async def test_last_sender_to_leave_removes_what_was_not_taken() -> None:
    """One of two senders leaving changes nothing but the books; the last one frees the room."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=5))
    queue.offer(request("a", items=5))

    assert queue.leave(entry) is False
    assert queue.items == 5
    assert queue.leave(entry) is True
    assert (queue.items, queue.bytes, queue.entries_waiting) == (0, 0, 0)
    assert books.ends == {End.REFUSED: 10}


async def test_entry_between_two_tries_goes_with_its_last_sender() -> None:
    """At once, so that a retry of the same bytes is a new entry and not one that cannot be stored."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=5))
    await take(queue)
    queue.pause(entry)
    assert queue.resume(entry)
    assert queue.leave(entry) is False
    queue.offer(request("a", items=5))
    queue.pause(entry)
    assert not entry.settled, "somebody joined"

    assert queue.leave(entry) is True

    assert books.ends == {End.REFUSED: 10}
    assert queue.items == 0
    assert queue.find(entry.request.digest) is None
    assert not queue.resume(entry)


async def test_outcome_of_a_taken_entry_stands_without_its_sender() -> None:
    """Taken and left: counted once, by its outcome; a retry that joins later is a duplicate."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=5))
    await take(queue)

    assert queue.leave(entry) is False
    assert queue.find(entry.request.digest) is entry
    queue.settle(entry, Outcome.STORED)

    assert books.ends == {
        End.STORED: 5,
        End.QUARANTINED: 0,
        End.REJECTED: 0,
        End.DUPLICATE: 5,
    }
    assert queue.items == 0


async def test_hold_over_leaves() -> None:
    """A sender whose hold is over gets HoldExpiredError and its entry is gone."""
    queue = queue_of()
    entry = queue.offer(request("a", items=5))

    with pytest.raises(HoldExpiredError):
        await queue.wait(entry, 0)

    assert queue.items == 0


async def test_cancelled_sender_leaves_alone() -> None:
    """Cancelling one sender disturbs neither the other one nor the flusher."""
    queue = queue_of()
    entry = queue.offer(request("a", items=5))
    queue.offer(request("a", items=5))
    leaver, stayer = (asyncio.ensure_future(queue.wait(entry, HOLD_S)) for _ in range(2))
    await take(queue)

    leaver.cancel()
    await asyncio.wait([leaver])
    queue.settle(entry, Outcome.DUPLICATE)

    assert leaver.cancelled()
    assert await stayer is Outcome.DUPLICATE


async def test_sender_cancelled_in_the_moment_of_settling_counts_once() -> None:
    """Settled and cancelled in the same turn of the loop: the outcome was counted, nothing else."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=5))
    sender = asyncio.ensure_future(queue.wait(entry, HOLD_S))
    await take(queue)

    queue.settle(entry, Outcome.STORED)
    sender.cancel()
    await asyncio.wait([sender])

    assert sum(books.ends.values()) == 5
    assert books.ends[End.STORED] == 5


async def test_quarantined_and_rejected_items_are_ends_of_their_own() -> None:
    """What is not stored of a stored request counts where it went."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=10, quarantined=2, rejected=1))
    await take(queue)

    queue.settle(entry, Outcome.STORED)

    assert books.ends[End.STORED] == 7
    assert books.ends[End.QUARANTINED] == 2
    assert books.ends[End.REJECTED] == 1


async def test_closed_queue_takes_nothing_and_hands_out_the_rest() -> None:
    """After close: offers are refused, what waits is still taken, then take returns nothing."""
    queue = queue_of()
    queue.offer(request("a", items=1))
    queue.close()

    with pytest.raises(DrainingError):
        queue.offer(request("b", items=1))
    group = await take(queue)
    assert names(group) == ["a"]
    assert await take(queue) == []
    empty = asyncio.ensure_future(queue.empty())
    await asyncio.sleep(0)
    assert not empty.done()
    queue.settle(group[0], Outcome.STORED)
    await empty


async def test_close_wakes_every_taker() -> None:
    """Flushers that sleep end when the queue is closed and empty."""
    queue = queue_of()
    takers = [asyncio.ensure_future(take(queue)) for _ in range(3)]
    await asyncio.sleep(0)

    queue.close()

    assert await asyncio.gather(*takers) == [[], [], []]


async def test_last_giant_of_a_drain_wakes_the_takers_that_wait_for_it() -> None:
    """Takers that may not carry a second giant end once nothing is left to take."""
    queue = queue_of()
    queue.offer(request("giant", items=30))
    queue.offer(request("giant 2", items=30))
    queue.close()
    first = await take(queue)
    second = asyncio.ensure_future(take(queue))
    third = asyncio.ensure_future(take(queue))
    await asyncio.sleep(0)

    queue.settle(first[0], Outcome.STORED)

    results = sorted(map(names, await asyncio.gather(second, third)))
    assert results == [[], ["giant 2"]]


async def test_failing_all_tells_the_senders_and_frees_the_room() -> None:
    """A drain that ran out of time refuses what is left, with nobody waiting as well."""
    books = Books()
    queue = queue_of(books=books)
    entry = queue.offer(request("a", items=2))
    queue.offer(request("b", items=3))
    sender = asyncio.ensure_future(queue.wait(entry, HOLD_S))
    await asyncio.sleep(0)

    assert queue.fail_all(DrainingError()) == 2

    with pytest.raises(DrainingError):
        await sender
    assert queue.items == 0
    assert books.ends == {End.REFUSED: 5}
    queue.settle(entry, Outcome.STORED)
    assert books.ends == {End.REFUSED: 5}
