"""query.trace_parts: whole traces of any size, part by part."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from collector.errors import QueryTimeoutError
from collector.query import trace_parts, view
from collector.query.trace_parts import TracePart, TraceParts
from collector.query.view import View, Views
from collector.rows import SpanRow
from collector.store.pool import Connection
from tests.db.querying import BANK, BY_BANK, LIBRARY, SHOP, prepare, span, write_spans


class Taker:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.parts: list[TracePart] = []

    async def take(self, part: TracePart) -> None:
        """Keep a part."""
        self.parts.append(part)


@pytest.fixture
async def reader(connection: Connection, views: Views) -> TraceParts:
    """A database with leaves, and the resources of a shop and a bank."""
    await prepare(connection)
    return TraceParts(views)


def id_of(trace: str) -> bytes:
    """Return the id of a trace."""
    return span(trace).trace_id


async def test_traces_come_in_order_and_one_after_another(
    reader: TraceParts, connection: Connection
) -> None:
    """Each once and whole, over days and services, by start; what is not there is left out."""
    await write_spans(
        connection,
        span("one", 1, minutes=5),
        span("two", 2, minutes=4, **BY_BANK),
        span("one", 3, minutes=24 * 60, **BY_BANK),
        span("other", 4),
    )
    taker = Taker()

    await reader.read([id_of("two"), id_of("none"), id_of("one"), id_of("two")], taker.take)

    assert [part.trace_id for part in taker.parts] == [id_of("two"), id_of("one")]
    starts = [row[0] for row in taker.parts[1].rows]
    assert len(starts) == 2
    assert starts == sorted(starts)
    for part in taker.parts:
        assert {SpanRow._make(row).trace_id for row in part.rows} == {part.trace_id}
        assert part.dimensions.resources.keys() <= {SHOP.resource_id, BANK.resource_id}
        assert part.dimensions.scopes.keys() == {LIBRARY.scope_id}
    assert taker.parts[1].dimensions.resources.keys() >= {SHOP.resource_id, BANK.resource_id}


async def test_a_trace_larger_than_a_part_comes_in_several(
    reader: TraceParts, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is missing and nothing comes twice; a small trace is not divided."""
    monkeypatch.setattr(trace_parts, "PART_SPANS", 4)
    await write_spans(
        connection,
        *(span("small", number, minutes=50) for number in range(3)),
        *(span("large", number, minutes=40 - number / 100) for number in range(10)),
        *(span("third", number, minutes=30) for number in range(4)),
    )
    taker = Taker()

    await reader.read([id_of("small"), id_of("large"), id_of("third")], taker.take)

    sizes = [(part.trace_id, len(part.rows)) for part in taker.parts]
    assert sizes == [
        (id_of("small"), 3),
        (id_of("large"), 4),
        (id_of("large"), 4),
        (id_of("large"), 2),
        (id_of("third"), 4),
    ]
    large = [row for part in taker.parts[1:4] for row in part.rows]
    assert len({row[0] for row in large}) == 10


async def test_more_traces_than_one_view_reads(
    reader: TraceParts, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order holds across views."""
    monkeypatch.setattr(trace_parts, "TRACES_PER_VIEW", 2)
    names = ["a", "b", "c", "d", "e"]
    await write_spans(connection, *(span(name, number) for number, name in enumerate(names)))
    taker = Taker()

    await reader.read([id_of(name) for name in reversed(names)], taker.take)
    await reader.read([], taker.take)

    assert [part.trace_id for part in taker.parts] == [id_of(name) for name in reversed(names)]


async def test_one_time_limit_is_for_all_views(
    connection: Connection, views: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each view has what those before it left, and the error names the whole."""
    monkeypatch.setattr(trace_parts, "TRACES_PER_VIEW", 1)
    monkeypatch.setattr(view, "ANSWER_S_MAX", 0.0)
    await prepare(connection)
    await write_spans(connection, *(span(name, number) for number, name in enumerate("abc")))
    limits: list[float | None] = []
    lend = views.open
    taken: list[bytes] = []

    def noted(timeout_s: float | None = None) -> AbstractAsyncContextManager[View]:
        limits.append(timeout_s)
        return lend(timeout_s)

    async def take(part: TracePart) -> None:
        taken.append(part.trace_id)
        if part.trace_id == id_of("c"):
            await asyncio.Event().wait()

    monkeypatch.setattr(views, "open", noted)
    with pytest.raises(QueryTimeoutError, match=r"no answer within 1\.5 s"):
        await TraceParts(views).read([id_of(name) for name in "abc"], take, timeout_s=1.5)

    assert taken == [id_of(name) for name in "abc"]
    first, second, third = map(float, filter(None, limits))
    assert 1.5 >= first > second > third
    with pytest.raises(QueryTimeoutError):
        await TraceParts(views).read([id_of("a")], take, timeout_s=0.0)
    assert len(limits) == 3
