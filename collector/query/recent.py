"""The newest stored items that match a filter: where a live tail begins.

No index begins with time. So a search goes from the newest backwards in windows of time, each much
longer than the one before, and stops once it has enough: what comes in at some rate is found in the
first, and PostgreSQL prunes the leaves of all others. Within a window

- spans and log records are asked for service by service, through ``(service_name, time)`` backwards,
  which gives each service's newest without reading more. The services are those of ``resources``.
- spans and log records of a trace are asked for through the index on ``trace_id``.
- data points are joined with their series and metrics, which are few beside them and hold all that
  a filter can ask of a point; the leaves of the window are scanned unless the filter is narrow.

One REPEATABLE READ transaction holds still what all signals are read from, and names it: a tail
shows what the snapshot sees from here, and everything else as it is published.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.errors import RetryableStoreError
from collector.query import logs, metrics, traces
from collector.query.cutting import attributes
from collector.query.snapshot import Snapshot
from collector.query.sql import FROM, condition, of_each_service
from collector.query.statement import Parameters
from collector.query.terms import TraceTerm
from collector.rows import Signal
from collector.store.failures import translated
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from collector.items import Item
    from collector.query.filters import Filter
    from collector.store.pool import Connection

TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1
"""PostgreSQL's ``-infinity`` and ``infinity``."""

_MINUTE_US = 60_000_000
WINDOWS_US = (5 * _MINUTE_US, 60 * _MINUTE_US, *(d * 1_440 * _MINUTE_US for d in (1, 4, 16)))
"""How far before now each window begins; the first one has no end, since the future may hold a day,
and one more follows the last, which has no beginning."""

_QUERY_CANCELLED = "57014"

ANSWER_S_MAX = 2.0
"""PostgreSQL ends a statement in time and says so; a server that says nothing is waited for so much
longer, and then the connection is cut."""


class Recent(NamedTuple):
    """What was found.

    Attributes:
        items: those that match, oldest first.
        snapshot: what could be seen.
        is_whole: False when the time was up before enough was found, or before everything was
            looked at; older items may match, too.
    """

    items: list[Item]
    snapshot: Snapshot
    is_whole: bool


class _Query(NamedTuple):
    """How rows of one signal are read and shown."""

    time: str
    time_ns: str
    columns: tuple[str, ...]
    shown: tuple[str, ...]
    item_of: Callable[[Any], Item]


_QUERIES: dict[Signal, _Query] = {
    Signal.TRACES: _Query(
        traces.TIME, traces.TIME_NS, traces.COLUMNS, traces.SHOWN, traces.item_of
    ),
    Signal.METRICS: _Query(
        metrics.TIME, metrics.TIME_NS, metrics.COLUMNS, metrics.SHOWN, metrics.item_of
    ),
    Signal.LOGS: _Query(logs.TIME, logs.TIME_NS, logs.COLUMNS, logs.SHOWN, logs.item_of),
}

ITEM_OF: dict[Signal, Callable[[Any], Item]] = {s: query.item_of for s, query in _QUERIES.items()}
"""The function from a row of ``statement`` to its item."""


