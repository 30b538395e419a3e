"""What PostgreSQL holds in the end: the judge of every test here."""

from __future__ import annotations

from typing import Any

from collector.rows import FACT_TABLES, Signal
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from tests.interop.waiting import wait_until

DISTINCT = {
    Signal.TRACES: "SELECT count(DISTINCT (trace_id, span_id)) FROM trace_spans",
    Signal.METRICS: "SELECT count(DISTINCT (series_id, time, time_ns)) FROM metric_data_points",
    Signal.LOGS: "SELECT count(DISTINCT (time, time_ns)) FROM logs",
}
"""Items told apart by what one worker of telemetrygen never repeats: ids, or its nanoseconds."""


class Stored:
    """Answers from one database; a connection for each question, so that restarts don't matter."""

    def __init__(self, database: DatabaseSettings) -> None:
        self.database = database

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what ``query`` gives."""
        connection = await connect(self.database)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def value(self, query: str) -> Any:
        """Return the one value that ``query`` gives."""
        [[value]] = await self.rows(query)
        return value

    async def items(self, signal: Signal) -> int:
        """Return how many items of ``signal`` are committed, copies counted."""
        return await self.value(f"SELECT count(*) FROM {FACT_TABLES[signal]}")

    async def reaches(self, signal: Signal, items: int, *, within_s: float = 60.0) -> None:
        """Return once at least ``items`` of ``signal`` are committed."""

        async def reached() -> bool:
            return await self.items(signal) >= items

        what = f"{items} items of {signal} are in PostgreSQL"
        await wait_until(reached, what=what, within_s=within_s)

    async def assert_holds_exactly(self, items: dict[Signal, int]) -> None:
        """Fail unless every item is committed, none twice, and nothing had to be set aside."""
        for signal, number in items.items():
            assert await self.items(signal) == number, signal
            assert await self.value(DISTINCT[signal]) == number, signal
        assert await self.value("SELECT count(*) FROM dead_letters") == 0
        spans = await self.value("SELECT coalesce(sum(span_count), 0) FROM traces")
        assert spans == items.get(Signal.TRACES, 0)
