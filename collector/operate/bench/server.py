"""The PostgreSQL under measurement: embedded, migrated, set up as in production, emptied at will."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

import asyncpg
import psutil

from collector.operate.bench.processes import tree_cpu_s
from collector.rows import FACT_TABLES, Signal
from collector.store import migrate
from collector.store.embedded import EmbeddedPostgres

ResultT = TypeVar("ResultT")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

SERVER_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "min_wal_size": "4GB",
    "track_commit_timestamp": "on",
}
"""What differs from PostgreSQL's defaults, for the daemon and the limit alike. fsync stays on.

``min_wal_size`` keeps WAL files for reuse: which measurement has to make new ones would be luck.
Times of commits are what live tails are measured from; they cost 10 bytes per transaction.
"""

DIMENSION_TABLES = ("resources", "scopes", "metrics", "metric_series")
OTHER_TABLES = ("traces", "ingest_ledger", "dead_letters")


class BenchServer:
    """One server with one migrated database."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """``settings`` go before ``SERVER_SETTINGS``."""
        self._data_dir = folder / "postgres"
        self.log_dir = folder
        self._embedded = EmbeddedPostgres(parameters={**SERVER_SETTINGS, **settings})
        self.dsn = ""

    def __enter__(self) -> Self:
        """Start it and migrate."""
        self.start()
        self._run(migrate.up)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start the server; its data are as they were."""
        self.dsn = self._embedded.start(self._data_dir)

    def stop(self) -> None:
        """Stop the server; safe twice."""
        self._embedded.stop()

    def execute(self, statement: str) -> None:
        """Run one statement."""

        async def run(connection: Connection) -> None:
            await connection.execute(statement)

        self._run(run)

    def value(self, query: str) -> Any:
        """Return the one value that ``query`` finds."""

        async def run(connection: Connection) -> Any:
            return await connection.fetchval(query)

        return self._run(run)

    def empty(self, *, dimensions: bool = True) -> None:
        """Remove every row, and begin a new checkpoint cycle.

        ``dimensions`` False leaves those, which daemons that run believe to be stored.
        """
        tables = [*FACT_TABLES.values(), *OTHER_TABLES, *(DIMENSION_TABLES if dimensions else ())]
        self.execute(f"TRUNCATE {', '.join(tables)}")
        self.checkpoint()

    def checkpoint(self) -> None:
        """Write all that is dirty, so that nothing of the past falls into the next measurement."""
        self.execute("CHECKPOINT")

    def rows(self, signal: Signal) -> int:
        """Return how many items of ``signal`` are stored."""
        return self.value(f"SELECT count(*) FROM {FACT_TABLES[signal]}")  # noqa: S608 -- ours

    def commit_times_ns(self, span_ids: list[str]) -> dict[str, int]:
        """Return when the spans of these ids, in hex, were committed, in Unix nanoseconds."""

        async def run(connection: Connection) -> dict[str, int]:
            rows = await connection.fetch(
                """
                SELECT encode(span_id, 'hex') AS span_id,
                       (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1e9)::bigint AS at
                  FROM trace_spans
                 WHERE span_id = ANY($1::bytea[])
                """,
                list(map(bytes.fromhex, span_ids)),
            )
            return {row["span_id"]: row["at"] for row in rows}

        return self._run(run)

    def size_bytes(self, *tables: str) -> int:
        """Return what ``tables`` with their leaves, indexes and TOAST take on disk."""
        names = ", ".join(f"'{table}'" for table in tables)
        return self.value(
            f"""
            SELECT coalesce(sum(pg_total_relation_size(leaf.relid)), 0)::bigint
              FROM unnest(ARRAY[{names}]) AS name,
                   pg_partition_tree(name::regclass) AS leaf
            """  # noqa: S608 -- names of ours
        )

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its processes so far."""
        assert self._embedded.pid is not None
        return tree_cpu_s(psutil.Process(self._embedded.pid))

    def about(self) -> dict[str, str]:
        """Return its version and the settings that matter for a comparison."""
        names = ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "wal_level")
        settings = {name: str(self.value(f"SHOW {name}")) for name in names}
        return {"version": str(self.value("SHOW server_version")), **settings}

    def _run(self, body: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        async def run() -> ResultT:
            connection = await asyncpg.connect(self.dsn)
            try:
                return await body(connection)
            finally:
                await connection.close()

        return asyncio.run(run())
