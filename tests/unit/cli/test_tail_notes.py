"""cli.tail_notes: what is skipped is summed up by reason, and told once a second at most."""

from __future__ import annotations

from typing import Any

import pytest

from collector.cli.painting import Brush
from collector.cli.tail_notes import REASONS_MAX, Notes
from collector.cli.tail_screen import JsonWriter, Screen, View
from collector.operate.tail.news import Link, Lost, Skipped, Unreadable


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


def sampled(items: int | None) -> Skipped:
    """Return what the rate cap has skipped."""
    return Skipped("logs", items, "sampled")


def test_skipped_items_are_told_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """Soon when it was quiet, later as one sum; nothing where there is nothing."""
    clock = Clock()
    screen = Screen(JsonWriter(), Brush(False), View.ITEMS, 0, clock=clock)
    told: list[tuple[float, str]] = []
    for clock.now_s in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 5.0):
        if clock.now_s < 1.3:
            screen.tell(sampled(10))
            screen.tell(sampled(7))
        screen.show_due()
        told += [(clock.now_s, line) for line in capsys.readouterr().err.splitlines()]

    assert told == [
        (0.0, "-- 17 items skipped: the worker's rate cap"),
        (1.0, "-- 85 items skipped: the worker's rate cap"),
        (5.0, "-- 17 items skipped: the worker's rate cap"),
    ]


def test_reasons_are_summed_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Of items of which nobody knows how many, the sum is unknown."""
    notes = Notes(Brush(False), Clock())
    for news in (sampled(1), sampled(3), Skipped("logs", 4, "slow"), Skipped("all", None, "slow")):
        notes.tell(news)
    for _ in range(3):
        notes.tell(Unreadable("item"))
    notes.tell_rest()

    assert capsys.readouterr().err.splitlines() == [
        "-- 4 items skipped: the worker's rate cap",
        "-- some items skipped: this reader is too slow",
        "-- item: 3 could not be read and are left out",
    ]


def test_what_was_skipped_before_is_told_before(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is told out of its order."""
    notes = Notes(Brush(False), Clock())
    for news in (sampled(1), sampled(3), Lost("no more"), sampled(5), Link(True, "")):
        notes.tell(news)

    assert capsys.readouterr().err.splitlines() == [
        "-- 4 items skipped: the worker's rate cap",
        "-- connection lost: no more; trying again",
        "-- 5 items skipped: the worker's rate cap",
        "-- new items come again",
    ]


@pytest.mark.parametrize("items", [1, 2**63 - 1, None])
def test_a_server_cannot_flood_the_screen(items: int | None, capsys: Any) -> None:
    """However many reasons it makes up, and however long they are."""
    notes = Notes(Brush(False), Clock())
    for number in range(1_000):
        notes.tell(Skipped("logs", items, f"{number} " + "x" * 10_000))
    notes.tell_rest()

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == REASONS_MAX + 1
    assert max(map(len, lines)) < 600
    assert "other reasons" in lines[-1]
