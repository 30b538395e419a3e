"""A filter gives the same answer for a live item and, as SQL, for the row it was made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal, NamedTuple

import pytest
from hypothesis import strategies as st

from collector.items import Item
from collector.query.filters import Filter
from collector.query.recent import ITEM_OF, TIME_MAX, TIME_MIN, statement
from collector.query.sql import FROM, where
from collector.query.terms import (
    AttributeTerm,
    NotTerm,
    NumberTerm,
    Term,
    TextTerm,
    Word,
    stored_key,
)
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.db.querying import sorted_texts, text_of
from tests.examples import new_examples, same_examples
from tests.factories import ExportRequest
from tests.filters import filter_about, filters
from tests.long_requests import long_requests
from tests.round_trip import Arrivals, for_all
from tests.storage import Storage
from tests.strategies import requests

examples = same_examples(30)
few_examples = same_examples(12)
many_examples = new_examples()

ITEMS_MAX = 1_000
FILTERS_ABOUT_ITEMS = 24


Tally = dict[bool | Literal["cut"], int]
"""Answers for items that are whole, and how many for cut ones were certain."""


class Example(NamedTuple):
    """What is stored together, and what is asked of it."""

    requests: list[ExportRequest]
    filters: list[Filter]
    seed: int


def _examples(signal: Signal) -> st.SearchStrategy[Example]:
    return st.builds(
        Example,
        st.lists(requests(signal), min_size=2, max_size=4),
        st.lists(filters, min_size=4, max_size=12),
        st.integers(0, 2**32),
    )


def _long_examples(signal: Signal) -> st.SearchStrategy[Example]:
    return st.builds(
        Example,
        st.lists(long_requests(signal), min_size=1, max_size=2),
        st.lists(filters, max_size=4),
        st.integers(0, 2**32),
    )


@pytest.fixture
async def storage(connection: Connection, database_settings: DatabaseSettings) -> Storage:
    """A database with leaves for whatever is generated."""
    made = Storage(connection, database_settings)
    await made.prepare()
    return made


@pytest.mark.parametrize("signal", Signal)
async def test_an_item_and_its_row_match_the_same_filters(
    signal: Signal, storage: Storage, connection: Connection
) -> None:
    """Of any stored items, a query finds those that ``matches`` takes, and no others."""
    tally: Tally = {True: 0, False: 0, "cut": 0}

    await for_all(_examples(signal), _check(signal, storage, connection, tally), settings=examples)

    tally.pop("cut")
    assert min(tally.values()) > 500, f"one answer hardly ever came: {tally}"


@pytest.mark.parametrize("signal", Signal)
async def test_long_items_match_as_their_rows_do(
    signal: Signal, storage: Storage, connection: Connection
) -> None:
    """Those that are whole by every filter; those that were cut by what is left: ``_check_cut``."""
    tally: Tally = {True: 0, False: 0, "cut": 0}
    check = _check(signal, storage, connection, tally)

    await for_all(_long_examples(signal), check, settings=few_examples)

    assert tally["cut"] > 20, tally


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("signal", Signal)
async def test_thousands_of_items_match_the_same_filters(
    signal: Signal, storage: Storage, connection: Connection
) -> None:
    """The same with other examples at each run."""
    tally: Tally = {True: 0, False: 0, "cut": 0}
    check = _check(signal, storage, connection, tally)

    await for_all(_examples(signal), check, settings=many_examples)

    assert min(tally.values()) > 20_000, f"one answer hardly ever came: {tally}"


def _check(
    signal: Signal, storage: Storage, connection: Connection, tally: Tally
) -> Callable[[Example], Awaitable[None]]:
    arrivals = Arrivals()

    async def check(example: Example) -> None:
        converted = [arrivals.convert(signal, r.SerializeToString()) for r in example.requests]
        await storage.store(signal, converted)
        try:
            everything = (await _found(connection, signal, Filter()))[0]
            dice = Random(example.seed)
            asked = [*example.filters]
            if everything:
                asked += [
                    filter_about(dice.choice(everything), dice) for _ in range(FILTERS_ABOUT_ITEMS)
                ]
            answers = [await _found(connection, signal, filter_) for filter_ in asked]
        finally:
            await storage.forget(signal)

        assert len(everything) == sum(len(one.rows) for one in converted)
        whole = [item for item in everything if "cut" not in item]
        cut = [item for item in everything if "cut" in item]
        for filter_, (found, count) in zip(asked, answers, strict=True):
            expected = [item for item in whole if filter_.matches(item)]
            found_whole = [item for item in found if "cut" not in item]
            assert sorted_texts(found_whole) == sorted_texts(expected), str(filter_)
            assert count == len(found), str(filter_)
            assert not expected or signal in filter_.signals()
            tally[True] += len(expected)
            tally[False] += len(whole) - len(expected)
            tally["cut"] += _check_cut(filter_, cut, found)

    return check


def _check_cut(filter_: Filter, cut: list[Item], found: list[Item]) -> int:
    """Fail unless what is left of cut items decides as their rows do; return how often it could.

    A positive term that finds something in what is left of a text finds it in all of it. What was
    left out matches no term: what a row says then is not for ``matches`` to know.
    """
    decided = 0
    rows = Counter(sorted_texts(found))
    for item, text in zip(cut, map(text_of, cut), strict=True):
        if all(_is_about_what_is_left(term, item) for term in filter_.terms):
            assert (rows[text] > 0) == filter_.matches(item), str(filter_)
            decided += 1
        elif len(filter_.terms) == 1 and _only_looks_for(filter_.terms[0]):
            assert rows[text] or not filter_.matches(item), str(filter_)
    return decided


def _is_about_what_is_left(term: Term, item: Item) -> bool:
    """Whether a term asks for something that no cut can have touched."""
    match term:
        case NotTerm(positive):
            return _is_about_what_is_left(positive, item)
        case AttributeTerm() | NumberTerm():
            return stored_key(term.key) in item.get("attributes", {})
        case Word() | TextTerm():
            return False
        case _:
            return True


def _only_looks_for(term: Term) -> bool:
    """Whether a term is true of a text as soon as it is true of a part."""
    return isinstance(term, Word) or (isinstance(term, TextTerm) and term.field == "body")


async def _found(connection: Connection, signal: Signal, filter_: Filter) -> tuple[list[Item], int]:
    """Return the items that a tail's query finds, and how many rows fulfil the condition alone.

    The parameters of the latter are numbered as another statement may need it.
    """
    sql, parameters = statement(signal, filter_, TIME_MIN, TIME_MAX, ITEMS_MAX)
    items = [ITEM_OF[signal](row) for row in await connection.fetch(sql, *parameters)]
    condition = where(filter_, signal, first_parameter=2)
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {FROM[signal]} WHERE $1::boolean AND {condition.sql}",
        True,
        *condition.parameters,
    )
    return items, count
