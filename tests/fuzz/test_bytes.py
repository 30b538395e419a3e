"""Bytes: those of the corpus changed at random, and those of nobody's making."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from collector.rows import Signal
from tests.examples import new_examples, same_examples
from tests.fuzz.case import DOORS, Case, Door, load_all
from tests.fuzz.judge import Judge
from tests.fuzz.mutate import mutate
from tests.round_trip import for_all

examples = same_examples(60)
many_examples = new_examples()

CHANGES_MAX = 4


def changed(door: Door) -> SearchStrategy[Case]:
    """Return corpus files of a door after one to four changes; which ones, a number decides."""
    files = [case.data for _, case in load_all() if case.door == door]

    def change(place: int, other: int, seed: int, times: int) -> Case:
        random, case = Random(seed), Case(door, files[place])
        for _ in range(times):
            case = mutate(case, random, other=files[other])
        return case

    places = st.integers(0, len(files) - 1)
    seeds = st.integers(0, 2**32 - 1)
    return st.builds(change, places, places, seeds, st.integers(1, CHANGES_MAX))


def any_bytes(door: Door) -> SearchStrategy[Case]:
    """Return short bytes of every kind."""
    return st.binary(max_size=200).map(lambda data: Case(door, data))


async def assert_all_in_order(
    judge: Judge, cases: SearchStrategy[Case], settings: hypothesis_settings
) -> None:
    """Fail at an example that breaks a rule of ``oracle``, or does not come back from PostgreSQL.

    Each has its own COPY where it has rows, so that the guilty one is shrunk.
    """

    async def one(case: Case) -> None:
        await judge.judge(case)
        for signal in Signal:
            refusals = await judge.copy(signal)
            assert not refusals, refusals[0].error

    await for_all(cases, one, settings=settings)


@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_changed_requests_end_as_they_must(door: Door, judge: Judge) -> None:
    """The neighbours of every case that is known."""
    await assert_all_in_order(judge, changed(door), examples)


@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_any_bytes_end_as_they_must(door: Door, judge: Judge) -> None:
    """Nothing is expected of them, and nothing must come of them."""
    await assert_all_in_order(judge, any_bytes(door), examples)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_thousands_of_changed_requests_end_as_they_must(door: Door, judge: Judge) -> None:
    """The same with other examples at each run."""
    await assert_all_in_order(judge, changed(door), many_examples)
