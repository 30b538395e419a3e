"""query.log_repository.find: the right records, in order, on pages that never shift."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import strategies as st

from collector.errors import BadParameterError
from collector.query.filters import Filter
from collector.query.log_records import LogRecord
from collector.query.log_repository import LogRepository
from collector.query.logs import item_of
from collector.query.page import Cursor, Page
from collector.query.time_range import TimeRange, unix_ns
from collector.query.view import Views
from collector.rows import ConvertedRequest, LogRow, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection
from tests.converted import log_row
from tests.db.paging import every_item
from tests.db.querying import HOUR, prepare, sorted_texts, write
from tests.db.writing import NOW
from tests.examples import same_examples
from tests.factories import ExportRequest
from tests.filters import filter_about, filters
from tests.leaves import DAY_US, pg_us
from tests.round_trip import Arrivals, for_all
from tests.storage import Storage
from tests.strategies import NOW_UNIX_NANO, requests

LOGS = Signal.LOGS
_UNCUT = {"attributes_cut": False, "resource_cut": False}
GENERATED = TimeRange(pg_us(NOW_UNIX_NANO) - 5 * DAY_US, pg_us(NOW_UNIX_NANO) + 5 * DAY_US)

examples = same_examples(15)


class Example(NamedTuple):
    """What is stored together, and what is asked of it."""

    requests: list[ExportRequest]
    filters: list[Filter]
    limit: int
    seed: int


@pytest.fixture
async def repository(views: Views) -> LogRepository:
    """The test's own database."""
    return LogRepository(views)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_records_that_differ_in_a_sign_alone_are_each_there_once(
    connection: Connection, repository: LogRepository, newest_first: bool
) -> None:
    """PostgreSQL's hash of a number leaves its sign out, so two such have one key."""
    await prepare(connection)
    signs = [[sign, sign * other] for sign in (1, -1) for other in (1, -1)]
    rows = [
        log_row(time=NOW - 1, attributes=orjson.dumps({"n": [n, *pair]}).decode())
        for n in range(6)
        for pair in signs
    ]
    await write(connection, LOGS, *rows)

    at_once = await repository.find(HOUR, newest_first=newest_first, limit=100)
    found = await every_item(partial(repository.find, HOUR, newest_first=newest_first), limit=3)

    assert found == list(at_once.items)
    assert len({orjson.dumps(record.attributes) for record in found}) == len(rows)


async def test_records_are_those_that_a_naive_reader_finds(
    connection: Connection, database_settings: DatabaseSettings, repository: LogRepository
) -> None:
    """Of any stored records, whole, in their order, on pages both ways."""
    storage = Storage(connection, database_settings)
    await storage.prepare()
    tally: list[int] = []
    generated = st.builds(
        Example,
        st.lists(requests(LOGS), min_size=2, max_size=4),
        st.lists(filters, min_size=1, max_size=2),
        st.integers(1, 6),
        st.integers(0, 2**32),
    )

    await for_all(generated, _check(storage, repository, tally), settings=examples)

    assert sum(tally) > 100, tally


def _check(
    storage: Storage, repository: LogRepository, tally: list[int]
) -> Callable[[Example], Awaitable[None]]:
    arrivals = Arrivals()

    async def check(example: Example) -> None:
        converted = [arrivals.convert(LOGS, r.SerializeToString()) for r in example.requests]
        await storage.store(LOGS, converted)
        stored = [one for request in converted for one in _expected(request)]
        dice = Random(example.seed)
        asked = [Filter(), *example.filters]
        if stored:
            asked += [filter_about(dice.choice(stored)[0], dice) for _ in range(3)]
        for filter_ in asked:
            newest_first = dice.random() < 0.5
            asked_for = partial(repository.find, GENERATED, filter_, newest_first=newest_first)
            found = await every_item(asked_for, limit=example.limit)
            wanted = [fields for item, fields in stored if filter_.matches(item)]
            keys = [record.place for record in found]
            assert keys == sorted(keys, reverse=newest_first), str(filter_)
            assert sorted_texts(map(_fields, found)) == sorted_texts(wanted), str(filter_)
            tally.append(len(found))
        await storage.forget(LOGS)

    return check


