"""query.span_repository: spans and their events on stable pages, and exceptions in groups."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from collector.errors import BadParameterError
from collector.query import span_sql
from collector.query.filters import Filter
from collector.query.page import Cursor
from collector.query.span_repository import SpanRepository
from collector.query.spans import Span
from collector.query.time_range import TimeRange, unix_ns
from collector.query.trace_question import TraceQuestion
from collector.query.view import Views
from collector.rows import Signal, SpanRow
from collector.store.pool import Connection
from tests.converted import digest_of, span_row
from tests.db.paging import every_item
from tests.db.querying import BANK, MINUTE_US, SHOP, leaf_of, plan_of, prepare, write
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

DAY = TimeRange(NOW - DAY_US, NOW + MINUTE_US)
LATER = [span_row(time=NOW + 1, trace=f"later {n}", service="shop") for n in range(100)]


@pytest.fixture
async def repository(connection: Connection, views: Views) -> SpanRepository:
    """The test's own database, with leaves."""
    await prepare(connection)
    return SpanRepository(views)


def some_spans(dice: Random, count: int) -> list[SpanRow]:
    """Return different spans, many at the same moment, and some of them with the same ids."""
    return [
        SpanRow._make(
            span_row(
                number // 10,
                time=NOW - dice.randrange(20) * MINUTE_US,
                trace=f"t{dice.randrange(3)}",
                service=dice.choice(["shop", "bank", None]),
                status=dice.choice([0, 2]),
                duration_ns=number,
                resource=dice.choice([SHOP, BANK]),
            )
        )._replace(events=json.dumps(some_events(dice)) if dice.random() < 0.7 else None)
        for number in range(count)
    ]


def some_events(dice: Random) -> list[dict[str, Any]]:
    """Return events, some of them exceptions, with and without what those should have."""
    return [
        {
            **({"time_unix_nano": 10**18 + dice.randrange(10**6)} if dice.random() < 0.8 else {}),
            "name": dice.choice(["exception", "retry"]),
            "attributes": {
                **({"exception.type": dice.choice(["A", "B"])} if dice.random() < 0.8 else {}),
                **({"exception.message": dice.choice(["x" * 2_000, "y"])} if dice.random() < 0.8 else {}),
            },
        }
        for _ in range(dice.randrange(1, 4))
    ]  # fmt: skip


QUESTIONS: list[tuple[TraceQuestion, Callable[[SpanRow], bool]]] = [
    (TraceQuestion(), lambda _: True),
    (TraceQuestion(service="shop", status_code=2), lambda s: s.service_name == "shop" and s.status_code == 2),
    (TraceQuestion(Filter.parse("-service:shop duration:>=20ns")), lambda s: s.service_name != "shop" and (s.duration_ns or 0) >= 20),
]  # fmt: skip


def key_of(span: Span) -> tuple[int, bytes, bytes]:
    """Return what spans are ordered by, but for the hash."""
    return (span.start_unix_nano, span.trace_id, span.span_id)


@pytest.mark.parametrize("seed", range(2))
async def test_pages_hold_what_a_naive_reader_finds(
    seed: int, repository: SpanRepository, connection: Connection
) -> None:
    """Each span once and in order, also while newer ones come; and back again."""
    rows = some_spans(Random(seed), 150)
    await write(connection, Signal.TRACES, *rows)
    later = iter(LATER)

    async def write_newer() -> None:
        await write(connection, Signal.TRACES, next(later))

    for wanted, matches in QUESTIONS:
        expected = sorted(row.duration_ns or 0 for row in rows if matches(row))
        assert expected

        asked = partial(repository.find, DAY, wanted)
        found = await every_item(asked, limit=7, meanwhile=write_newer)
        await connection.execute("DELETE FROM trace_spans WHERE start_time > $1", NOW)

        assert sorted(span.duration_ns or 0 for span in found) == expected
        assert found == sorted(found, key=key_of, reverse=True)
        assert {span.resource.attributes["service.name"] for span in found} == {"shop", "bank"}


