"""operate.export.read on a real server: what a slice is made of."""

from __future__ import annotations

from contextlib import aclosing

from collector.operate.export.read import Part, parts_of
from collector.query.time_range import TimeRange
from collector.restore.equality import item_texts
from collector.rows import Signal
from collector.store.pool import Connection
from tests.converted import log_row, span_row
from tests.db.querying import LIBRARY, SERIES, SHOP, prepare, write
from tests.db.writing import NOW

HOUR = TimeRange(NOW, NOW + 3_600_000_000)


async def read(connection: Connection, signal: Signal, service: str | None = None) -> list[Part]:
    """Return all requests of an hour."""
    async with aclosing(parts_of(connection, signal, HOUR, service)) as parts:
        return [part async for part in parts]


async def test_items_outlive_their_resource_and_scope(connection: Connection) -> None:
    """An export gives them back without, and goes on."""
    await prepare(connection)
    await write(connection, Signal.TRACES, span_row(1, time=NOW, resource=SHOP, scope=LIBRARY))
    await write(connection, Signal.LOGS, log_row(time=NOW))
    await write(connection, Signal.METRICS, (SERIES.series_id, NOW, *[None] * 5, 0, *[None] * 16))
    await connection.execute("DELETE FROM resources; DELETE FROM scopes")

    for signal in Signal:
        [part] = await read(connection, signal)
        assert len(list(item_texts(part.request))) == 1
