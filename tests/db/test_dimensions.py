"""Dimension rows: written once, before the facts, and never mixed up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from collector.buffer.entry import End, Outcome
from collector.rows import Reason, Signal
from collector.store.known import KnownDimensions
from collector.store.pool import connect
from collector.store.transaction import write_batch
from tests.converted import (
    day_of,
    digest_of,
    dimensions,
    log_row,
    metric_row,
    point_row,
    request,
    resource_row,
    scope_row,
    series_row,
    span_row,
)
from tests.db.flushing import flushing
from tests.db.writing import NOW, context, count, rows_of

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest, ResourceRow
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

pytestmark = pytest.mark.postgres_versions


def spans(name: str, *resources: ResourceRow) -> ConvertedRequest:
    """Return a request with one span of each resource."""
    rows = [span_row(n, time=NOW + n, resource=row) for n, row in enumerate(resources)]
    return request(name, signal=Signal.TRACES, rows=rows, dims=dimensions(resources, [scope_row()]))


async def test_every_column_arrives(settings: DatabaseSettings, connection: Connection) -> None:
    """Rows of all four tables read back as they were written."""
    resource = resource_row()._replace(
        attributes='{"service.name": "shop"}', service_namespace="shop", service_instance_id="7", schema_url="https://x",
        dropped_attributes_count=2**32 - 1, entity_refs='[{"type": "host"}]', raw='{"a": 1}',
    )  # fmt: skip
    scope = scope_row()._replace(schema_url="https://y", dropped_attributes_count=3, raw="{}")
    metric = metric_row()._replace(
        description="d", type="sum", temporality=2, monotonic=True, metadata='{"k": "v"}', raw="{}"
    )
    series = series_row(metric, resource, scope)._replace(attributes='{"a": "b"}', raw="{}")
    one = request(
        "a",
        signal=Signal.METRICS,
        rows=[point_row(series, time=NOW)],
        dims=dimensions([resource], [scope], [metric], [series]),
    )

    await write_batch(connection, [one], context(settings, Signal.METRICS))

    for table, row in (
        ("resources", resource),
        ("scopes", scope),
        ("metrics", metric),
        ("metric_series", series),
    ):
        columns = ", ".join(row._fields)
        assert await rows_of(connection, f"SELECT {columns} FROM {table}") == [tuple(row)], table
        assert await rows_of(connection, f"SELECT last_seen FROM {table}") == [(day_of(NOW),)]


async def test_known_rows_cost_nothing(settings: DatabaseSettings, connection: Connection) -> None:
    """The second flush of the same resource opens one transaction, not two."""
    ctx = context(settings, Signal.TRACES)
    await write_batch(connection, [spans("a", resource_row())], ctx)
    assert ctx.known.unknown([spans("b", resource_row())]) is None
    await connection.execute("DELETE FROM resources")

    await write_batch(connection, [spans("b", resource_row())], ctx)
    assert await count(connection, "resources") == 0, "it was not asked for again"

    ctx.known.clear()
    await write_batch(connection, [spans("c", resource_row())], ctx)
    assert await count(connection, "resources") == 1


async def test_connection_that_is_new_or_lost_makes_everything_unknown(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """An asynchronous COMMIT may be lost with the server: look again after any lost connection."""
    async with flushing(settings.model_copy(update={"app_name": "f"}), Signal.TRACES) as stand:
        await stand.send(spans("a", resource_row()))
        await connection.execute("DELETE FROM resources")
        await stand.send(spans("b", resource_row()))
        assert await count(connection, "resources") == 0
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'f'"
        )

        assert await stand.send(spans("c", resource_row())) is Outcome.STORED

    assert await count(connection, "resources") == 1


async def test_last_seen_is_touched_once_a_day(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A row of an earlier day is touched when its process meets it for the first time today."""
    await write_batch(connection, [spans("a", resource_row())], context(settings, Signal.TRACES))
    yesterday = day_of(NOW) - timedelta(days=1)
    await connection.execute("UPDATE resources SET last_seen = $1, first_seen = $1", yesterday)

    ctx = context(settings, Signal.TRACES)
    await write_batch(connection, [spans("b", resource_row())], ctx)

    query = "SELECT first_seen, last_seen FROM resources"
    assert await rows_of(connection, query) == [(yesterday, day_of(NOW))]
    assert ctx.metrics.dimensions_written.values == {}


async def test_touch_never_waits(settings: DatabaseSettings, connection: Connection) -> None:
    """Somebody else is touching the row right now: that is enough."""
    await write_batch(connection, [spans("a", resource_row())], context(settings, Signal.TRACES))
    await connection.execute("UPDATE resources SET last_seen = last_seen - 1")
    await connection.execute("BEGIN; UPDATE resources SET last_seen = last_seen + 1")
    hasty = settings.model_copy(update={"lock_s_max": 0.1})

    other = await connect(settings)
    stored = (
        await write_batch(other, [spans("b", resource_row())], context(hasty, Signal.TRACES))
    ).stored

    assert stored == [True]
    other.terminate()


