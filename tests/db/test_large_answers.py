"""What one question holds in memory is bounded in bytes, however large each item is."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from fastapi import FastAPI

from collector.api import logs, traces
from collector.api.errors import Failures
from collector.api.jaeger.stored import StoredSpans
from collector.api.questions import Questions, Turns
from collector.errors import AnswerTooLargeError
from collector.query import view as query_view
from collector.query.filters import Filter
from collector.query.log_repository import LogRepository
from collector.query.page import Cursor
from collector.query.span_repository import FoundEvent, SpanRepository
from collector.query.spans import Span
from collector.query.statement import Statement
from collector.query.trace_parts import TracePart, TraceParts
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.rows import Signal, SpanRow
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database
from collector.telemetry.clock import SystemClock
from tests.asking import NDJSON, Asker
from tests.converted import digest_of, log_row, resource_row
from tests.db.paging import every_item
from tests.db.querying import HOUR, MINUTE_US, prepare, span, write, write_spans
from tests.db.writing import NOW

PAGE_BYTES = 20_000
WHOLE_BYTES = 60_000

TRACE = digest_of("trace")


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncGenerator[Database]:
    """A pool for the test's own database."""
    pool = Database(database_settings)
    yield pool
    await pool.stop()


@pytest.fixture
async def views(database: Database) -> Views:
    """Views with room for little."""
    return Views(database, 60, page_bytes_max=PAGE_BYTES, whole_bytes_max=WHOLE_BYTES)


@pytest.fixture(autouse=True)
async def leaves(connection: Connection) -> None:
    """Leaves around now, and the dimensions."""
    await prepare(connection)


def some_lengths(dice: Random) -> list[int]:
    """Return lengths of texts: runs of short ones, long ones, and some that no page has room for."""
    lengths = [1] * 30 + [6_000] * 9 + [1] * 30 + [50_000, 1, 6_000, 50_000]
    return lengths + [dice.choice((1, 100, 9_000)) for _ in range(40)]


def assert_bounded(pages: list[list[int]], limit: int) -> None:
    """Fail unless only the last item of a page goes beyond its bytes, and some pages are cut by them."""
    assert all(sum(page[:-1]) < PAGE_BYTES for page in pages)
    assert any(len(page) < limit for page in pages[:-1])
    assert any(len(page) == limit for page in pages)


def overheard(find: Callable[..., Any], size_of: Callable[[Any], int]) -> tuple[Any, list[Any]]:
    """Return a question that notes how large the items of each page are, as they were read."""
    pages: list[list[int]] = []

    async def asked(*, limit: int, cursor: Cursor | None) -> Any:
        page = await find(limit=limit, cursor=cursor)
        sizes = [size_of(item) for item in page.items]
        pages.append(sizes[::-1] if cursor is not None and cursor.is_backward else sizes)
        return page

    return asked, pages


@pytest.mark.parametrize(("bytes_max", "count"), [(1, 1), (25, 3), (30, 3), (31, 4), (1_000, 9)])
async def test_the_row_that_has_enough_is_the_last_one(
    views: Views, monkeypatch: pytest.MonkeyPatch, bytes_max: int, count: int
) -> None:
    """One comes in any case; that there are more is told, and also that there are none."""
    statement = Statement("SELECT repeat('x', 8) AS text FROM generate_series(1, 9)")  # (xxxxxxxx)
    for ahead in (1, 2, 64):
        monkeypatch.setattr(query_view, "AHEAD_ROWS", ahead)
        async with views.open() as view:
            found = await view.first(statement, bytes_max)
            pieces = [len(c.rows) async for c in view.bounded_chunks(statement, 4, bytes_max)]

        assert len(found.rows) == count
        assert found.bytes == 10 * count
        assert found.has_more == (count < 9)
        assert sum(pieces) == 9
        assert pieces[0] == min(count, 4)


