"""The bounded queue against a model: whatever happens in whatever order, the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collector.buffer.budget import ByteBudget
from collector.buffer.entry import End, Entry, Outcome
from collector.buffer.queue import BoundedQueue
from collector.errors import DrainingError, QueueFullError, RefusedRequestError
from tests.converted import request

ITEMS_MAX = 20
BYTES_MAX = 2_000
SMALL_BYTES = 150
ROWS_MAX = 8
GROUP_BYTES_MAX = 900
GIANTS_MAX = 1


class QueueMachine(RuleBasedStateMachine):
    """Senders and flushers in any interleaving; the event loop runs between two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.ends: Counter[End] = Counter()
        self.budget = ByteBudget(BYTES_MAX, small_bytes=SMALL_BYTES)
        self.queue = BoundedQueue(ITEMS_MAX, self.budget, count=self.count)
        self.received = 0
        self.senders: list[tuple[Entry, asyncio.Task[Outcome]]] = []
        self.order: deque[Entry] = deque()  # offered, not yet taken, oldest first
        self.in_flight: list[Entry] = []

    def count(self, end: End, items: int) -> None:
        """Keep the books."""
        assert items >= 0
        self.ends[end] += items

    def run(self) -> None:
        """Let everything that can go on go on."""

        async def turn() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    def join(self, entry: Entry) -> None:
        """Let a sender wait for the entry."""
        self.received += entry.items
        self.senders.append((entry, self.loop.create_task(self.queue.wait(entry, 1_000.0))))
        self.run()

    @rule(
        name=st.sampled_from("abcdef"),
        items=st.integers(1, 25),
        size_bytes=st.integers(1, 2_500),
        in_ledger=st.booleans(),
        quarantined=st.integers(0, 1),
    )
    def offer(
        self, name: str, items: int, size_bytes: int, in_ledger: bool, quarantined: int
    ) -> None:
        """A sender comes; its request gets in, joins, or changes nothing."""

        async def offer() -> Entry:
            return self.queue.offer(
                request(
                    name,
                    items=items,
                    size_bytes=size_bytes,
                    in_ledger=in_ledger,
                    quarantined=quarantined,
                )
            )

        before = (self.queue.items, self.queue.bytes)
        try:
            entry = self.loop.run_until_complete(offer())
        except (QueueFullError, DrainingError):
            assert (self.queue.items, self.queue.bytes) == before
            return
        if entry.senders == 1 and entry.departed == 0 and not entry.taken:
            self.order.append(entry)
        self.join(entry)

    @precondition(lambda self: self.senders)
    @rule(data=st.data())
    def sender_leaves(self, data: st.DataObject) -> None:
        """A sender is cancelled."""
        entry, sender = self.senders.pop(data.draw(st.integers(0, len(self.senders) - 1)))
        sender.cancel()
        self.run()
        if not entry.taken and entry.settled and entry in self.order:
            self.order.remove(entry)
        if entry.settled and entry in self.in_flight:
            assert entry.paused
            self.in_flight.remove(entry)

    @precondition(lambda self: self.queue.entries_waiting)
    @rule()
    def take(self) -> None:
        """A flusher takes the oldest that fit, unless only giants wait."""
        taker = self.loop.create_task(self.queue.take(ROWS_MAX, GROUP_BYTES_MAX, GIANTS_MAX))
        self.run()
        if not taker.done():  # only giants wait, and one is in flight
            assert any(entry.giant for entry in self.in_flight)
            assert all(
                entry.items > ROWS_MAX or entry.size_bytes > GROUP_BYTES_MAX for entry in self.order
            )
            taker.cancel()
            self.run()
            return
        group = taker.result()
        assert group
        if len(group) > 1 or not group[0].giant:
            assert sum(entry.items for entry in group) <= ROWS_MAX
            assert sum(entry.size_bytes for entry in group) <= GROUP_BYTES_MAX
        assert [entry for entry in self.order if entry in group] == group, "not in order"
        for entry in group:
            self.order.remove(entry)
        self.in_flight += group

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        """A transaction was committed."""
        entry = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        self.queue.settle(entry, outcome)
        self.run()
        self.check_told(entry, outcome)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def transaction_fails(self, data: st.DataObject) -> None:
        """An entry goes on exactly as long as somebody waits for it."""
        entry = self.in_flight[data.draw(st.integers(0, len(self.in_flight) - 1))]
        self.queue.pause(entry)
        assert entry.settled is not any(other is entry for other, _ in self.senders)
        if entry.settled:
            self.in_flight.remove(entry)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def next_try(self, data: st.DataObject) -> None:
        """A failed entry that somebody waits for is written again; its outcome stands from here."""
        entry = self.in_flight[data.draw(st.integers(0, len(self.in_flight) - 1))]
        assert self.queue.resume(entry)

    def check_told(self, entry: Entry, outcome: Outcome) -> None:
        """Every sender that still waited has the outcome."""
        for other, sender in self.senders:
            if other is entry:
                assert sender.result() is outcome
        self.senders = [pair for pair in self.senders if pair[0] is not entry]

    @rule()
    def close(self) -> None:
        """A drain begins."""
        self.queue.close()

    @invariant()
    def books_balance(self) -> None:
        """Every item that was received has one end or is held."""
        held = sum(entry.items * (entry.senders + entry.departed) for entry in self.held())
        assert self.received == sum(self.ends.values()) + held

    @invariant()
    def bounds_hold(self) -> None:
        """Only one request larger than the bound may pass it."""
        held = self.held()
        assert self.queue.items == sum(entry.items for entry in held)
        assert self.queue.bytes == sum(entry.size_bytes for entry in held) == self.budget.used
        assert self.queue.items - max((e.items for e in held), default=0) <= ITEMS_MAX
        assert self.queue.bytes - max((e.size_bytes for e in held), default=0) <= BYTES_MAX
        if all(entry.items <= ITEMS_MAX // 2 for entry in held):
            assert self.queue.items <= ITEMS_MAX
        if all(entry.size_bytes <= BYTES_MAX // 2 for entry in held):
            assert self.queue.bytes <= BYTES_MAX

    def held(self) -> list[Entry]:
        """Return what waits and what is in flight."""
        return [*self.order, *self.in_flight]

    def teardown(self) -> None:
        """Giving up what is left settles everything."""
        gave_up = self.queue.fail_all(RefusedRequestError())
        self.run()
        assert gave_up == len(self.held())
        assert self.received == sum(self.ends.values())
        assert (self.queue.items, self.queue.bytes, self.budget.used) == (0, 0, 0)
        for _, sender in self.senders:
            assert isinstance(sender.exception(), RefusedRequestError)
        self.loop.run_until_complete(asyncio.wait_for(self.queue.empty(), 1))
        self.loop.close()


TestQueueModel = QueueMachine.TestCase
TestQueueModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
