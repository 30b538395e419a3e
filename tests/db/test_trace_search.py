"""query.trace_search, on real rows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from collector.query import trace_search
from collector.query.time_range import TimeRange
from collector.query.trace_search import TraceSearch, TraceWish, find_statement, spans_statement
from collector.query.view import Views
from collector.rows import Signal, SpanRow
from collector.settings import DatabaseSettings
from collector.store import traces as store_traces
from collector.store.pool import Connection, Database
from tests.converted import span_row
from tests.db.querying import BANK, LIBRARY, SHOP, leaf_of, prepare, write
from tests.db.test_query_plans import plan_of
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

MINUTE_US = 60_000_000
HOUR = TimeRange(NOW - 60 * MINUTE_US, NOW)
FULL = TraceWish("shop", "GET", 1, 2, {"a": "b", "$c": "1"}, 2, 2, 1)


TRACES = Signal.TRACES


def span(trace: str, number: int = 0, *, minutes: float = 1, **columns: Any) -> tuple[Any, ...]:
    """Return a span of a trace, so many minutes ago."""
    row = span_row(
        number, time=NOW - round(minutes * MINUTE_US), trace=trace, resource=SHOP, scope=LIBRARY
    )
    return SpanRow._make(row)._replace(**columns)


def id_of(trace: str) -> bytes:
    """Return the id of a trace."""
    return span(trace)[SpanRow._fields.index("trace_id")]


async def store(connection: Connection, *rows: tuple[Any, ...]) -> None:
    """Commit spans, and what the flush says of their traces."""
    await write(connection, TRACES, *rows)
    async with connection.transaction():
        await store_traces.upsert(connection, await store_traces.parameters(rows), timeout_s=10)


@pytest.fixture
async def search(
    connection: Connection, database_settings: DatabaseSettings
) -> AsyncGenerator[TraceSearch]:
    """A search in a database with leaves, and the resources of a shop and a bank."""
    await prepare(connection)
    database = Database(database_settings)
    yield TraceSearch(Views(database, 30))
    await database.stop()


async def test_traces_come_whole_and_the_newest_match_first(
    search: TraceSearch, connection: Connection
) -> None:
    """Also with spans of other services and days; a trace has its place by what matched."""
    bank: dict[str, Any] = {"service_name": "bank", "resource_id": BANK.resource_id}
    await store(
        connection,
        span("old", 1, minutes=50),
        span("old", 2, minutes=1, **bank),
        span("old", 3, minutes=24 * 60, **bank),
        span("new", minutes=20),
        span("before", minutes=70),
        span("foreign", minutes=2, **bank),
    )

    found = await search.find(HOUR, TraceWish("shop"), limit=9)

    assert found.ids == (id_of("new"), id_of("old"))
    assert [row[0] for row in found.rows[id_of("old")]] == [
        NOW - minutes * MINUTE_US for minutes in (24 * 60, 50, 1)
    ]
    assert found.dimensions.resources.keys() == {SHOP.resource_id, BANK.resource_id}
    assert found.dimensions.scopes[LIBRARY.scope_id].name == LIBRARY.name
    assert found.is_whole
    assert (await search.find(HOUR, TraceWish("shop"), limit=1)).ids == (id_of("new"),)
    assert (await search.find(HOUR, TraceWish("none"), limit=1)).ids == ()


ATTRIBUTES = (
    '{"text": "x", "number": 500, "flag": true, "half": 0.5, "$$odd": "y", "quote\'s": "%"}'
)
EVENTS = '[{"time_unix_nano": 1, "attributes": {"thrown": "here"}}, {"time_unix_nano": 2}]'


@pytest.mark.parametrize(
    ("wish", "matches"),
    [
        (TraceWish(), True),
        (TraceWish(operation="GET /"), True),
        (TraceWish(operation="GET"), False),
        (TraceWish(duration_ns_min=1_000_000, duration_ns_max=1_000_000), True),
        (TraceWish(duration_ns_min=1_000_001), False),
        (TraceWish(duration_ns_max=999_999), False),
        (TraceWish(kind=2, status_code=2), True),
        (TraceWish(kind=3), False),
        (TraceWish(status_code=0), False),
        (TraceWish(other_than_status_code=2), False),
        (TraceWish(other_than_status_code=1), True),
        *(
            (TraceWish(attributes=dict(pairs)), matches)
            for pairs, matches in (
                ((("text", "x"), ("number", "500"), ("flag", "true"), ("half", "0.5")), True),
                ((("$odd", "y"),), True),
                ((("quote's", "%"),), True),
                ((("text", "%"),), False),
                ((("text", "x"), ("number", "501")), False),
                ((("thrown", "here"),), True),
                ((("thrown", "there"),), False),
                ((("service.name", "shop"), ("text", "x")), True),
                ((("service.name", "bank"),), False),
                ((("'; DROP TABLE trace_spans;--", "$.**"),), False),
            )
        ),
    ],
)
async def test_one_span_has_all_of_it(
    search: TraceSearch, connection: Connection, wish: TraceWish, matches: bool
) -> None:
    """Attributes may be the span's, its resource's or an event's; values are compared as text."""
    await store(connection, span("trace", attributes=ATTRIBUTES, events=EVENTS, status_code=2))

    found = await search.find(HOUR, wish, limit=5)

    assert found.ids == ((id_of("trace"),) if matches else ())


