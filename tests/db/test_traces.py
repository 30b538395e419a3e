"""query.trace_repository: the right traces in order, on stable pages; each of them whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random
from typing import Any

import pytest

from collector.errors import BadParameterError, NotFoundError
from collector.query import trace_sql, trace_walk
from collector.query.filters import Filter
from collector.query.page import Cursor
from collector.query.time_range import TimeRange
from collector.query.trace_question import TraceQuestion
from collector.query.trace_repository import TraceRepository
from collector.query.trace_sql import Edge
from collector.query.trace_types import Dependency
from collector.query.view import Views
from collector.rows import Signal, SpanRow
from collector.store.pool import Connection
from tests.converted import digest_of, span_row
from tests.db.paging import every_item
from tests.db.querying import (
    BANK,
    LIBRARY,
    MINUTE_US,
    SHOP,
    leaf_of,
    plan_of,
    prepare,
    write_spans,
)
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

DAY = TimeRange(NOW - DAY_US, NOW + MINUTE_US)


@pytest.fixture
async def repository(views: Views) -> TraceRepository:
    """The test's own database."""
    return TraceRepository(views)


def some_spans(dice: Random, count: int) -> list[tuple[Any, ...]]:
    """Return spans of few traces, many of them at the same moment."""
    return [
        span_row(
            number,
            time=NOW - dice.randrange(40) * MINUTE_US,
            trace=f"t{dice.randrange(25)}",
            name=dice.choice(["GET /", "POST /"]),
            service=dice.choice(["shop", "bank", None]),
            root=dice.random() < 0.2,
            status=dice.choice([0, 2]),
            duration_ns=dice.choice([None, 1_000, 5_000_000]),
            attributes=dice.choice(['{"a":"x"}', '{"a":1}', "{}"]),
        )
        for number in range(count)
    ]