async def find_recent(
    connection: Connection,
    signals: Collection[Signal],
    filter_: Filter,
    *,
    since: int | None,
    limit: int,
    timeout_s: float,
) -> Recent:
    """Return the newest ``limit`` stored items of all ``signals`` together that match.

    Newest is by the time that the item shows. Items of the same nanosecond come in any order.

    Args:
        connection: not in a transaction; it is not in one afterwards, or it is closed.
        signals: those to look at; what the filter cannot match is left out.
        filter_: what is wanted.
        since: no item before this; None: however old.
        limit: at least 0. With 0 only the snapshot is taken.
        timeout_s: time for all of it; PostgreSQL itself ends a statement that takes longer.

    Units: ``since`` is in microseconds since 2000-01-01 UTC.

    Raises:
        StoreError: PostgreSQL did not answer; this role may not read.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    asked = [signal for signal in Signal if signal in signals and signal in filter_.signals()]
    items: list[Item] = []
    is_whole = True
    cut = loop.call_later(timeout_s + ANSWER_S_MAX, connection.terminate)
    try:
        with translated(only=DRIVER_ERRORS):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _allow(connection, timeout_s)
                seen: Any = await connection.fetchrow(
                    "SELECT pg_current_snapshot()::text AS snapshot, now()"
                )
                now: int = seen["now"]
                for place, signal in enumerate(asked if limit else []):
                    left_s = ends_at - loop.time()
                    search = _Search(connection, signal, filter_, limit)
                    is_whole &= await search.run(
                        now, TIME_MIN if since is None else since, left_s / (len(asked) - place)
                    )
                    items += search.items
    finally:
        cut.cancel()
    items.sort(key=_time_of)
    return Recent(items[-limit:] if limit else [], Snapshot.parse(seen["snapshot"]), is_whole)


class _Search:
    """Looks for the newest items of one signal, window by window.

    Attributes:
        items: what was found; each window's are newest first, and older than those before.
    """

    def __init__(self, connection: Connection, signal: Signal, filter_: Filter, limit: int) -> None:
        self._connection = connection
        self._signal = signal
        self._filter = filter_
        self._limit = limit
        self.items: list[Item] = []

    async def run(self, now: int, since: int, timeout_s: float) -> bool:
        """Look until there is enough or nothing left; False when the time was up before."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        for low, high in windows(now, since):
            left_s = ends_at - loop.time()
            if left_s <= 0 or not await self._look(low, high, left_s):
                return False
            if len(self.items) >= self._limit:
                break
        return True

    async def _look(self, low: int, high: int, timeout_s: float) -> bool:
        """Add the newest items of one window; False when the time was up."""
        await _allow(self._connection, timeout_s)
        sql, parameters = statement(
            self._signal, self._filter, low, high, self._limit - len(self.items)
        )
        try:
            with translated(only=DRIVER_ERRORS):
                async with self._connection.transaction():  # a savepoint: the next signal goes on
                    rows = await self._connection.fetch(sql, *parameters)
        except RetryableStoreError as error:
            if error.sqlstate != _QUERY_CANCELLED:
                raise
            return False
        self.items += map(_QUERIES[self._signal].item_of, rows)
        return True


def windows(now: int, since: int) -> list[tuple[int, int]]:
    """Return half-open ranges of time, newest first, that together are all from ``since`` on."""
    found: list[tuple[int, int]] = []
    high = TIME_MAX
    for low in (*(now - length for length in WINDOWS_US), TIME_MIN):
        found.append((max(low, since), high))
        if low <= since:
            break
        high = low
    return found


def statement(
    signal: Signal, filter_: Filter, low: int, high: int, limit: int
) -> tuple[str, list[Any]]:
    """Return the query, and its parameters, for the newest ``limit`` items of a window.

    Shape: rows of the signal's ``SHOWN`` columns and ``resource``, newest first.
    """
    query = _QUERIES[signal]
    has_index = signal is Signal.METRICS or any(isinstance(t, TraceTerm) for t in filter_.terms)
    values = Parameters(low, high, limit)
    newest = (_by_join if has_index else _by_service)(signal, filter_, values)
    shown = ", ".join((*query.shown, attributes("r.attributes", "resource")))
    sql = (
        f"SELECT {shown} FROM ({newest}) AS f"  # noqa: S608 -- our own names
        " LEFT JOIN resources AS r ON r.resource_id = f.resource_id"
        f" ORDER BY {_order(query)} LIMIT $3"
    )
    return sql, values.values


def _by_join(signal: Signal, filter_: Filter, values: Parameters) -> str:
    """Return the query that leaves the way to PostgreSQL."""
    return _newest(signal, condition(filter_, signal, values))


def _by_service(signal: Signal, filter_: Filter, values: Parameters) -> str:
    """Return the query that asks for each service's newest items, and for those without one."""
    return of_each_service(
        filter_,
        values,
        rest=lambda left: condition(left, signal, values),
        some=lambda which: _newest(signal, which),
    )


def _newest(signal: Signal, which: str) -> str:
    query = _QUERIES[signal]
    return (
        f"SELECT {', '.join(query.columns)} FROM {FROM[signal]}"  # noqa: S608 -- our own names
        f" WHERE f.{query.time} >= $1::timestamptz AND f.{query.time} < $2::timestamptz"
        f" AND {which} ORDER BY {_order(query)} LIMIT $3::bigint"
    )


def _order(query: _Query) -> str:
    return f"f.{query.time} DESC, f.{query.time_ns} DESC NULLS LAST"


async def _allow(connection: Connection, timeout_s: float) -> None:
    """Let the next statement of this transaction take so long, and compile nothing for it."""
    await connection.execute(
        f"SET LOCAL statement_timeout = {max(1, round(timeout_s * 1000))}; SET LOCAL jit = off"
    )


def _time_of(item: Item) -> str:
    return item["time"]
