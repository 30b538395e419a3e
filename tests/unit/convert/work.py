"""Work as a number: the lines of Python that run, which do not depend on how busy a machine is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of ``collector.convert`` run while ``work`` does."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if event == "call" and not frame.f_globals["__name__"].startswith("collector.convert"):
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def lines_of_turns(steps: Iterator[object]) -> list[int]:
    """Return how many lines run in each turn of ``steps``, up to its end."""
    ended = False

    def turn() -> None:
        nonlocal ended
        ended = next(steps, steps) is steps

    turns: list[int] = []
    while not ended:
        turns.append(lines_run(turn))
    return turns


def characters_returned(work: Callable[[], object]) -> int:
    """Return how much text the functions of ``collector.convert`` hand to each other."""
    characters = 0

    def profile(frame: FrameType, event: str, result: object) -> None:
        nonlocal characters
        is_ours = frame.f_globals["__name__"].startswith("collector.convert")
        if event == "return" and is_ours and isinstance(result, str):
            characters += len(result)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return characters