QUESTIONS: list[tuple[TraceQuestion, Callable[[SpanRow], bool]]] = [
    (TraceQuestion(), lambda _: True),
    (TraceQuestion(service="shop"), lambda s: s.service_name == "shop"),
    (TraceQuestion(Filter.parse("service:SHOP status:error")),
     lambda s: s.service_name == "shop" and s.status_code == 2),
    (TraceQuestion(Filter.parse("-service:shop"), operation="GET /"),
     lambda s: s.service_name != "shop" and s.name == "GET /"),
    (TraceQuestion(service="bank", duration_ns_min=2_000, status_code=2),
     lambda s: s.service_name == "bank" and (s.duration_ns or 0) >= 2_000 and s.status_code == 2),
    (TraceQuestion(duration_ns_max=2_000),
     lambda s: s.duration_ns is not None and s.duration_ns <= 2_000),
    (TraceQuestion(attributes={"a": "1"}), lambda s: s.attributes == '{"a":1}'),
    (TraceQuestion(attributes={"service.name": "shop", "a": "x"}),
     lambda s: s.attributes == '{"a":"x"}'),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("place", range(len(QUESTIONS)))
async def test_pages_hold_what_a_naive_reader_finds(
    place: int,
    seed: int,
    connection: Connection,
    repository: TraceRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each trace once, by its newest matching span, also while newer ones come; and back again.

    However few spans are read at once.
    """
    monkeypatch.setattr(trace_walk, "SPANS_PER_TRACE", (1, 2, 8)[seed])
    dice = Random(seed)
    wanted, matches = QUESTIONS[place]
    rows = some_spans(dice, 150)
    await prepare(connection)
    await write_spans(connection, *rows)
    newest: dict[bytes, int] = {}
    for span in map(SpanRow._make, rows):
        if matches(span):
            newest[span.trace_id] = max(newest.get(span.trace_id, span.start_time), span.start_time)
    expected = sorted(newest, key=lambda t: (newest[t], t), reverse=True)
    assert expected

    numbers = count()

    async def write_newer() -> None:
        newer = span_row(time=NOW + 1, trace=f"new {next(numbers)}", service="shop")
        await write_spans(connection, newer)

    asked = partial(repository.find, DAY, wanted)
    found = await every_item(asked, limit=4, meanwhile=write_newer)

    assert [each.trace_id for each in found] == expected


async def test_a_summary_is_merged_over_days(
    connection: Connection, repository: TraceRepository
) -> None:
    """A trace that passes midnight is one."""
    await prepare(connection)
    midnight = NOW - NOW % DAY_US
    await write_spans(
        connection,
        span_row(1, time=midnight - 2, root=True, name="root", duration_ns=9_000),
        span_row(2, time=midnight + 2, service="bank", status=2, duration_ns=4_000),
    )

    page = await repository.find(TimeRange(midnight - 10, midnight + 10))

    (found,) = page.items
    assert (found.span_count, found.error_count, found.duration_ns) == (2, 1, 9_000)
    assert (found.root_name, found.root_service) == ("root", "shop")
    assert found.services == ("bank", "shop")


async def test_a_trace_comes_whole_and_says_when_it_does_not(
    connection: Connection, repository: TraceRepository
) -> None:
    """From all its days without a range, by start; a range or a limit cuts it."""
    await prepare(connection)
    rows = [span_row(n, time=NOW - n * DAY_US // 2, resource=BANK if n else SHOP) for n in range(3)]
    await write_spans(connection, *rows, span_row(9, time=NOW, trace="other"))
    trace_id = digest_of("trace")

    found = await repository.get(trace_id)
    cut = await repository.get(trace_id, TimeRange(NOW - 1, NOW + 1))
    few = await repository.get(trace_id, spans_max=2)
    many = await repository.get_many([digest_of("other"), digest_of("none"), trace_id])

    assert [s.span_id for s in found.spans] == [SpanRow._make(r).span_id for r in reversed(rows)]
    assert [found.is_whole, cut.is_whole, few.is_whole] == [True, False, False]
    assert found.spans[0].resource.attributes == {"service.name": "bank"}
    assert found.spans[0].scope.name == LIBRARY.name
    assert [trace.trace_id for trace in many] == [digest_of("other"), trace_id]
    with pytest.raises(NotFoundError):
        await repository.get(digest_of("none"))


async def test_dependencies_are_parents_of_other_services(
    connection: Connection, repository: TraceRepository
) -> None:
    """With the failures of the children; calls within a service are none."""
    await prepare(connection)
    parent = list(span_row(0, time=NOW, root=True))
    parent[4] = digest_of("trace parent")[:8]
    await write_spans(
        connection,
        tuple(parent),
        span_row(1, time=NOW, service="bank", status=2),
        span_row(2, time=NOW, service="bank"),
        span_row(3, time=NOW, service="shop"),
        span_row(4, time=NOW, service="bank", trace="other"),
    )

    assert await repository.dependencies(DAY) == (Dependency("shop", "bank", 2, 1),)


@pytest.mark.parametrize("key", [(1,), ("a", "b"), (1, "zz" * 16), (1, "00")])
async def test_a_foreign_cursor_is_refused(
    key: tuple[int | str, ...], repository: TraceRepository
) -> None:
    """It is the caller's mistake."""
    with pytest.raises(BadParameterError):
        await repository.find(DAY, cursor=Cursor(key))


EDGE = Edge(NOW, digest_of("trace"))
ASKED = TraceQuestion(
    Filter.parse("GET"), "shop", "GET /", 1, 2, {"k": "v", "$c": "1"}, 2, 1, kind=2
)
STATEMENTS = {
    "traces_of_service": trace_sql.spans_beyond(DAY, ASKED, EDGE, is_backward=False, limit=5),
    "traces_of_all": trace_sql.spans_beyond(DAY, TraceQuestion(), None, is_backward=True, limit=5),
    "traces_places": trace_sql.places(DAY, ASKED, [EDGE.trace_id]),
    "traces_spans": trace_sql.spans_of([EDGE.trace_id], DAY, 5),
    "traces_dependencies": trace_sql.dependencies(DAY),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_sql_is_that_of_the_golden_file(name: str) -> None:
    """After a change on purpose: ``OTLPG_REGOLD=1``."""
    check_golden(name, STATEMENTS[name])


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("traces_of_service", "service_name_start_time_idx"),
        ("traces_of_all", "service_name_start_time_idx"),
        ("traces_places", "trace_id_idx"),
        ("traces_spans", "trace_id_idx"),
    ],
)
async def test_an_index_is_used_and_other_days_are_not_looked_at(
    name: str, index: str, connection: Connection
) -> None:
    """What is asked for bounds what is read."""
    await prepare(connection)
    await connection.execute("SET enable_seqscan = off")

    plan = await plan_of(connection, *STATEMENTS[name])

    assert f"{await leaf_of(connection, Signal.TRACES, NOW)}_{index}" in plan
    assert await leaf_of(connection, Signal.TRACES, NOW - 20 * DAY_US) not in plan
