"""A filter gives the same answer for a live item and, as SQL, for the row it was made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from collector.items import Item
from collector.query.filters import Filter
from collector.query.recent import find_recent
from collector.query.sql import FROM, where
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.factories import ExportRequest
from tests.filters import filters
from tests.round_trip import Arrivals, for_all
from tests.storage import Storage
from tests.strategies import requests

examples = hypothesis_settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
many_examples = hypothesis_settings(examples, max_examples=2_000, derandomize=False)

ITEMS_MAX = 1_000
Example = tuple[ExportRequest, list[Filter]]


def _examples(signal: Signal) -> st.SearchStrategy[Example]:
    return st.tuples(requests(signal), st.lists(filters, min_size=4, max_size=12))


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
    tally = {True: 0, False: 0}

    await for_all(_examples(signal), _check(signal, storage, connection, tally), settings=examples)

    assert min(tally.values()) > 100, f"one answer hardly ever came: {tally}"


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("signal", Signal)
async def test_thousands_of_items_match_the_same_filters(
    signal: Signal, storage: Storage, connection: Connection
) -> None:
    """The same with other examples at each run."""
    tally = {True: 0, False: 0}
    check = _check(signal, storage, connection, tally)

    await for_all(_examples(signal), check, settings=many_examples)


def _check(
    signal: Signal, storage: Storage, connection: Connection, tally: dict[bool, int]
) -> Callable[[Example], Awaitable[None]]:
    arrivals = Arrivals()

    async def check(example: Example) -> None:
        request, asked = example
        converted = arrivals.convert(signal, request.SerializeToString())
        await storage.store(signal, [converted])

        everything = await _find(connection, signal, Filter())
        answers = [
            (await _find(connection, signal, f), await _count(connection, signal, f)) for f in asked
        ]
        await storage.forget(signal)

        assert len(everything) == len(converted.rows)
        for filter_, (found, count) in zip(asked, answers, strict=True):
            expected = [item for item in everything if filter_.matches(item)]
            assert _sorted(found) == _sorted(expected), str(filter_)
            assert count == len(expected), str(filter_)
            assert not expected or signal in filter_.signals()
            tally[True] += len(expected)
            tally[False] += len(everything) - len(expected)

    return check


async def _find(connection: Connection, signal: Signal, filter_: Filter) -> list[Item]:
    """Return the items that the filter finds, by the road of a tail."""
    recent = await find_recent(
        connection, [signal], filter_, since=None, limit=ITEMS_MAX, timeout_s=60
    )
    assert recent.is_whole
    return recent.items


async def _count(connection: Connection, signal: Signal, filter_: Filter) -> int:
    """Return how many rows fulfil the condition, parameters being numbered as others need it."""
    condition = where(filter_, signal, first_parameter=2)
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {FROM[signal]} WHERE $1::boolean AND {condition.sql}",
        True,
        *condition.parameters,
    )
    return count


def _sorted(items: list[Any]) -> list[bytes]:
    return sorted(orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in items)