async def test_terms_of_two_spans_are_not_added_up(
    search: TraceSearch, connection: Connection
) -> None:
    """A fast span that failed and a slow one that did not are no slow failure."""
    await store(
        connection,
        span("trace", 1, status_code=2, duration_ns=5),
        span("trace", 2, status_code=0, duration_ns=50),
    )

    assert (await search.find(HOUR, TraceWish(status_code=2, duration_ns_min=9), limit=5)).ids == ()


async def test_traces_are_read_by_id_in_the_order_of_the_ids(
    search: TraceSearch, connection: Connection
) -> None:
    """However old they are; those that do not exist are left out."""
    await store(connection, span("a", minutes=20 * 24 * 60), span("b"))

    found = await search.get_many([id_of("b"), bytes(16), id_of("a")])

    assert found.ids == (id_of("b"), id_of("a"))
    assert [len(rows) for rows in found.rows.values()] == [1, 1]
    assert (await search.get_many([])).ids == ()
    assert (await search.get_many([bytes(16)])).ids == ()


async def test_an_answer_is_bounded(
    search: TraceSearch, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read, not what is stored; and it says so."""
    monkeypatch.setattr(trace_search, "SPANS_MAX", 3)
    await store(connection, *[span("big", n, minutes=n + 1) for n in range(3)])
    assert (await search.get_many([id_of("big")])).is_whole
    await store(connection, span("big", 9))

    found = await search.get_many([id_of("big")])

    assert not found.is_whole
    assert len(found.rows[id_of("big")]) == 3


async def test_a_search_reads_the_index_of_its_leaves(
    search: TraceSearch, connection: Connection
) -> None:
    """And no leaf outside of its range."""
    await store(connection, span("a"), span("b", minutes=24 * 60))
    await connection.execute("SET enable_seqscan = off")
    today, other = [await leaf_of(connection, TRACES, NOW - d * DAY_US) for d in (0, 20)]

    plans = [
        await plan_of(connection, statement.sql, list(statement.parameters))
        for statement in (
            find_statement(HOUR, TraceWish("shop"), 20),
            spans_statement([id_of("a")], NOW - 1, NOW, 10),
        )
    ]

    assert f"{today}_service_name_start_time_idx" in plans[0]
    assert f"{today}_trace_id_idx" in plans[1]
    assert all(other not in plan for plan in plans)


def test_statements_are_as_kept() -> None:
    """With everything that may be asked for."""
    check_golden("trace_search", find_statement(HOUR, FULL, 20))
    check_golden("trace_search_spans", spans_statement([b"t" * 16], 1, 2, 10))
