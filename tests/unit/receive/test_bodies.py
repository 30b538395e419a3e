"""Bytes of bodies on their way: bounded, first come first served, and never for ever."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from collector.errors import NoBodyRoomError
from collector.receive.bodies import PASSED_BYTES_MAX, SMALL_BYTES, Bodies

LARGE = 4 * SMALL_BYTES


async def hold(bodies: Bodies, size_bytes: int, until: asyncio.Event) -> None:
    """Reserve, wait, give back."""
    async with bodies.reserve(size_bytes, 60.0):
        await until.wait()


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_finds_no_room_in_time_is_refused_and_costs_nothing() -> None:
    """The bound holds, whoever asks; afterwards everything is free."""
    bodies = Bodies(2 * LARGE)

    async with bodies.reserve(LARGE, 1.0), bodies.reserve(LARGE, 1.0):
        with pytest.raises(NoBodyRoomError, match="no room for a body"):
            async with bodies.reserve(1, 0.001):
                pytest.fail("more than the budget")
        assert bodies.used == 2 * LARGE

    assert bodies.used == 0


async def test_what_a_body_does_not_take_is_free_as_soon_as_it_is_here() -> None:
    """Its reservation was for the worst case."""
    bodies = Bodies(LARGE)

    async with bodies.reserve(LARGE, 1.0) as room:
        room.shrink(10)
        async with bodies.reserve(LARGE - 10, 0.001):
            assert bodies.used == LARGE

    assert bodies.used == 0


async def test_small_bodies_pass_a_large_one_that_waits() -> None:
    """A giant that waits for room is in nobody's way."""
    bodies, until = Bodies(2 * LARGE), asyncio.Event()

    async with bodies.reserve(LARGE + SMALL_BYTES, 1.0):
        giant = asyncio.create_task(hold(bodies, 2 * LARGE, until))
        await turns()
        async with bodies.reserve(SMALL_BYTES, 0.001):
            pass
        with pytest.raises(NoBodyRoomError):
            async with bodies.reserve(SMALL_BYTES + 1, 0.001):
                pytest.fail("it would pass what came before it and is as large")
    await turns()

    assert bodies.used == 2 * LARGE
    until.set()
    await giant
    assert bodies.used == 0


async def test_small_bodies_cannot_keep_a_large_one_waiting() -> None:
    """Where the budget is hardly more than one large body, their stream ends, and it has its turn."""
    bytes_max = 64 * SMALL_BYTES
    bodies, until = Bodies(bytes_max), asyncio.Event()
    small = [asyncio.Event() for _ in range(200)]

    first = asyncio.create_task(hold(bodies, SMALL_BYTES, small[0]))
    await turns()
    giant = asyncio.create_task(hold(bodies, bytes_max, until))
    tasks = [first, giant]
    for ended, begun in pairwise(small):  # at each moment one of them is there
        tasks.append(asyncio.create_task(hold(bodies, SMALL_BYTES, begun)))
        await turns()
        ended.set()
        await turns()
        if bodies.used == bytes_max:
            break

    assert bodies.used == bytes_max
    assert len(tasks) - 2 <= PASSED_BYTES_MAX // SMALL_BYTES + 1
    until.set()
    for event in small:
        event.set()
    await asyncio.gather(*tasks)
    assert bodies.used == 0


async def test_small_bodies_pass_without_end_where_they_leave_room() -> None:
    """What keeps the first in line waiting is not them."""
    bodies, until = Bodies(2 * LARGE), asyncio.Event()

    async with bodies.reserve(LARGE + 1, 1.0):
        large = asyncio.create_task(hold(bodies, LARGE, until))
        await turns()
        for _ in range(10 * PASSED_BYTES_MAX // SMALL_BYTES):
            async with bodies.reserve(SMALL_BYTES, 0.001):
                pass
    await turns()

    assert bodies.used == LARGE
    until.set()
    await large


async def test_large_bodies_come_in_the_order_of_their_calls() -> None:
    """None is passed for ever by others of its size."""
    bodies, until = Bodies(LARGE), asyncio.Event()
    order: list[int] = []

    async def one(number: int) -> None:
        async with bodies.reserve(LARGE, 60.0):
            order.append(number)

    first = asyncio.create_task(hold(bodies, LARGE, until))
    await turns()
    others = [asyncio.create_task(one(number)) for number in range(3)]
    await turns()
    until.set()
    await asyncio.gather(first, *others)

    assert order == [0, 1, 2]
    assert bodies.used == 0


@pytest.mark.parametrize("is_let_in", [False, True])
async def test_a_sender_that_leaves_while_it_waits_takes_nothing_with_it(is_let_in: bool) -> None:
    """Nor in the moment in which its room came."""
    bodies, until = Bodies(LARGE), asyncio.Event()
    async with bodies.reserve(LARGE, 1.0) as room:
        waiting = asyncio.create_task(hold(bodies, LARGE, until))
        behind = asyncio.create_task(hold(bodies, SMALL_BYTES + 1, until))
        await turns()
        if is_let_in:
            room.shrink(0)
        waiting.cancel()
        await asyncio.wait((waiting,))

    await turns()
    assert bodies.used == SMALL_BYTES + 1
    until.set()
    await behind
    assert bodies.used == 0