async def test_id_of_another_digest_quarantines_what_refers_to_it(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Two resources with one id: the second one's items are kept as bytes, the others stored."""
    await write_batch(connection, [spans("a", resource_row())], context(settings, Signal.TRACES))
    twin = resource_row(digest=digest_of("another content"))
    async with flushing(settings, Signal.TRACES) as stand:
        one = spans("b", resource_row("other"), twin, resource_row("third"))

        assert await stand.send(one) is Outcome.STORED

        stand.check_books()
        assert stand.books[End.STORED] == 2
        assert stand.books[End.QUARANTINED] == 1
    query = "SELECT reason, outcome, payload FROM dead_letters"
    assert await rows_of(connection, query) == [
        (Reason.ID_COLLISION, "quarantined", b"traces item 1 of b")
    ]
    assert await count(connection, "trace_spans") == 3
    assert await count(connection, "resources") == 3


async def test_collision_inside_one_batch(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Neither of the two is stored yet: one of them wins, and only its items are stored."""
    first = spans("a", resource_row())
    second = spans("b", resource_row(digest=digest_of("another content")))

    await write_batch(connection, [first, second], context(settings, Signal.TRACES))

    assert first.quarantined + second.quarantined == 1
    (digest,) = await rows_of(connection, "SELECT digest FROM resources")
    winner = first if second.quarantined else second
    assert digest == (next(iter(winner.dimensions.resources.values())).digest,)
    assert await count(connection, "trace_spans") == 1


@pytest.mark.parametrize("of", ["resource", "metric", "series"])
async def test_collision_reaches_points_through_their_series(
    settings: DatabaseSettings, connection: Connection, of: str
) -> None:
    """A series that refers to a collided row is not written, and its points are quarantined."""
    resource, scope, metric = resource_row(), scope_row(), metric_row()
    series = series_row(metric, resource, scope)
    earlier = {
        "resource": dimensions([resource._replace(digest=digest_of("x"))]),
        "metric": dimensions(metrics=[metric._replace(digest=digest_of("x"))]),
        "series": dimensions(series=[series._replace(digest=digest_of("x"))]),
    }[of]
    await write_batch(connection, [request("a", dims=earlier)], context(settings))
    good = series_row(metric_row("good"), resource_row("good"), scope)
    one = request(
        "b",
        signal=Signal.METRICS,
        rows=[point_row(good, time=NOW), point_row(series, time=NOW), point_row(good, time=NOW)],
        dims=dimensions(
            [resource, resource_row("good")], [scope], [metric, metric_row("good")], [series, good]
        ),
    )

    await write_batch(connection, [one], context(settings, Signal.METRICS))

    assert await count(connection, "metric_data_points") == 2
    assert await rows_of(connection, "SELECT payload FROM dead_letters") == [
        (b"metrics item 1 of b",)
    ]
    assert await count(connection, "metric_series", "digest = $$" + "$$") == 0
    assert await count(connection, "metric_series") == (2 if of == "series" else 1)


@pytest.mark.parametrize("of", ["resource", "metric", "series"])
async def test_collision_is_found_again_in_the_next_request(
    settings: DatabaseSettings, connection: Connection, of: str
) -> None:
    """A row that was not written is never taken for known: later items are quarantined too."""
    resource, scope, metric = resource_row(), scope_row(), metric_row()
    series = series_row(metric, resource, scope)
    earlier = {
        "resource": dimensions([resource._replace(digest=digest_of("x"))]),
        "metric": dimensions(metrics=[metric._replace(digest=digest_of("x"))]),
        "series": dimensions(series=[series._replace(digest=digest_of("x"))]),
    }[of]
    await write_batch(connection, [request("a", dims=earlier)], context(settings))
    one_process = context(settings, Signal.METRICS)

    for name in "bc":
        dims = dimensions([resource], [scope], [metric], [series])
        rows = [point_row(series, time=NOW)]
        one = request(name, signal=Signal.METRICS, rows=rows, dims=dims)
        await write_batch(connection, [one], one_process)

    assert await count(connection, "metric_data_points") == 0
    assert await count(connection, "dead_letters") == 2


async def test_writers_of_the_same_new_rows_wait_briefly_and_agree(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Eight processes bring the same rows in other orders: no deadlock, each row once."""
    connections = [await connect(settings) for _ in range(8)]

    async def work(number: int, worker: Connection) -> None:
        for turn in range(3):
            names = [f"host {turn} {n}" for n in range(1_000)]
            rows = [resource_row(name) for name in (names if number % 2 else names[::-1])]
            one = spans(f"{number} {turn}", *rows)
            await write_batch(worker, [one], context(settings, Signal.TRACES))

    await asyncio.gather(*(work(n, c) for n, c in enumerate(connections)))

    assert await count(connection, "resources") == 3_000
    assert await count(connection, "trace_spans") == 8 * 3_000
    for worker in connections:
        worker.terminate()


async def test_new_rows_are_locked_in_the_order_of_their_ids(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Who waits for a low id holds no higher one, so nobody can wait for it in return."""
    low, *_, high = sorted((resource_row(f"host {n}") for n in range(5)), key=lambda r: r[0])
    insert = "INSERT INTO resources (resource_id, attributes, digest) VALUES ($1, '{}', $2)"
    await connection.execute("BEGIN; SET LOCAL lock_timeout = '200ms'")
    await connection.execute(insert, low.resource_id, low.digest)
    writer = await connect(settings)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"

    one = spans("a", high, low)
    writing = asyncio.create_task(write_batch(writer, [one], context(settings, Signal.TRACES)))
    while not await connection.fetchval(waits, writer.get_server_pid()):
        assert not writing.done()

    await connection.execute(insert, high.resource_id, high.digest)
    await connection.execute("COMMIT")
    assert (await writing).stored == [True]
    assert await count(connection, "resources") == 2
    writer.terminate()


async def test_written_rows_are_counted_once(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The metric tells new rows per table."""
    ctx = context(settings, known=KnownDimensions())
    await write_batch(connection, [request("a", rows=[log_row(time=NOW)])], ctx)
    ctx.known.clear()
    await write_batch(connection, [request("b", rows=[log_row(time=NOW)])], ctx)

    assert ctx.metrics.dimensions_written.values == {("resources",): 1, ("scopes",): 1}
