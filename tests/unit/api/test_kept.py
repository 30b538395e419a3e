"""api.kept: an answer is given again for a while, of one question about one database."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import timedelta

import pytest

from collector.api import kept as kept_module
from collector.api.kept import AWAY_S, BYTES_MAX, ENTRY_BYTES, Kept, Memory
from collector.errors import LinkError, StoreUnavailableError
from collector.telemetry.metrics import Metrics
from tests.clocks import HandClock

LIFETIME_S = 30.0


class Databases:
    """Answers with a number that grows, about the database that is there now."""

    def __init__(self) -> None:
        self.here = "one"
        self.asked = 0

    async def identity(self) -> str:
        """Return which database this is."""
        return self.here

    async def ask(self) -> bytes:
        """Return another answer each time."""
        self.asked += 1
        return f"{self.here} {self.asked}".encode()


class Elsewhere:
    """Keeps answers, fails on demand, and counts what is asked of it."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[bytes, float]] = {}
        self.is_away = False
        self.is_full = False
        self.asked = 0

    async def get(self, key: str) -> bytes | None:
        """Return what is kept."""
        self._count()
        return self.answers.get(key, (None,))[0]

    async def put(self, key: str, answer: bytes, lifetime_s: float) -> None:
        """Keep it."""
        self._count()
        if self.is_full:
            raise LinkError("full")
        self.answers[key] = (answer, lifetime_s)

    def _count(self) -> None:
        self.asked += 1
        if self.is_away:
            raise LinkError("away")


async def test_an_answer_is_given_again_for_its_lifetime() -> None:
    """To the same question; another one is asked."""
    clock, databases, metrics = HandClock(), Databases(), Metrics()
    kept = Kept(LIFETIME_S, databases.identity, clock, metrics)

    first = await kept.answer(("services", 1), databases.ask)
    clock.move(timedelta(seconds=LIFETIME_S - 1))
    again = await kept.answer(("services", 1), databases.ask)
    other = await kept.answer(("services", "1"), databases.ask)
    clock.move(timedelta(seconds=1))
    later = await kept.answer(("services", 1), databases.ask)

    assert [first, again, other, later] == [b"one 1", b"one 1", b"one 2", b"one 3"]
    assert metrics.api_slow_answers.values == {("new",): 3, ("kept",): 1}


async def test_another_database_has_its_own_answers() -> None:
    """Also behind the same address, after as long as an answer is kept; and in one Redis."""
    clock, databases, remote = HandClock(), Databases(), Elsewhere()
    kept = Kept(LIFETIME_S, databases.identity, clock, Metrics(), remote)
    other_databases = Databases()
    other_databases.here = "two"
    other = Kept(LIFETIME_S, other_databases.identity, clock, Metrics(), remote)

    assert await kept.answer(("services",), databases.ask) == b"one 1"
    assert await other.answer(("services",), other_databases.ask) == b"two 1"
    databases.here = "three"
    clock.move(timedelta(seconds=LIFETIME_S))
    assert await kept.answer(("services",), databases.ask) == b"three 2"


async def test_all_of_a_database_share_what_is_kept_elsewhere() -> None:
    """Under a key that says nothing of what was asked, and for as long as here."""
    clock, databases, remote = HandClock(), Databases(), Elsewhere()

    for _ in range(2):
        kept = Kept(LIFETIME_S, databases.identity, clock, Metrics(), remote)
        assert await kept.answer(("services", "shop"), databases.ask) == b"one 1"

    ((key, (answer, lifetime_s)),) = remote.answers.items()
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")
    assert (answer, lifetime_s) == (b"one 1", LIFETIME_S)


async def test_what_is_away_is_left_alone_for_a_while() -> None:
    """One in ``AWAY_S`` tries it; meanwhile answers are kept here, and then there again."""
    clock, databases, remote = HandClock(), Databases(), Elsewhere()
    kept = Kept(LIFETIME_S * 10, databases.identity, clock, Metrics(), remote)
    remote.is_away = True

    for _ in range(5):
        assert await kept.answer(("services",), databases.ask) == b"one 1"
    assert remote.asked == 1
    clock.move(timedelta(seconds=AWAY_S))
    assert await kept.answer(("services",), databases.ask) == b"one 1"
    assert remote.asked == 2
    remote.is_away = False
    clock.move(timedelta(seconds=AWAY_S))
    assert await kept.answer(("services",), databases.ask) == b"one 2"
    assert [answer for answer, _ in remote.answers.values()] == [b"one 2"]


