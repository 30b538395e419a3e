"""What `otlpg verify` remembers of what it could not read, and its bound."""

from __future__ import annotations

from typing import Any, cast

import pytest

from collector.operate.verify import backlog
from collector.operate.verify.backlog import Backlog, Unread
from collector.operate.verify.delivery import Delivery
from collector.operate.verify.judge import End, Finding
from collector.operate.verify.look import Looker, Seen
from collector.operate.verify.marked import Marked, Marker
from collector.operate.verify.options import Protocol
from collector.operate.verify.pause import Pause
from collector.rows import Signal


class Library:
    """Stands for PostgreSQL: away, or there with no row at all."""

    def __init__(self) -> None:
        self.away = True
        self.asked: list[int] = []

    async def see(self, marked: Marked, **_: Any) -> Seen | None:
        """Note who is asked for."""
        self.asked.append(marked.marker.number)
        return None if self.away else Seen([], has_letter=False)


class Settled:
    """Who was settled, and how."""

    def __init__(self) -> None:
        self.ends: dict[int, set[End]] = {}

    def __call__(self, unread: Unread, findings: list[Finding]) -> None:
        """Each only once."""
        assert unread.marker.number not in self.ends
        self.ends[unread.marker.number] = {finding.end for finding in findings}


def unread(number: int) -> Unread:
    """Return an acknowledged request of logs."""
    delivery = Delivery("acknowledged", 1, 0.01, "OK", "")
    marker = Marker("here", "run", number, 1, 2 + number)
    return Unread(Signal.LOGS, marker, Protocol.GRPC, delivery, None)


@pytest.fixture
def library() -> Library:
    """PostgreSQL, away."""
    return Library()


@pytest.fixture
def settled() -> Settled:
    """Nothing yet."""
    return Settled()


@pytest.fixture
def waiting(library: Library, settled: Settled, monkeypatch: pytest.MonkeyPatch) -> Backlog:
    """A backlog with room for two, of three that came."""
    monkeypatch.setattr(backlog, "REQUESTS_MAX", 2)
    full = Backlog(cast("Looker", library), Pause(), settled)
    for number in (1, 2, 3):
        full.add(unread(number))
    return full


async def test_the_oldest_is_forgotten_and_the_others_are_read_in_the_end(
    waiting: Backlog, library: Library, settled: Settled
) -> None:
    """What was dropped is unread; what is looked for and not there is lost."""
    assert settled.ends == {1: {End.UNREAD}}
    library.away = False

    await waiting.finish()

    assert settled.ends == {1: {End.UNREAD}, 2: {End.LOST}, 3: {End.LOST}}


async def test_while_nothing_can_be_read_only_the_oldest_is_tried(
    waiting: Backlog, library: Library, settled: Settled
) -> None:
    """And whoever still waits at the end is unread."""
    await waiting.finish()

    assert library.asked == [2]
    assert settled.ends == {number: {End.UNREAD} for number in (1, 2, 3)}


async def test_a_hurried_end_looks_for_nothing(
    waiting: Backlog, library: Library, settled: Settled
) -> None:
    """Not even where everything could be read."""
    library.away = False
    waiting.give_up()

    await waiting.finish()

    assert library.asked == []
    assert settled.ends == {number: {End.UNREAD} for number in (1, 2, 3)}
