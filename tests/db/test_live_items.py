"""A live item is the stored one: what a tail shows first and what it shows then look alike."""

from __future__ import annotations

import pytest

from collector.items import Item
from collector.query.filters import Filter
from collector.query.recent import ITEM_OF, TIME_MAX, TIME_MIN, statement
from collector.rows import ConvertedRequest, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from collector.tail.message import Head, decode, encode
from tests.db.querying import sorted_texts
from tests.examples import same_examples
from tests.factories import ExportRequest
from tests.long_requests import long_requests
from tests.round_trip import Arrivals, for_all
from tests.storage import Storage
from tests.strategies import requests

ITEMS_MAX = 1_000
BYTES_MAX = 2**26

examples = same_examples(60)


few_examples = same_examples(20)


@pytest.mark.parametrize("signal", Signal)
async def test_a_live_item_is_the_stored_one(
    signal: Signal, connection: Connection, database_settings: DatabaseSettings
) -> None:
    """Field by field, for everything that a sender may have meant; what is cut is cut in both."""
    storage = Storage(connection, database_settings)
    await storage.prepare()
    arrivals = Arrivals()
    compared = cut = 0

    async def check(request: ExportRequest) -> None:
        nonlocal compared, cut
        converted = arrivals.convert(signal, request.SerializeToString())
        live = _published(signal, converted)
        await storage.store(signal, [converted])
        stored = await _stored(connection, signal)
        await storage.forget(signal)

        assert sorted_texts(live) == sorted_texts(stored)
        compared += len(live)
        cut += sum("cut" in item for item in live)

    await for_all(requests(signal), check, settings=examples)
    await for_all(long_requests(signal), check, settings=few_examples)

    assert compared > 100, compared
    assert cut > 5, cut


def _published(signal: Signal, converted: ConvertedRequest) -> list[Item]:
    head = Head(signal, "publisher", 0, len(converted.rows), 1)
    picks = [(converted, row) for row in converted.rows]
    return decode(encode(head, picks, BYTES_MAX)).lines


async def _stored(connection: Connection, signal: Signal) -> list[Item]:
    sql, parameters = statement(signal, Filter(), TIME_MIN, TIME_MAX, ITEMS_MAX)
    return [ITEM_OF[signal](row) for row in await connection.fetch(sql, *parameters)]