async def test_what_has_no_room_is_left_alone_too() -> None:
    """It would say for ever that it knows nothing; answers are kept here instead."""
    databases, remote = Databases(), Elsewhere()
    kept = Kept(LIFETIME_S, databases.identity, HandClock(), Metrics(), remote)
    remote.is_full = True

    answers = [await kept.answer(("services",), databases.ask) for _ in range(3)]

    assert answers == [b"one 1"] * 3
    assert remote.asked == 2  # for the answer, and to keep it


async def test_an_error_is_no_answer() -> None:
    """The next one asks again."""
    databases = Databases()
    kept = Kept(LIFETIME_S, databases.identity, HandClock(), Metrics())

    async def fail() -> bytes:
        raise StoreUnavailableError("away")

    with pytest.raises(StoreUnavailableError):
        await kept.answer(("services",), fail)
    assert await kept.answer(("services",), databases.ask) == b"one 1"


async def test_what_is_kept_here_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and what is very large is not kept at all."""
    monkeypatch.setattr(kept_module, "BYTES_MAX", 10 + 2 * ENTRY_BYTES)
    monkeypatch.setattr(kept_module, "ANSWER_BYTES_MAX", 8)
    kept = Kept(LIFETIME_S, Databases().identity, HandClock(), Metrics())
    asked: list[str] = []

    async def answer(name: str, size: int) -> None:
        async def ask() -> bytes:
            asked.append(name)
            return bytes(size)

        assert await kept.answer((name,), ask) == bytes(size)

    for name, size in (("a", 4), ("b", 4), ("c", 4), ("b", 4), ("a", 4), ("d", 9), ("d", 9)):
        await answer(name, size)

    assert asked == ["a", "b", "c", "a", "d", "d"]


def test_answers_that_say_nothing_have_their_cost() -> None:
    """Whoever asks for services that there are not fills no memory: it is measured."""
    memory = Memory(HandClock())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    for number in range(50_000):
        memory.put(f"{number:064}", b"[]", LIFETIME_S)

    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held <= memory.bytes <= BYTES_MAX


def test_what_is_too_old_is_dropped() -> None:
    """It is given to nobody, and has no place any more."""
    clock = HandClock()
    memory = Memory(clock)
    memory.put("a", b"old", LIFETIME_S)
    clock.move(timedelta(seconds=LIFETIME_S))

    assert memory.get("b") is None
    assert memory.bytes == 0


async def test_one_of_all_who_wait_asks_which_database_it_is() -> None:
    """Others wait for it, and take no connection."""
    asked = 0
    may_answer = asyncio.Event()

    async def identity() -> str:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return "one"

    kept = Kept(LIFETIME_S, identity, HandClock(), Metrics())
    databases = Databases()
    waiting = [asyncio.create_task(kept.answer((number,), databases.ask)) for number in range(20)]
    await asyncio.sleep(0)
    may_answer.set()
    await asyncio.gather(*waiting)

    assert asked == 1


async def test_all_who_wait_share_a_failure() -> None:
    """Whoever leaves meanwhile does not; and the next reader is a new attempt."""
    asked = 0
    may_answer = asyncio.Event()

    async def identity() -> str:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        raise StoreUnavailableError("away")

    kept = Kept(LIFETIME_S, identity, HandClock(), Metrics())
    databases = Databases()
    first, *others = [
        asyncio.create_task(kept.answer((number,), databases.ask)) for number in range(5)
    ]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))
    assert first.cancelled()
    may_answer.set()
    failed = await asyncio.gather(*others, return_exceptions=True)

    assert [type(each) for each in failed] == [StoreUnavailableError] * 4
    assert asked == 1
    with pytest.raises(StoreUnavailableError):
        await kept.answer(("services",), databases.ask)
    assert asked == 2


async def test_nothing_is_kept_where_the_lifetime_is_none() -> None:
    """Every answer is a new one, and nobody asks which database it is."""
    databases = Databases()

    async def never() -> str:
        raise AssertionError

    kept = Kept(0, never, HandClock(), Metrics())

    answers = [await kept.answer(("services",), databases.ask) for _ in range(2)]
    assert answers == [b"one 1", b"one 2"]
