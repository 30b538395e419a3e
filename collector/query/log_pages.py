"""Walks along log records, and the pages that they come in.

A record has no id. Its key is its time, the nanoseconds below it, and a hash of the whole row. That
is the same after VACUUM FULL, in a restored dump and on a replica, where a place in the table
(``ctid``) is not; and no two records share a key unless they are equal in every column, but for the
sign of numbers in JSON, which PostgreSQL does not hash. Of such *twins*, which have an order of their
own, a cursor says how many stand before it.

A walk through a range goes in windows of time from its edge, each much longer than the one before,
and stops once it has enough: what comes at some rate is found in the first, and PostgreSQL prunes
the leaves of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from collector.query import log_sql
from collector.query.log_records import LogRecord, record_of
from collector.query.log_sql import LogKey, Walk
from collector.query.page import Cursor, Page, foreign_cursor
from collector.query.time_range import EVER, TimeRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collector.query.view import View

WINDOW_US: Final = 300_000_000
"""Length of the first window of a walk: five minutes."""
WINDOW_GROWTH: Final = 8

CURSOR_TYPES: Final = (int, int, int, int)
"""Of the key of a cursor of records."""
KEY_TYPES: Final = (int, int, int)
"""Of the key of a record."""


def is_key(key: LogKey) -> bool:
    """Tell whether a record may have this key."""
    return EVER.start <= key.time < EVER.end and -1 <= key.place < 1_000


class Position(NamedTuple):
    """Between two records: behind so many of those that have this key."""

    key: LogKey
    passed: int

    @classmethod
    def of(cls, cursor: Cursor) -> Self:
        """Return where a cursor stands.

        Raises:
            BadParameterError: none of ours stands there.
        """
        numbers = [part for part in cursor.key if isinstance(part, int)]
        if len(numbers) == len(cursor.key) == len(CURSOR_TYPES):
            key, passed = LogKey(*numbers[:3]), numbers[3]
            if is_key(key) and passed >= 0:
                return cls(key, passed)
        raise foreign_cursor()

    def cursor(self, *, is_backward: bool) -> Cursor:
        """Return the cursor that stands here."""
        return Cursor((*self.key, self.passed), is_backward)


def after_last(records: list[LogRecord], start: Position | None) -> Position:
    """Return the position behind the last record of a page that began at ``start``."""
    last = records[-1].place
    twins = next(
        (n for n, record in enumerate(reversed(records)) if record.place != last), len(records)
    )
    is_all = start is not None and twins == len(records) and start.key == last
    return Position(last, twins + (start.passed if is_all and start else 0))


def page_between(
    records: list[LogRecord], start: Position | None, end: Position | None
) -> Page[LogRecord]:
    """Return the page between two positions; None is an end of the whole answer."""
    return Page(
        tuple(records),
        None if end is None else end.cursor(is_backward=False),
        None if start is None else start.cursor(is_backward=True),
    )


async def before_first(view: View, walk: Walk, records: list[LogRecord], end: Position) -> Position:
    """Return the position before the first record of a page that ends at ``end``."""
    first = records[0].place
    shown = sum(record.place == first for record in records)
    if first == end.key:
        return Position(first, end.passed - shown)
    return Position(first, await twins_of(view, walk, first) - shown)


async def twins_of(view: View, walk: Walk, key: LogKey) -> int:
    """Return how many records of a walk have a key."""
    row = await view.row(log_sql.twins(walk, key))
    return row["twins"] if row else 0


class Found(NamedTuple):
    """The first records of a walk.

    Attributes:
        records: in its order.
        bytes: of all of them, as they are stored.
        is_cut: there are more that were asked for, and had no room.
    """

    records: list[LogRecord]
    bytes: int
    is_cut: bool


async def records_of(
    view: View, walk: Walk, when: TimeRange, *, skipped: int, limit: int, bytes_max: int
) -> Found:
    """Return the first records of a walk after so many, which all have the key of its edge.

    The record that makes them ``bytes_max`` long or longer is the last one.
    """
    found: list[LogRecord] = []
    held = 0
    for window in _windows(walk, when):
        if len(found) >= limit:
            break
        is_full = held >= bytes_max
        asked = 1 if is_full else limit - len(found)
        statement = log_sql.find(walk, window, offset=skipped, limit=asked)
        read = await view.first(statement, bytes_max - held)
        if is_full and read.rows:
            return Found(found, held, is_cut=True)
        found += map(record_of, read.rows)
        held += read.bytes
        if read.has_more:
            return Found(found, held, is_cut=True)
        skipped = 0
    return Found(found, held, is_cut=False)


def _windows(walk: Walk, when: TimeRange) -> Iterator[TimeRange]:
    """Yield ranges that begin at the edge of a walk, and together are all that lies behind it."""
    start, end = when
    if walk.edge is not None and walk.is_downward:
        end = min(end, walk.edge.time + 1)
    elif walk.edge is not None:
        start = max(start, walk.edge.time)
    if walk.has_trace:
        yield TimeRange(start, end)
        return
    length = WINDOW_US
    while start < end:
        if walk.is_downward:
            middle = max(start, end - length)
            yield TimeRange(middle, end)
            end = middle
        else:
            middle = min(end, start + length)
            yield TimeRange(start, middle)
            start = middle
        length *= WINDOW_GROWTH
