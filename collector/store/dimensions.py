"""Dimension rows: what facts refer to, written before them and in a transaction of their own.

Inside the flush they deadlocked or tripled latency: two flushes that bring the same new resource
would wait for each other's whole COPY. Alone the wait is short. Their COMMIT need not wait for the
disk, since the COMMIT of the facts, later in the same log, flushes it too.

An id is a 64-bit hash of the row's content. The 128-bit digest is read back once per new id; when
another digest sits under the id, the facts that refer to it are quarantined (``ID_COLLISION``).
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.errors import PoisonRowError
from collector.rows import (
    RESOURCE_AND_SCOPE_INDEX,
    SERIES_INDEX,
    Dimensions,
    MetricRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
    Signal,
)
from collector.store.failures import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from collector.rows import ConvertedRequest
    from collector.store.pool import Connection

Collided = list[set[int]]
"""Per table, in the order of ``TABLES``: ids under which another digest is stored."""

References = tuple[int, int, int | None, int | None]
"""Ids of the resource, scope, metric and series of one fact; the order of ``rows.Dimensions``."""


class _Table(NamedTuple):
    """One dimension table: where its rows are found and how they are written."""

    name: str
    select: str
    insert: str
    touch: str


def _table(name: str, row: type[NamedTuple], types: str) -> _Table:
    """Return the statements of a table; ``types`` are those of the columns of ``row``, in order."""
    columns = ", ".join(row._fields)
    key = row._fields[0]
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types.split(), 1))
    return _Table(  # only names of our own go into the text
        name,
        f"SELECT {key}, digest, last_seen FROM {name} WHERE {key} = ANY($1::bigint[])",  # noqa: S608
        f"INSERT INTO {name} ({columns}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING",  # noqa: S608
        # A row that somebody else touches right now needs no second touch: skip, never wait.
        f"UPDATE {name} SET last_seen = $2 WHERE {key} IN (SELECT {key} FROM {name}"  # noqa: S608
        f" WHERE {key} = ANY($1::bigint[]) AND last_seen < $2 FOR UPDATE SKIP LOCKED)",
    )


TABLES = (
    _table("resources", ResourceRow, "bigint text text text jsonb text bigint jsonb jsonb bytea"),
    _table("scopes", ScopeRow, "bigint text text jsonb text bigint jsonb bytea"),
    _table("metrics", MetricRow, "bigint text text text text integer boolean jsonb jsonb bytea"),
    _table("metric_series", SeriesRow, "bigint bigint bigint bigint text jsonb jsonb bytea"),
)
"""In the order of ``rows.Dimensions``, which is the order of writing."""


class Written(NamedTuple):
    """What the tables hold once unknown rows are written."""

    digests: tuple[dict[int, bytes], ...]  # per table, in the order of ``TABLES``: id -> digest
    inserted: dict[str, int]  # rows that were new, per table name


async def write(
    connection: Connection, dimensions: Dimensions, today: date, *, timeout_s: float
) -> Written:
    """Make sure that every row of ``dimensions`` exists, inside the caller's transaction.

    Rows are inserted sorted by id and tables in one order, so that two writers never wait in a
    circle. Needs READ COMMITTED: the second look must see what a peer has just committed.
    """
    written = Written(({}, {}, {}, {}), {})
    for table, rows, digests in zip(TABLES, dimensions, written.digests, strict=True):
        if table.name == "metric_series":
            rows = _usable_series(dimensions, written)
        if rows:
            digests |= await _write_table(connection, table, rows, today, written, timeout_s)
    return written


async def _write_table(
    connection: Connection,
    table: _Table,
    rows: Mapping[int, tuple[Any, ...]],
    today: date,
    written: Written,
    timeout_s: float,
) -> dict[int, bytes]:
    """Write one table; return the digest that is stored under each id."""
    ids = sorted(rows)
    found = await connection.fetch(table.select, ids, timeout=timeout_s)
    stale = [row[0] for row in found if row[2] < today]
    if stale:
        await connection.execute(table.touch, stale, today, timeout=timeout_s)
    digests: dict[int, bytes] = {row[0]: row[1] for row in found}
    missing = [key for key in ids if key not in digests]
    if missing:
        columns = zip(*(rows[key] for key in missing), strict=True)
        status = await connection.execute(table.insert, *columns, timeout=timeout_s)
        written.inserted[table.name] = int(status.rpartition(" ")[2])
        if written.inserted[table.name] == len(missing):
            digests |= {key: rows[key][-1] for key in missing}
        else:  # a peer was faster with some of them
            again = await connection.fetch(table.select, missing, timeout=timeout_s)
            digests |= {row[0]: row[1] for row in again}
    return digests


def stored(dimensions: Dimensions, written: Written) -> Dimensions:
    """Return the rows of ``dimensions`` that their tables hold, each under its own digest."""
    found = Dimensions({}, {}, {}, {})
    for kept, rows, digests in zip(found, dimensions, written.digests, strict=True):
        for key, row in rows.items():
            if digests.get(key) == row[-1]:
                kept[key] = row  # pyright: ignore[reportArgumentType] -- same table
    return found


def collisions(dimensions: Dimensions, written: Written) -> Collided:
    """Return the ids of ``dimensions`` under which a digest is stored that is not theirs."""
    return [
        {key for key, row in rows.items() if digests.get(key, row[-1]) != row[-1]}
        for rows, digests in zip(dimensions, written.digests, strict=True)
    ]


def _usable_series(dimensions: Dimensions, written: Written) -> dict[int, SeriesRow]:
    """Leave out series that refer to a resource, scope or metric that is not theirs."""
    collided = collisions(dimensions, written)
    if not any(collided):
        return dimensions.series
    return {
        key: row
        for key, row in dimensions.series.items()
        if not _hits(_series_refers(row), collided)
    }


def rows_that_refer_to(request: ConvertedRequest, collided: Collided) -> list[int]:
    """Return the numbers of the rows that refer, however indirectly, to an id of another digest."""
    key_of, rows = _KEY[request.signal], request.rows
    hit = {key for key in set(map(key_of, rows)) if _hits(_refers(request, key), collided)}
    return [number for number, row in enumerate(rows) if key_of(row) in hit]


async def missing(
    connection: Connection, dimensions: Dimensions, *, timeout_s: float
) -> Dimensions:
    """Return the rows of ``dimensions`` that the tables do not hold; nothing is written or locked.

    All of them when an id cannot even be asked for: then whoever writes it is refused.
    """
    found = Dimensions({}, {}, {}, {})
    try:
        for table, rows, kept in zip(TABLES, dimensions, found, strict=True):
            if rows:
                stored = await connection.fetch(table.select, sorted(rows), timeout=timeout_s)
                ids = {row[0] for row in stored}
                kept |= {key: row for key, row in rows.items() if key not in ids}
    except Exception as error:
        failure = translate(error, connection=connection)
        if isinstance(failure, PoisonRowError):
            return dimensions
        raise failure from error
    return found


def referred_by(
    request: ConvertedRequest,
    rows: Iterable[tuple[Any, ...]],
    *,
    among: Dimensions | None = None,
) -> Dimensions:
    """Return the dimension rows that ``rows``, some of the request's, need.

    ``among``: only these of the request's dimension rows.
    """
    found = Dimensions({}, {}, {}, {})
    among = request.dimensions if among is None else among
    if not any(among):
        return found
    for refers in dict.fromkeys(map(_KEY[request.signal], rows)):
        for kept, key, known in zip(found, _refers(request, refers), among, strict=True):
            if key is not None and key in known:
                kept[key] = known[key]  # pyright: ignore[reportArgumentType] -- same table
    return found


def _refers(request: ConvertedRequest, key: Any) -> References:
    """Return what rows with this ``_KEY`` refer to."""
    if request.signal is Signal.METRICS:
        return _series_refers(request.dimensions.series[key])
    resource, scope = key
    return resource, scope, None, None


def _series_refers(row: SeriesRow) -> References:
    return row.resource_id, row.scope_id, row.metric_id, row.series_id


def _hits(references: References, collided: Collided) -> bool:
    return any(key in ids for key, ids in zip(references, collided, strict=True))


_KEY: dict[Signal, Callable[[tuple[Any, ...]], Any]] = {
    Signal.METRICS: itemgetter(SERIES_INDEX),
    **{signal: itemgetter(*places) for signal, places in RESOURCE_AND_SCOPE_INDEX.items()},
}
"""Takes out of a fact row what it refers to: few rows differ in that, so it is looked up once."""