async def test_nothing_is_nothing(views: Views) -> None:
    """An answer without rows has none behind them."""
    async with views.open() as view:
        found = await view.first(Statement("SELECT 1 AS n WHERE false"), 10)

    assert (found.rows, found.bytes, found.has_more) == ([], 0, False)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_page_of_long_records_ends_early_and_leads_on(
    connection: Connection, database: Database, views: Views, newest_first: bool
) -> None:
    """Both ways, over twins and over windows of time: each record once, and in order."""
    dice = Random(1)
    lengths = some_lengths(dice)
    dice.shuffle(lengths)
    rows = [
        log_row(time=NOW - 1 - n // 3 * MINUTE_US, body=f"{n} " + "x" * length)
        for n, length in enumerate(lengths)
    ]
    twins = [log_row(time=NOW - 7, body="x" * 6_000)] * 9
    await write(connection, Signal.LOGS, *rows, *twins)
    wide = LogRepository(Views(database, 60))
    every = await wide.find(HOUR, newest_first=newest_first, limit=1_000)
    asked, pages = overheard(
        partial(LogRepository(views).find, HOUR, newest_first=newest_first),
        lambda record: len(record.body),
    )

    found = await every_item(asked, limit=20, may_be_cut=True)

    assert len(every.items) == len(rows) + len(twins)
    assert found == list(every.items)
    assert_bounded(pages, 20)


async def test_a_page_that_is_full_at_the_end_of_a_window_knows_what_is_behind(
    connection: Connection, views: Views
) -> None:
    """The next record is hours away, or there is none."""
    repository = LogRepository(views)
    long = "x" * PAGE_BYTES
    await write(connection, Signal.LOGS, log_row(time=NOW - 1, body=long))
    alone = await repository.find(HOUR, limit=9)
    await write(connection, Signal.LOGS, log_row(time=NOW - 50 * MINUTE_US, body=long))

    found = await every_item(partial(repository.find, HOUR), limit=9, may_be_cut=True)

    assert (len(alone.items), alone.next) == (1, None)
    assert len(found) == 2


async def test_a_page_of_large_spans_ends_early_and_leads_on(
    connection: Connection, views: Views
) -> None:
    """Of spans and of what happened in them."""
    dice = Random(2)
    lengths = some_lengths(dice)
    dice.shuffle(lengths)
    await write_spans(
        connection,
        *(
            span("trace", n, minutes=1 + n / 4, **_with_event(n, length))
            for n, length in enumerate(lengths)
        ),
    )
    repository = SpanRepository(views)

    def size_of(item: Span | FoundEvent) -> int:
        has = item if isinstance(item, Span) else item.event
        return len(str(has.attributes["text"]))

    for find in (repository.find, repository.events):
        asked, pages = overheard(partial(find, HOUR), size_of)

        found: list[Any] = await every_item(asked, limit=5, may_be_cut=True)

        assert [size_of(one) for one in found] == lengths
        assert_bounded(pages, 5)


def _with_event(number: int, length: int) -> dict[str, Any]:
    """Return the columns of a span which has a text of this length, and again in its event."""
    attributes = {"text": "x" * length}
    event = {"time_unix_nano": number + 1, "name": "e", "attributes": attributes}
    return {"attributes": json.dumps(attributes), "events": json.dumps([event])}


async def test_a_span_is_as_large_as_what_is_told_with_it(
    connection: Connection, views: Views
) -> None:
    """Its resource stands once in the database, and in an answer with every span."""
    large = resource_row("large")._replace(attributes=json.dumps({"text": "x" * 6_000}))
    await connection.execute(
        "INSERT INTO resources (resource_id, service_name, attributes, digest, first_seen, last_seen)"
        " VALUES ($1, 'large', $2, $3, current_date, current_date)",
        large.resource_id, large.attributes, large.digest,
    )  # fmt: skip
    spans = [span("trace", n, resource_id=large.resource_id) for n in range(20)]
    await write_spans(connection, *spans)

    page = await SpanRepository(views).find(HOUR, limit=20)

    assert len(page.items) == 4
    assert page.next is not None
    with pytest.raises(AnswerTooLargeError):
        await TraceRepository(views).get(TRACE)


async def test_neighbours_that_are_too_large_are_refused_and_never_left_out(
    connection: Connection, views: Views
) -> None:
    """Fewer of them can be had."""
    rows = [log_row(time=NOW - n * MINUTE_US, body=f"{n}" + "x" * 10_000) for n in range(1, 12)]
    await write(connection, Signal.LOGS, *rows)
    repository = LogRepository(views)
    sixth = (await repository.find(HOUR, Filter.parse("body:6x"))).items[0].place

    for before, after in ((5, 5), (5, 1), (1, 5)):
        with pytest.raises(AnswerTooLargeError, match="60000 bytes: ask for fewer records"):
            await repository.context(sixth, before=before, after=after)
    found = await repository.context(sixth, before=2, after=2)

    assert [len(found.before), len(found.after)] == [2, 2]


async def test_a_whole_trace_that_is_too_large_is_refused(
    connection: Connection, views: Views
) -> None:
    """Its first spans can be had, and all of it in pages; one that just fits is whole."""
    text = json.dumps({"text": "x" * 8_000})
    await write_spans(
        connection,
        *(span("trace", n, minutes=2 - n / 100, attributes=text) for n in range(30)),
        *(span("fits", n, attributes=text) for n in range(7)),
    )
    repository = TraceRepository(views)

    with pytest.raises(AnswerTooLargeError, match=r"ask for fewer spans .*/api/v1/spans\?q=trace"):
        await repository.get(TRACE)
    first = await repository.get(TRACE, spans_max=5)
    whole = await repository.get(digest_of("fits"))
    pages = await every_item(partial(SpanRepository(views).find, HOUR), limit=30, may_be_cut=True)

    assert (len(first.spans), first.is_whole) == (5, False)
    assert (len(whole.spans), whole.is_whole) == (7, True)
    assert len(pages) == 37


async def test_stored_traces_are_cut_by_bytes_too(connection: Connection, views: Views) -> None:
    """As they are by spans: what lacks some is named, and Jaeger hears why."""
    text = json.dumps({"text": "x" * 8_000})
    await write_spans(
        connection,
        span("small", minutes=1),
        *(span("trace", n, minutes=2 + n / 100, attributes=text) for n in range(30)),
        span("behind", minutes=30),
    )
    small, behind = digest_of("small"), digest_of("behind")
    repository = TraceRepository(views)

    found = await repository.get_stored((small, TRACE, behind))
    searched = await repository.find_stored(HOUR)
    told = await StoredSpans(views, SystemClock()).get_many((small, TRACE, behind))
    alone = await repository.get_stored((small, behind))

    for each in (found, searched, told.stored):
        assert each.rows.keys() == {small, TRACE}
        assert len(each.rows[TRACE]) in range(7, 11)
        assert each.cut == {TRACE, behind}
        assert each.is_too_large
    assert told.is_full
    assert (alone.is_whole, alone.is_too_large) == (True, False)


async def test_a_part_of_a_trace_is_bounded_by_bytes(connection: Connection, views: Views) -> None:
    """All spans come, each once and in order; small ones are not divided."""
    lengths = [1] * 9 + [9_000] * 9 + [50_000, 1, 50_000] + [1] * 30
    await write_spans(
        connection,
        *(
            span("trace", n, minutes=50 - n / 4, attributes=json.dumps({"text": "x" * length}))
            for n, length in enumerate(lengths)
        ),
        *(span("small", n) for n in range(20)),
    )
    parts: list[TracePart] = []

    async def take(part: TracePart) -> None:
        parts.append(part)

    await TraceParts(views).read([digest_of("small"), TRACE], take)

    assert [len(part.rows) for part in parts if part.trace_id != TRACE] == [20]
    texts = [[len(SpanRow._make(row).attributes) - 12 for row in p.rows] for p in parts[1:]]
    assert [length for part in texts for length in part] == lengths
    assert all(sum(part[:-1]) < 2 * PAGE_BYTES for part in texts)
    assert len(texts) < 10


async def test_readers_hear_of_it_over_http(connection: Connection, views: Views) -> None:
    """A page leads on, a stream has every record all the same, and a large trace is a 413."""
    clock = SystemClock()
    questions = Questions(Turns(2), Failures(clock), clock)
    app = FastAPI()
    app.include_router(logs.routes(questions, LogRepository(views)))
    app.include_router(traces.routes(questions, TraceRepository(views)))
    app.add_exception_handler(AnswerTooLargeError, lambda _, e: Failures(clock).answer(e))
    asker = Asker(app)
    rows = [log_row(time=NOW - n * MINUTE_US, body="x" * 6_000) for n in range(1, 12)]
    await write(connection, Signal.LOGS, *rows)
    text = json.dumps({"text": "x" * 8_000})
    await write_spans(connection, *(span("trace", n, attributes=text) for n in range(30)))

    page = await asker.json("/api/v1/logs", limit=50)
    lines = await asker.get("/api/v1/logs", headers=NDJSON, limit=50)
    refused = await asker.get(f"/api/v1/traces/{TRACE.hex()}")
    path = await asker.get(f"/api/v1/traces/{TRACE.hex()}/critical-path")
    otlp = await asker.get(f"/api/v1/traces/{TRACE.hex()}/otlp")

    assert len(page["items"]) == 4
    assert page["next"] is not None
    assert len(lines.lines) == len(rows)
    assert (refused.status, refused.json["cause"]) == (413, "answer_too_large")
    assert path.status == 413
    assert (otlp.status, otlp.headers["otlpg-is-whole"]) == (200, "false")
