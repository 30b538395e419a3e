"""query.trace_repository: traces as they were stored, found by what one of their spans has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collector.errors import BadParameterError
from collector.query.dimensions import Resource, Scope
from collector.query.span_repository import SpanRepository
from collector.query.time_range import TimeRange
from collector.query.trace_parts import TracePart, TraceParts
from collector.query.trace_question import TraceQuestion
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.restore.traces import restore_traces
from collector.store.pool import Connection
from tests.converted import digest_of
from tests.db.querying import (
    BANK,
    BY_BANK,
    HOUR,
    LIBRARY,
    MINUTE_US,
    SHOP,
    prepare,
    span,
    write_spans,
)
from tests.db.writing import NOW


@pytest.fixture
async def repository(connection: Connection, views: Views) -> TraceRepository:
    """A database with leaves, and the resources of a shop and a bank."""
    await prepare(connection)
    return TraceRepository(views)


async def test_traces_come_whole_and_the_newest_match_first(
    repository: TraceRepository, connection: Connection
) -> None:
    """Also with spans of other services and days; a trace has its place by what matched."""
    await write_spans(
        connection,
        span("old", 1, minutes=50, raw='{"parent_span_id":"01"}'),
        span("old", 2, minutes=1, **BY_BANK),
        span("old", 3, minutes=24 * 60, **BY_BANK),
        span("new", minutes=20),
        span("before", minutes=70),
        span("foreign", minutes=2, **BY_BANK),
    )

    found = await repository.find_stored(HOUR, TraceQuestion(service="shop"), limit=9)

    assert list(found.rows) == [digest_of("new"), digest_of("old")]
    assert [row[0] for row in found.rows[digest_of("old")]] == [
        NOW - minutes * MINUTE_US for minutes in (24 * 60, 50, 1)
    ]
    assert found.dimensions.resources.keys() == {SHOP.resource_id, BANK.resource_id}
    assert found.dimensions.scopes[LIBRARY.scope_id].name == LIBRARY.name
    assert found.is_whole
    restored = restore_traces(found.rows[digest_of("old")], found.dimensions)
    assert {span.parent_span_id for group in restored.resource_spans
            for scoped in group.scope_spans for span in scoped.spans} >= {b"\x01"}  # fmt: skip
    for service, expected in (("shop", [digest_of("new")]), ("none", [])):
        one = await repository.find_stored(HOUR, TraceQuestion(service=service), limit=1)
        assert list(one.rows) == expected


ATTRIBUTES = (
    '{"text": "x", "number": 500, "flag": true, "half": 0.5, "$$odd": "y", "quote\'s": "%"}'
)
EVENTS = '[{"time_unix_nano": 1, "attributes": {"thrown": "here"}}, {"time_unix_nano": 2}]'

MATCHES: list[tuple[TraceQuestion, bool]] = [
    (TraceQuestion(), True),
    (TraceQuestion(operation="GET /"), True),
    (TraceQuestion(operation="GET"), False),
    (TraceQuestion(duration_ns_min=1_000_000, duration_ns_max=1_000_000), True),
    (TraceQuestion(duration_ns_min=1_000_001), False),
    (TraceQuestion(duration_ns_max=999_999), False),
    (TraceQuestion(kind=2, status_code=2), True),
    (TraceQuestion(kind=3), False),
    (TraceQuestion(status_code=0), False),
    (TraceQuestion(other_than_status_code=2), False),
    (TraceQuestion(other_than_status_code=1), True),
    *(
        (TraceQuestion(attributes=attributes), matches)
        for attributes, matches in (
            ({"text": "x", "number": "500", "flag": "true", "half": "0.5"}, True),
            ({"$odd": "y"}, True),
            ({"quote's": "%"}, True),
            ({"text": "%"}, False),
            ({"text": "x", "number": "501"}, False),
            ({"thrown": "here"}, True),
            ({"thrown": "there"}, False),
            ({"service.name": "shop", "text": "x"}, True),
            ({"service.name": "bank"}, False),
            ({"'; DROP TABLE trace_spans;--": "$.**"}, False),
        )
    ),
]


async def test_one_span_has_all_of_it(repository: TraceRepository, connection: Connection) -> None:
    """Attributes may be the span's, its resource's or an event's; values are compared as text.

    What two spans have is not added up: a fast one that failed and a slow one that did not are no
    slow failure.
    """
    await write_spans(
        connection,
        span("trace", attributes=ATTRIBUTES, events=EVENTS, status_code=2),
        span("two", 1, minutes=90, status_code=2, duration_ns=5),
        span("two", 2, minutes=90, duration_ns=50),
    )

    for wanted, matches in MATCHES:
        found = await repository.find_stored(HOUR, wanted, limit=5)
        assert bool(found.rows) == matches, wanted
    before = TimeRange(HOUR.start - HOUR.length_us, HOUR.start)
    slow_failure = TraceQuestion(status_code=2, duration_ns_min=9)
    assert not (await repository.find_stored(before, slow_failure)).rows
    assert (await repository.find_stored(before, TraceQuestion(status_code=2))).rows


ASKED_BY_TEXT: list[Callable[[str], TraceQuestion]] = [
    lambda text: TraceQuestion(service=text),
    lambda text: TraceQuestion(operation=text),
    lambda text: TraceQuestion(attributes={text: "x"}),
    lambda text: TraceQuestion(attributes={"x": text}),
]


@pytest.mark.parametrize("text", ["a\0", "\ud800"])
@pytest.mark.parametrize("ask", ASKED_BY_TEXT)
def test_what_no_stored_text_can_be_is_refused(
    ask: Callable[[str], TraceQuestion], text: str
) -> None:
    """PostgreSQL would refuse the whole statement."""
    with pytest.raises(BadParameterError):
        ask(text)


async def test_traces_are_read_by_id_in_the_order_of_the_ids(
    repository: TraceRepository, connection: Connection
) -> None:
    """However old they are; those that do not exist are left out, and nothing is an answer."""
    await write_spans(connection, span("a", minutes=20 * 24 * 60), span("b"))

    found = await repository.get_stored([digest_of("b"), bytes(16), digest_of("a")])

    assert list(found.rows) == [digest_of("b"), digest_of("a")]
    assert [len(rows) for rows in found.rows.values()] == [1, 1]
    assert found.is_whole
    assert (await repository.get_stored([])).rows == {}
    assert (await repository.get_stored([bytes(16)])).rows == {}


async def test_an_answer_is_bounded(repository: TraceRepository, connection: Connection) -> None:
    """What is read, not what is stored; and it says which traces lack spans, also all of them."""
    await write_spans(connection, *[span("big", n, minutes=n + 1) for n in range(3)], span("more"))
    ids = [digest_of("big"), digest_of("more")]
    assert (await repository.get_stored(ids, spans_max=4)).is_whole

    found = await repository.get_stored(ids, spans_max=2)

    assert [len(rows) for rows in found.rows.values()] == [2]
    assert found.cut == set(ids)
    assert not found.is_whole


async def test_spans_outlive_their_resource_and_scope(
    repository: TraceRepository, connection: Connection, views: Views
) -> None:
    """Where somebody has deleted them, each reader gets an empty one: the spans are not lost."""
    await write_spans(connection, span("lone", attributes='{"a":1}', resource_id=BANK.resource_id))
    await connection.execute(
        "DELETE FROM resources WHERE service_name = 'bank'; DELETE FROM scopes"
    )

    trace = await repository.get(digest_of("lone"))
    page = await SpanRepository(views).find(HOUR)
    found = await repository.get_stored([digest_of("lone")])
    parts: list[TracePart] = []

    async def take(part: TracePart) -> None:
        parts.append(part)

    await TraceParts(views).read([digest_of("lone")], take)

    assert trace.spans == page.items
    assert trace.spans[0].attributes == {"a": 1}
    assert trace.spans[0].resource == Resource(BANK.resource_id, {}, "")
    assert trace.spans[0].scope == Scope(LIBRARY.scope_id, "", "", {}, "")
    for restored in (
        restore_traces(found.rows[digest_of("lone")], found.dimensions),
        restore_traces(parts[0].rows, parts[0].dimensions),
    ):
        [resource_spans] = restored.resource_spans
        assert not resource_spans.resource.attributes
        assert len(resource_spans.scope_spans[0].spans) == 1
