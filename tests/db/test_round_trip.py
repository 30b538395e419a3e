"""Promise 8: what goes in can come out, over every field of the protocol, through PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from collector.rows import ConvertedRequest, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.equality import assert_same_items
from tests.examples import new_examples, same_examples
from tests.factories import ExportRequest, request_of
from tests.round_trip import Arrivals, expected_back, for_all, with_quarantined
from tests.storage import Storage
from tests.strategies import NOW_UNIX_NANO, HostileRequest, hostile_requests, requests

examples = same_examples(60)
many_examples = new_examples()

RoundTrip = Callable[[Signal, ConvertedRequest], Awaitable[ExportRequest]]


@pytest.fixture
async def round_trip(connection: Connection, database_settings: DatabaseSettings) -> RoundTrip:
    """Store a converted request as a flusher does, and return what PostgreSQL then holds of it."""
    storage = Storage(connection, database_settings)
    await storage.prepare()

    async def there_and_back(signal: Signal, converted: ConvertedRequest) -> ExportRequest:
        return await storage.there_and_back(signal, [converted])

    return there_and_back


@pytest.mark.parametrize("signal", Signal)
async def test_any_request_comes_back(signal: Signal, round_trip: RoundTrip) -> None:
    """restore(read back(store(convert(x)))) == x; quarantined items lie whole in dead letters."""
    await for_all(
        requests(signal), _check_that_it_comes_back(signal, round_trip), settings=examples
    )


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("signal", Signal)
async def test_thousands_of_requests_come_back(signal: Signal, round_trip: RoundTrip) -> None:
    """The same with other examples at each run."""
    check = _check_that_it_comes_back(signal, round_trip)
    await for_all(requests(signal), check, settings=many_examples)


def _check_that_it_comes_back(
    signal: Signal, round_trip: RoundTrip
) -> Callable[[ExportRequest], Awaitable[None]]:
    arrivals = Arrivals()

    async def check(request: ExportRequest) -> None:
        converted = arrivals.convert(signal, request.SerializeToString())
        expected = expected_back(converted, request)

        restored = await round_trip(signal, converted)

        assert_same_items(restored, expected)
        if not converted.wrong_signal:
            assert_same_items(with_quarantined(restored, converted.dead_letters), request)

    return check


@pytest.mark.parametrize("signal", Signal)
async def test_hostile_requests_come_back_repaired(signal: Signal, round_trip: RoundTrip) -> None:
    """PostgreSQL takes every repaired row, and it holds U+FFFD for what it could not take."""
    arrivals = Arrivals()

    async def check(hostile: HostileRequest) -> None:
        converted = arrivals.convert(signal, hostile.wire)
        expected = expected_back(converted, hostile.repaired, is_repaired=True)

        assert_same_items(await round_trip(signal, converted), expected)

    await for_all(hostile_requests(signal), check, settings=examples)


@pytest.mark.postgres_versions
@pytest.mark.parametrize("signal", Signal)
async def test_usual_requests_come_back(signal: Signal, round_trip: RoundTrip) -> None:
    """A shop's requests come back, from every PostgreSQL that is installed."""
    arrivals = Arrivals()
    request = request_of(signal, items=500, base_unix_nano=NOW_UNIX_NANO)
    converted = arrivals.convert(signal, request.SerializeToString())

    restored = await round_trip(signal, converted)

    assert len(converted.rows) == 500
    assert_same_items(restored, request)
