"""Slots before the body, and how long a call may be held."""

from __future__ import annotations

import asyncio

import pytest

from collector.errors import NoSlotError
from collector.receive.limits import Slots, connection_share, hold_s
from collector.settings import ReceiveSettings


async def test_a_call_without_a_slot_is_refused_and_a_freed_slot_is_given_on() -> None:
    """Two slots carry two calls; the third is refused in time, the fourth gets what was freed."""
    slots = Slots(2, per_connection=2)

    async with slots.take("a", 1.0):
        async with slots.take("a", 1.0):
            with pytest.raises(NoSlotError, match="all 2 receive slots"):
                async with slots.take("a", 0.001):
                    pytest.fail("a third slot out of two")
        async with slots.take("a", 0.001):
            pass


async def test_a_waiting_call_gets_the_slot_as_soon_as_it_is_free() -> None:
    """Waiting ends with the holder's work, not with the limit."""
    slots = Slots(1, per_connection=1)
    entered = asyncio.Event()

    async def second() -> None:
        async with slots.take("a", 60.0):
            entered.set()

    async with slots.take("a", 1.0):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        assert not entered.is_set()
    await waiting

    assert entered.is_set()


async def test_a_cancelled_waiter_costs_no_slot() -> None:
    """A sender that leaves while it waits takes nothing with it."""
    slots = Slots(1, per_connection=1)

    async with slots.take("a", 1.0):
        waiting = asyncio.create_task(slots.take("a", 60.0).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async with slots.take("a", 0.001):
        pass


async def test_bodies_on_their_way_have_a_share_for_each_connection() -> None:
    """A third call of "a" waits although a slot is free, and "b" has that one."""
    slots = Slots(3, per_connection=2)

    async with slots.take("a", 1.0), slots.take("a", 1.0):
        with pytest.raises(NoSlotError):
            async with slots.take("a", 0.001):
                pytest.fail("a third body of one connection")
        async with slots.take("b", 0.001):
            pass

    async with slots.take("a", 0.001):
        pass


async def test_a_body_that_is_here_no_longer_counts_for_its_connection() -> None:
    """Converting it needs a slot, but the sender cannot stretch that."""
    slots = Slots(3, per_connection=1)

    async with slots.take("a", 1.0) as first:
        first.body_is_here()
        async with slots.take("a", 0.001) as second:
            second.body_is_here()
            async with slots.take("a", 0.001):
                with pytest.raises(NoSlotError):  # the share is taken again
                    await slots.take("a", 0.001).__aenter__()
    assert slots.connections == 0


async def test_nothing_is_kept_of_a_connection_without_calls() -> None:
    """Connections come and go for ever, some of them cancelled while they wait."""
    slots = Slots(1, per_connection=1)

    for number in range(10):
        async with slots.take(f"ipv4:{number}", 1.0):
            waiting = asyncio.create_task(slots.take("other", 60.0).__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    assert slots.connections == 0


@pytest.mark.parametrize(
    ("left_s", "held_s"),
    [(None, 4.5), (10.0, 8.5), (1.0, 0.85), (0.0, 0.0), (-1.0, 0.0), (315_360_000.0, 30.0)],
)
def test_the_hold_ends_before_the_deadline(left_s: float | None, held_s: float) -> None:
    """0.85 of the deadline, 4.5 s without one, 30 s at most."""
    assert hold_s(left_s, ReceiveSettings()) == pytest.approx(held_s)


@pytest.mark.parametrize(
    ("bodies_bytes_max", "share"), [(2**30, 8), (256 * 2**20, 2), (64 * 2**20, 1)]
)
def test_one_connection_leaves_room_for_the_bodies_of_others(
    bodies_bytes_max: int, share: int
) -> None:
    """Half of what may be on its way is the most, and one body is always possible."""
    assert connection_share(ReceiveSettings(bodies_bytes_max=bodies_bytes_max)) == share