def _expected(request: ConvertedRequest) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return for each row its display item, and what a record says of it."""
    found: list[tuple[Any, tuple[Any, ...]]] = []
    for row in map(LogRow._make, request.rows):
        resource = request.dimensions.resources[row.resource_id]
        scope = request.dimensions.scopes[row.scope_id]
        item = item_of({**row._asdict(), "resource": resource.attributes, **_UNCUT})
        observed = row.observed_time
        fields = (
            unix_ns(row.time, row.time_ns),
            None if observed is None else unix_ns(observed, row.observed_ns),
            row.service_name,
            row.severity_number,
            row.severity_text,
            row.body_text if row.body is None else orjson.loads(row.body),
            row.event_name,
            row.trace_id and row.trace_id.hex(),
            row.span_id and row.span_id.hex(),
            row.flags,
            orjson.loads(row.attributes),
            row.dropped_attributes_count or 0,
            orjson.loads(resource.attributes),
            scope.name,
            scope.version,
        )
        found.append((item, fields))
    return found


def _fields(record: LogRecord) -> tuple[Any, ...]:
    return (
        record.time_unix_nano,
        record.observed_time_unix_nano,
        record.service,
        record.severity_number,
        record.severity_text,
        record.body,
        record.event_name,
        record.trace_id and record.trace_id.hex(),
        record.span_id and record.span_id.hex(),
        record.flags,
        record.attributes,
        record.dropped_attributes_count,
        record.resource,
        record.scope_name,
        record.scope_version,
    )


@pytest.mark.postgres_versions
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_twins_are_all_shown_and_none_twice(
    connection: Connection, repository: LogRepository, *, newest_first: bool, limit: int
) -> None:
    """Equal records, and those of one moment, have places between which a page may end."""
    await prepare(connection)
    at = NOW - 60_000_000
    twins = [log_row(time=at, body=body) for body in "aaaaabbb"]
    alone = [log_row(time=at + n, body=f"alone {n}", service=None) for n in (-1, 1)]
    await write(connection, LOGS, *twins, *alone)

    asked = partial(repository.find, HOUR, newest_first=newest_first)
    found = await every_item(asked, limit=limit)

    bodies = [record.body for record in found]
    order = 1 if newest_first else -1
    assert bodies[::order][0] == "alone 1"
    assert bodies[::order][-1] == "alone -1"
    assert sorted(bodies[1:-1]) == list("aaaaabbb")


async def test_pages_do_not_shift_while_records_arrive(
    connection: Connection, repository: LogRepository
) -> None:
    """Newer ones come before the first page and change none of those behind."""
    await prepare(connection)
    await write(connection, LOGS, *(log_row(time=NOW - n, body=str(n)) for n in range(10, 40)))
    seen: list[LogRecord] = []
    page: Page[LogRecord] = await repository.find(HOUR, limit=7)

    while page.next is not None:
        seen += page.items
        await write(connection, LOGS, log_row(time=NOW - 1, body="new"))
        await connection.execute("VACUUM FULL logs")
        page = await repository.find(HOUR, limit=7, cursor=page.next)
    seen += page.items

    assert [record.body for record in seen] == [str(n) for n in range(10, 40)]
    assert (await repository.find(HOUR, limit=1)).items[0].body == "new"


async def test_a_cursor_whose_record_is_gone_still_leads_on(
    connection: Connection, repository: LogRepository
) -> None:
    """It names a place, not a row: retention may have taken what was there."""
    await prepare(connection)
    await write(connection, LOGS, *(log_row(time=NOW - n, body=str(n)) for n in (1, 2, 2, 3)))
    page = await repository.find(HOUR, limit=2)
    await connection.execute("DELETE FROM logs WHERE body_text = '2'")

    after = await repository.find(HOUR, limit=2, cursor=page.next)
    before = await repository.find(HOUR, limit=2, cursor=after.previous)

    assert [record.body for record in after.items] == ["3"]
    assert [record.body for record in before.items] == ["1"]


async def test_an_empty_page_leads_back(connection: Connection, repository: LogRepository) -> None:
    """Behind the end there is nothing, and before it everything."""
    await prepare(connection)
    await write(connection, LOGS, *(log_row(time=NOW - n, body=str(n)) for n in (1, 2, 3)))
    page = await repository.find(HOUR, limit=2)
    await connection.execute("DELETE FROM logs WHERE body_text = '3'")

    after = await repository.find(HOUR, limit=2, cursor=page.next)
    back = await repository.find(HOUR, limit=2, cursor=after.previous)

    assert (after.items, after.next) == ((), None)
    assert back.items == page.items


@pytest.mark.parametrize(
    "key",
    [
        (),
        (1, 2, 3),
        (1, 2, 3, -1),
        (1, 2, None, 1),
        (1, 2, "3", 1),
        (2**63 - 1, 1, 1, 1),
        (-(2**63), 1, 1, 1),
        (1, 1_000, 1, 1),
    ],
)
async def test_a_foreign_cursor_is_refused(repository: LogRepository, key: Any) -> None:
    """Before PostgreSQL is asked."""
    with pytest.raises(BadParameterError, match="cursor"):
        await repository.find(HOUR, cursor=Cursor(key))


async def test_a_cursor_that_claims_too_much_skips_no_other_record(
    connection: Connection, repository: LogRepository
) -> None:
    """No more twins are left out than there are."""
    await prepare(connection)
    await write(connection, LOGS, *(log_row(time=NOW - n, body=str(n)) for n in (1, 2, 3)))
    page = await repository.find(HOUR, limit=1)
    assert page.next is not None
    *key, _ = page.next.key

    found = await repository.find(HOUR, cursor=Cursor((*key, 2**62)))

    assert [record.body for record in found.items] == ["2", "3"]
