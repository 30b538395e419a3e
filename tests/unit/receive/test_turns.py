"""Turns of the event loop, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from collector.receive.turns import RECENT_S, Turns
from tests.clocks import HandClock


class Loop:
    """Turns whose breaks take no time, and are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = HandClock()
        self.turns = Turns(self.clock)
        self.breaks_s: list[float] = []
        self.on_break = self.most_on_break = 0
        self._pass = asyncio.sleep
        monkeypatch.setattr("collector.receive.turns.asyncio.sleep", self._break)

    async def _break(self, length_s: float) -> None:
        self.breaks_s.append(length_s)
        self.on_break += 1
        self.most_on_break = max(self.most_on_break, self.on_break)
        await self._pass(0)
        self.on_break -= 1

    async def step(self, took_s: float) -> None:
        """Do a step of long work and wait for the next."""
        began_s = self.turns.now_s()
        self.clock.move(timedelta(seconds=took_s))
        await self.turns.give_way(began_s)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Turns that nobody small has used."""
    return Loop(monkeypatch)


async def test_long_work_alone_has_the_whole_loop(loop: Loop) -> None:
    """There is nobody to make room for, beyond a pass in which somebody could come."""
    await loop.step(0.25)
    await loop.step(0.25)

    assert loop.breaks_s == [0, 0]


async def test_a_break_is_as_long_as_its_step_while_small_requests_come(loop: Loop) -> None:
    """And for a second after the last of them."""
    loop.turns.small_came()
    await loop.step(0.25)
    await loop.step(0.5)
    loop.clock.move(timedelta(seconds=RECENT_S))
    await loop.step(0.25)

    assert loop.breaks_s == [0.25, 0.5, 0]


async def test_all_long_work_stands_in_one_line(loop: Loop) -> None:
    """Four at once have half of the loop together: their breaks do not overlap."""
    loop.turns.small_came()

    await asyncio.gather(*[loop.step(0.01) for _ in range(4)])

    assert len(loop.breaks_s) == 4
    assert loop.most_on_break == 1
