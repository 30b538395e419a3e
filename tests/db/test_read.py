"""Rows come back as they were written, in chunks that stand on their own."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any, cast

import pytest

from collector.errors import StoreError
from collector.rows import FACT_COLUMNS, FACT_TABLES, Dimensions, LogRow, Signal
from collector.settings import DatabaseSettings
from collector.store import dimensions as store_dimensions
from collector.store.pool import Connection, connect
from collector.store.read import RowChunk, snapshot
from tests.converted import (
    dimensions,
    log_row,
    metric_row,
    resource_row,
    scope_row,
    series_row,
    span_row,
)
from tests.db.overhearing import Overheard
from tests.factories import BASE_UNIX_NANO
from tests.leaves import make_leaves, pg_us

NOW = pg_us(BASE_UNIX_NANO)
_BODY = LogRow._fields.index("body_text")
SHOP, BANK, LIBRARY = resource_row("shop"), resource_row("bank"), scope_row()
REQUESTS, ERRORS = metric_row("requests"), metric_row("errors")
SERIES = [series_row(REQUESTS, SHOP, LIBRARY), series_row(ERRORS, BANK, LIBRARY)]
KNOWN = dimensions([SHOP, BANK], [LIBRARY], [REQUESTS, ERRORS], SERIES)


async def _write(connection: Connection, signal: Signal, rows: list[tuple[Any, ...]]) -> None:
    """Commit rows, and every dimension that they may refer to."""
    await make_leaves(connection, [NOW])
    async with connection.transaction():
        await store_dimensions.write(connection, KNOWN, date(2026, 1, 1), timeout_s=10)
        await connection.copy_records_to_table(
            FACT_TABLES[signal], records=rows, columns=FACT_COLUMNS[signal]
        )


async def _read(connection: Connection, signal: Signal, **arguments: Any) -> list[RowChunk]:
    async with snapshot(connection) as frozen:
        return [chunk async for chunk in frozen.chunks(signal, **arguments)]


def _spans(count: int) -> list[tuple[Any, ...]]:
    resources = (SHOP, BANK)
    return [span_row(n, time=NOW + n, resource=resources[n % 2]) for n in range(count)]


def _point(time: int, series_id: int, *values: Any) -> tuple[Any, ...]:
    """Return a point whose columns after ``flags`` are ``values``."""
    return (series_id, time, 1, time - 1, 999, -0.0, -(2**63), 2**32 - 1, *values)


async def test_spans_and_logs_come_back_as_tuples_of_the_same_values(
    connection: Connection,
) -> None:
    """Times are integers, ids bytes and JSON text, exactly as COPY took them."""
    spans = _spans(2)
    await _write(connection, Signal.TRACES, spans)
    logs = [log_row(time=NOW + 999_999, attributes='{"a": [1, 1.0, null]}')]
    await _write(connection, Signal.LOGS, logs)

    [span_chunk] = await _read(connection, Signal.TRACES)
    [log_chunk] = await _read(connection, Signal.LOGS)

    assert span_chunk.rows == [_with_jsonb_spaces(row) for row in spans]
    assert span_chunk.dimensions == Dimensions(
        {row.resource_id: row._replace(attributes=_spaced(row.attributes)) for row in (SHOP, BANK)},
        {LIBRARY.scope_id: LIBRARY},
        {},
        {},
    )
    assert log_chunk.rows == logs


def _spaced(json: str) -> str:
    """Return the text that jsonb gives for a flat object of texts."""
    return json.replace('":"', '": "')


def _with_jsonb_spaces(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_spaced(value) if isinstance(value, str) else value for value in row)


async def test_points_come_back_with_lists_and_three_levels_of_dimensions(
    connection: Connection,
) -> None:
    """Lists of numbers, NULLs and NaN survive; series bring metric, resource and scope along."""
    nothing = _point(NOW, SERIES[0].series_id, *[None] * 16)
    everything = _point(
        NOW + 1, SERIES[1].series_id,
        2**63 - 1, 5e-324, float("-inf"), float("inf"), [0, 2**63 - 1], [0.1, 1e300], -(2**31),
        7, -0.0, 2**31 - 1, [1], -5, [2, 3], '[{"value": 1.0}]', '[{"as_int": 1}]', '{"count": 1}',
    )  # fmt: skip
    await _write(connection, Signal.METRICS, [nothing, everything])

    [chunk] = await _read(connection, Signal.METRICS)

    assert sorted(map(repr, chunk.rows)) == sorted(map(repr, [nothing, everything]))
    assert chunk.dimensions.metrics == {row.metric_id: row for row in (REQUESTS, ERRORS)}
    assert chunk.dimensions.series == {row.series_id: row for row in SERIES}
    assert chunk.dimensions.resources.keys() == {SHOP.resource_id, BANK.resource_id}
    assert chunk.dimensions.scopes.keys() == {LIBRARY.scope_id}


async def test_each_chunk_has_its_own_dimensions_and_no_others(connection: Connection) -> None:
    """Chunks are full but for the last, and know exactly the resources of their own rows."""
    await _write(connection, Signal.TRACES, _spans(5))

    chunks = await _read(connection, Signal.TRACES, chunk_rows=2)

    assert [len(chunk.rows) for chunk in chunks] == [2, 2, 1]
    for chunk in chunks:
        assert chunk.dimensions.resources.keys() == {row[-3] for row in chunk.rows}
        assert chunk.dimensions.scopes.keys() == {LIBRARY.scope_id}


@pytest.mark.parametrize("stored", ["plain", "compressed"])
async def test_a_chunk_of_large_rows_is_bounded_by_bytes(
    connection: Connection, stored: str
) -> None:
    """It ends with the row that fills it, wherever large rows stand and however they are stored."""
    large = 2**20
    lengths = [1] * 30 + [large] * 7 + [1] * 30 + [5 * large, 1, large] + [large // 2] * 9
    filler = Random(1).randbytes(3 * large).hex() if stored == "plain" else "x" * 6 * large
    await _write(
        connection,
        Signal.LOGS,
        [log_row(time=NOW + n, body=filler[:length]) for n, length in enumerate(lengths)],
    )
    overheard = Overheard(connection)

    chunks = await _read(
        cast("Connection", overheard), Signal.LOGS, chunk_rows=50, chunk_bytes=3 * large
    )

    found = [[len(row[_BODY]) for row in chunk.rows] for chunk in chunks]
    assert sorted(length for chunk in found for length in chunk) == sorted(lengths)
    assert all(sum(chunk[:-1]) < 3 * large for chunk in found)
    assert all(len(chunk) <= 50 for chunk in found)
    assert len(found) < 10
    assert overheard.fetches < len(lengths)


async def test_small_rows_are_fetched_by_the_chunk(connection: Connection) -> None:
    """Only the first one comes alone: nothing has told yet what follows."""
    await _write(connection, Signal.TRACES, _spans(100))
    overheard = Overheard(connection)

    chunks = await _read(cast("Connection", overheard), Signal.TRACES, chunk_rows=20)

    assert [len(chunk.rows) for chunk in chunks] == [20] * 5
    assert overheard.fetches == 1 + 5


async def test_a_service_has_its_rows_of_every_signal(connection: Connection) -> None:
    """Of points those of its series, which stay in the server: a service may have millions."""
    await _write(connection, Signal.TRACES, _spans(3))
    await _write(connection, Signal.LOGS, [log_row(time=NOW), log_row(time=NOW, service="bank")])
    points = [_point(NOW + n, SERIES[n % 2].series_id, *[None] * 16) for n in range(4)]
    await _write(connection, Signal.METRICS, points)
    overheard = Overheard(connection)

    found = {
        signal: [
            row
            for chunk in await _read(cast("Connection", overheard), signal, service="shop")
            for row in chunk.rows
        ]
        for signal in Signal
    }

    assert len(found[Signal.TRACES]) == 3
    assert len(found[Signal.LOGS]) == 1
    assert sorted(map(repr, found[Signal.METRICS])) == sorted(map(repr, points[::2]))
    assert all(arguments[-1] == "shop" for _, *arguments in overheard.asked)


async def test_a_range_takes_its_start_and_leaves_its_end(connection: Connection) -> None:
    """Ranges that meet read every row once."""
    await _write(connection, Signal.TRACES, _spans(5))

    [chunk] = await _read(connection, Signal.TRACES, time_min=NOW + 1, time_max=NOW + 3)

    assert sorted(row[0] for row in chunk.rows) == [NOW + 1, NOW + 2]


async def test_no_rows_are_no_chunks(connection: Connection) -> None:
    """Nothing stored is nothing read, for every signal."""
    for signal in Signal:
        assert await _read(connection, signal) == []


async def test_a_snapshot_does_not_see_what_is_committed_meanwhile(
    connection: Connection, database_settings: DatabaseSettings
) -> None:
    """Two reads in one block agree, whatever others write between them."""
    await _write(connection, Signal.TRACES, _spans(3))
    reader = await connect(database_settings)

    async with snapshot(reader) as frozen:
        before = [len(chunk.rows) async for chunk in frozen.chunks(Signal.TRACES)]
        await _write(connection, Signal.TRACES, _spans(4))
        after = [len(chunk.rows) async for chunk in frozen.chunks(Signal.TRACES)]

    reader.terminate()
    assert (before, after) == ([3], [3])
    assert [len(chunk.rows) for chunk in await _read(connection, Signal.TRACES)] == [7]


async def test_a_read_left_half_way_leaves_the_connection_usable(connection: Connection) -> None:
    """The caller's own error ends the transaction and comes out unchanged."""
    await _write(connection, Signal.TRACES, _spans(5))

    async def stumble() -> None:
        async with snapshot(connection) as frozen:
            async for chunk in frozen.chunks(Signal.TRACES, chunk_rows=2):
                assert len(chunk.rows) // 0

    with pytest.raises(ZeroDivisionError):
        await stumble()

    assert not connection.is_in_transaction()
    assert len(await _read(connection, Signal.TRACES)) == 1


async def test_a_schema_that_is_not_ours_is_our_error(connection: Connection) -> None:
    """Callers see no error of the driver."""
    await connection.execute("ALTER TABLE trace_spans RENAME COLUMN raw TO rough")

    with pytest.raises(StoreError) as caught:
        await _read(connection, Signal.TRACES)

    assert caught.value.sqlstate == "42703"


async def test_a_lost_connection_is_our_error(
    connection: Connection, database_settings: DatabaseSettings
) -> None:
    """A server that goes away in the middle of a read ends it, and does not hang it."""
    await _write(connection, Signal.TRACES, _spans(5))
    reader = await connect(database_settings)

    async def read_while_it_ends() -> None:
        async with snapshot(reader) as frozen:
            async for _ in frozen.chunks(Signal.TRACES, chunk_rows=1):
                await connection.execute(
                    "SELECT pg_terminate_backend($1, 5000)", reader.get_server_pid()
                )

    with pytest.raises(StoreError):
        await read_while_it_ends()

    assert reader.is_closed()
