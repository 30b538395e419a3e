"""How the data come into the tables: one day as a flush writes it, its copies, and what follows.

What ``otlpg serve`` does besides is left out: sockets, queues, and the ledger, which no question reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from collector.convert.identity import request_digest
from collector.convert.request import Converter
from collector.errors import CommandError
from collector.operate.bench.query.data.copies import copy_facts, copy_traces
from collector.operate.bench.query.data.logs import LogDay
from collector.operate.bench.query.data.points import PointDay
from collector.operate.bench.query.data.shape import Shape
from collector.operate.bench.query.data.spans import SpanDay
from collector.operate.bench.server import DIMENSION_TABLES
from collector.rows import FACT_TABLES, ConvertedRequest, Signal
from collector.settings import ConvertSettings, PartitionSettings
from collector.store import dimensions, traces
from collector.store.copy import copy_rows
from collector.store.known import KnownDimensions
from collector.store.pool import Connection, Database

Tell = Callable[[str], None]
STATEMENT_S_MAX: Final = 1_800.0
_HOUR_US: Final = 3_600_000_000


class Filled(NamedTuple):
    """What is in the tables.

    Attributes:
        rows: of each signal.
        large: ids of traces of ``spans.LARGE`` spans, of the last day.
    """

    rows: dict[str, int]
    large: tuple[bytes, ...]


async def fill(database: Database, shape: Shape, tell: Tell) -> Filled:
    """Write all days and leave the tables as a daemon's would be after some minutes of rest.

    Raises:
        StoreError: PostgreSQL did not take it.
        CommandError: convert took something for broken.
    """
    await _make_leaves(database, shape)
    spans = SpanDay(shape)
    async with database.acquire() as connection:
        writer = _Writer(connection, shape)
        for signal, requests in _last_day(shape, spans):
            rows = await writer.write(signal, requests)
            tell(f"{signal}: {rows:,} rows of the last day converted and stored")
    await asyncio.gather(
        _copy(database, shape, Signal.TRACES), _copy(database, shape, Signal.METRICS),
        _copy(database, shape, Signal.LOGS),
    )  # fmt: skip
    tell(f"copied to {shape.days - 1} days before")
    rows = await _settle(database, shape)
    return Filled(rows, tuple(spans.large))


def _last_day(shape: Shape, spans: SpanDay) -> Iterator[tuple[Signal, Iterator[bytes]]]:
    """Yield the requests of each signal; those of one are to be used up before the next."""
    yield Signal.TRACES, spans.requests()
    yield Signal.LOGS, LogDay(shape, spans.roots).requests()
    yield Signal.METRICS, PointDay(shape).requests()


class _Writer:
    """Converts requests and commits each in a transaction, as a flush does."""

    def __init__(self, connection: Connection, shape: Shape) -> None:
        self._connection = connection
        self._now_ns = shape.end_unix_ns
        self._today = datetime.fromtimestamp(shape.end_unix_ns / 1e9, UTC).date()
        self._converter = Converter(ConvertSettings(), retention_s=PartitionSettings().retention_s)
        self._known = KnownDimensions()

    async def write(self, signal: Signal, requests: Iterator[bytes]) -> int:
        """Return how many rows they were."""
        rows = 0
        for payload in requests:
            digest = request_digest(b"", signal, payload)
            request = self._converter.convert(signal, payload, digest=digest, now_ns=self._now_ns)
            if request.dead_letters or len(request.rows) != request.items:
                raise CommandError("the bench has built a request that is not sound")
            await self._commit(request)
            rows += request.items
        return rows

    async def _commit(self, request: ConvertedRequest) -> None:
        upserts = await traces.parameters(request.rows) if request.signal is Signal.TRACES else []
        unknown = self._known.unknown([request])
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL synchronous_commit = off")
            if unknown is not None:
                await dimensions.write(
                    self._connection, unknown, self._today, timeout_s=STATEMENT_S_MAX
                )
            await copy_rows(self._connection, request.signal, [request], timeout_s=STATEMENT_S_MAX)
            await traces.upsert(self._connection, upserts, timeout_s=STATEMENT_S_MAX)
        if unknown is not None:
            self._known.learn(unknown, self._known.epoch)


async def _make_leaves(database: Database, shape: Shape) -> None:
    """Make the leaves that a daemon with default settings would have made."""
    settings = PartitionSettings()
    hours = {
        FACT_TABLES[Signal.TRACES]: settings.spans_leaf_h,
        FACT_TABLES[Signal.LOGS]: settings.logs_leaf_h,
        FACT_TABLES[Signal.METRICS]: settings.points_leaf_h,
        "traces": 24,
    }
    when = shape.all_days()
    times = [*range(when.start, when.end, _HOUR_US), when.end]
    async with database.acquire() as connection:
        for table, leaf_h in hours.items():
            await connection.execute(
                "SELECT otlpg_make_leaf($1, moment, $2) FROM unnest($3::timestamptz[]) AS moment",
                table,
                leaf_h,
                times,
                timeout=STATEMENT_S_MAX,
            )


async def _copy(database: Database, shape: Shape, signal: Signal) -> None:
    """Copy a signal's last day to all days before, from the earliest on."""
    statements = [copy_facts(signal), *([copy_traces()] if signal is Signal.TRACES else ())]
    async with database.acquire() as connection:
        for before in range(shape.days - 1, 0, -1):
            for statement in statements:
                await connection.execute(statement, *shape.day(), before, timeout=STATEMENT_S_MAX)


async def _settle(database: Database, shape: Shape) -> dict[str, int]:
    """Do what autovacuum would, and say how many rows each signal has.

    It knows leaves only: nothing is known of a parent, here as there.
    """
    async with database.acquire() as connection:
        leaves = await connection.fetch("SELECT quote_ident(leaf) AS leaf FROM otlpg_leaves()")
        names = [*(row["leaf"] for row in leaves), *DIMENSION_TABLES]
        await connection.execute(
            "UPDATE resources SET first_seen = first_seen - $1::integer", shape.days - 1
        )
        await connection.execute(f"VACUUM (ANALYZE) {', '.join(names)}", timeout=STATEMENT_S_MAX)
        return {
            signal.value: await connection.fetchval(
                f"SELECT count(*) FROM {table}",  # noqa: S608 -- ours
                timeout=STATEMENT_S_MAX,
            )
            for signal, table in FACT_TABLES.items()
        }