async def test_events_come_span_by_span(repository: SpanRepository, connection: Connection) -> None:
    """All of them, or those of one name; on pages as spans."""
    rows = some_spans(Random(5), 60)
    await write(connection, Signal.TRACES, *rows)
    for name in (None, "exception"):
        expected = Counter(
            (row.span_id, event["name"], event.get("time_unix_nano", 0))
            for row in rows
            for event in json.loads(row.events or "[]")
            if name in (None, event["name"])
        )

        found = await every_item(partial(repository.events, DAY, name=name), limit=9)

        assert len(found) > 9
        assert Counter((e.span_id, e.event.name, e.event.time_unix_nano) for e in found) == expected
    with pytest.raises(BadParameterError):
        await repository.events(DAY, name="\0")


async def test_a_span_of_many_events_takes_no_longer_for_each(
    repository: SpanRepository, connection: Connection
) -> None:
    """What is made of all events of a span is made once: a hundred times as long would be too long."""
    events = json.dumps([{"name": "retry", "attributes": {"n": n}} for n in range(10_000)])
    span = SpanRow._make(span_row(0, time=NOW, service="shop"))._replace(events=events)
    await write(connection, Signal.TRACES, span)

    page = await repository.events(DAY, limit=3, timeout_s=5)

    assert [each.event.attributes["n"] for each in page.items] == [9_999, 9_998, 9_997]


async def test_exceptions_are_counted_by_type_and_message(
    repository: SpanRepository, connection: Connection
) -> None:
    """As a naive count does; with the first, the last, and the trace of the newest span."""
    rows = some_spans(Random(9), 200)
    await write(connection, Signal.TRACES, *rows)
    times: dict[tuple[Any, ...], list[int]] = {}
    newest: dict[tuple[Any, ...], tuple[int, bytes]] = {}
    for row in rows:
        for event in json.loads(row.events or "[]"):
            if event["name"] == "exception":
                told = event["attributes"]
                message = told.get("exception.message")
                key = (row.service_name, told.get("exception.type"), message and message[:1_024])
                time = event.get("time_unix_nano") or unix_ns(row.start_time, row.start_ns)
                times.setdefault(key, []).append(time)
                newest[key] = max(newest.get(key, (0, b"")), (row.start_time, row.trace_id))

    found = await repository.exceptions(DAY, limit=100)
    few = await repository.exceptions(DAY, TraceQuestion(service="shop"), limit=2)

    assert {
        (g.service, g.type, g.message): (g.count, g.first_unix_nano, g.last_unix_nano, g.trace_id)
        for g in found
    } == {k: (len(t), min(t), max(t), newest[k][1]) for k, t in times.items()}
    assert [g.count for g in found] == sorted((g.count for g in found), reverse=True)
    assert few == tuple(g for g in found if g.service == "shop")[:2]


@pytest.mark.parametrize(
    "key", [(1,), (1, "00", "00", "x"), (1, "zz", "00", 1), ("a", "00", "00", 1)]
)
async def test_a_foreign_cursor_is_refused(
    key: tuple[int | str, ...], repository: SpanRepository
) -> None:
    """It is the caller's mistake."""
    with pytest.raises(BadParameterError):
        await repository.find(DAY, cursor=Cursor(key))


EDGE = (NOW, digest_of("trace"), digest_of("span")[:8], 42)
ASKED = TraceQuestion(service="shop")
STATEMENTS = {
    "spans_of_service": span_sql.spans(DAY, ASKED, EDGE, is_backward=False, limit=5),
    "spans_of_all": span_sql.spans(DAY, TraceQuestion(), None, is_backward=True, limit=5),
    "span_events": span_sql.events(DAY, ASKED, "exception", (*EDGE, 1), is_backward=False, limit=5),
    "span_exceptions": span_sql.exceptions(DAY, ASKED, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_sql_is_that_of_the_golden_file(name: str) -> None:
    """After a change on purpose: ``OTLPG_REGOLD=1``."""
    check_golden(name, STATEMENTS[name])


async def test_an_index_is_used_and_other_days_are_not_looked_at(connection: Connection) -> None:
    """What is asked for bounds what is read."""
    await prepare(connection)
    await connection.execute("SET enable_seqscan = off")
    today = await leaf_of(connection, Signal.TRACES, NOW)
    other = await leaf_of(connection, Signal.TRACES, NOW - 20 * DAY_US)
    for name, statement in STATEMENTS.items():
        plan = await plan_of(connection, *statement)

        assert f"{today}_service_name_start_time_idx" in plan, name
        assert other not in plan
