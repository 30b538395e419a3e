"""Log records: found by a filter, counted by level, with what stands around one, or of a trace.

How records are ordered and paged stands in ``log_pages``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import orjson

from collector.errors import AnswerTooLargeError, NotFoundError
from collector.items import SEVERITIES
from collector.query import log_sql
from collector.query.filters import Filter
from collector.query.log_pages import (
    Position,
    after_last,
    before_first,
    is_key,
    page_between,
    records_of,
    twins_of,
)
from collector.query.log_records import LogContext, LogRecord, SeverityStep
from collector.query.log_sql import Beside, LogKey, Walk
from collector.query.page import LIMIT, Cursor, Page, Total
from collector.query.steps import steps_of
from collector.query.terms import TraceTerm
from collector.query.time_range import EVER, TimeRange, unix_ns

if TYPE_CHECKING:
    from collector.query.view import Views

CONTEXT_US: Final = 86_400_000_000
"""How far from a record its neighbours are looked for, each way."""
CONTEXT_RECORDS: Final = 5

COUNT_MAX: Final = 10_000
"""Records that are counted one by one; how many more there are is estimated."""

UNSPECIFIED: Final = "UNSPECIFIED"


class LogRepository:
    """Questions about log records."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(
        self,
        when: TimeRange,
        filter_: Filter | None = None,
        *,
        newest_first: bool = True,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[LogRecord]:
        """Return a page of the records in a range that match.

        Args:
            when: by the column ``time``.
            filter_: what is wanted; None: everything.
            newest_first: the order of the pages; a cursor belongs to the order that it came with.
            limit: records of a page, at least 1.
            cursor: where to go on; None: the first page.
            timeout_s: for all of it.

        Shape: whole records, however long; a page of very long ones has fewer than ``limit``.

        Raises:
            BadParameterError: the cursor is none of ours.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        start = None if cursor is None else Position.of(cursor)
        is_backward = cursor is not None and cursor.is_backward
        walk = Walk(filter_ or Filter(), newest_first != is_backward, start and start.key)
        async with self._views.open(timeout_s) as view:
            skipped = 0
            if start is not None:
                there = await twins_of(view, walk, start.key)
                start = start._replace(passed=min(start.passed, there))
                skipped = there - start.passed if is_backward else start.passed
            found = await records_of(
                view, walk, when, skipped=skipped, limit=limit + 1, bytes_max=view.page_bytes_max
            )
            records, has_more = found.records[:limit], found.is_cut or len(found.records) > limit
            if start is not None and is_backward:
                records.reverse()
                first = await before_first(view, walk, records, start) if has_more else None
                return page_between(records, first, start)
        last = after_last(records, start) if has_more else None
        return page_between(records, start, last)

    async def by_trace(
        self,
        trace_id: bytes,
        when: TimeRange | None = None,
        *,
        limit: int = LIMIT,
        cursor: Cursor | None = None,
        timeout_s: float | None = None,
    ) -> Page[LogRecord]:
        """Return a page of the records of a trace, oldest first; without a range, whenever.

        Raises:
            BadParameterError: as ``find``.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        filter_ = Filter((TraceTerm(trace_id.hex()),))
        return await self.find(
            when or EVER, filter_,
            newest_first=False, limit=limit, cursor=cursor, timeout_s=timeout_s,
        )  # fmt: skip

    async def context(
        self,
        key: LogKey,
        *,
        before: int = CONTEXT_RECORDS,
        after: int = CONTEXT_RECORDS,
        same: Literal["service", "resource"] = "resource",
        timeout_s: float | None = None,
    ) -> LogContext:
        """Return a record with those that came before and after it, at most a day from it.

        Args:
            key: the ``place`` of the record.
            before: how many older ones.
            after: how many newer ones; its twins are the first of these.
            same: whose neighbours count: those of its service, or of its very resource.
            timeout_s: for all of it.

        Raises:
            NotFoundError: no record has the key.
            AnswerTooLargeError: all of these together are larger than an answer may be.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        if not is_key(key):
            raise _no_record()
        async with self._views.open(timeout_s) as view:
            at = TimeRange(key.time, key.time + 1)
            walk = Walk(Filter(), is_downward=False, edge=key)
            found = await records_of(
                view, walk, at, skipped=0, limit=1, bytes_max=view.whole_bytes_max
            )
            if not found.records or found.records[0].place != key:
                raise _no_record()
            record = found.records[0]
            beside = Beside(record.service, record.resource_id if same == "resource" else None)
            up = walk._replace(beside=beside)
            down = up._replace(is_downward=True)
            around = TimeRange(key.time - CONTEXT_US, key.time + CONTEXT_US)
            equal = await twins_of(view, up, key)
            left = view.whole_bytes_max - found.bytes
            older = await records_of(
                view, down, around, skipped=equal, limit=before, bytes_max=left
            )
            left -= older.bytes
            newer = await records_of(view, up, around, skipped=1, limit=after, bytes_max=left)
            if older.is_cut or newer.is_cut:
                raise AnswerTooLargeError(view.whole_bytes_max, "fewer records before and after")
        return LogContext(tuple(reversed(older.records)), record, tuple(newer.records))

    async def histogram(
        self,
        when: TimeRange,
        step_us: int,
        filter_: Filter | None = None,
        *,
        timeout_s: float | None = None,
    ) -> tuple[SeverityStep, ...]:
        """Return how many records of each level there are in each step; exact.

        Steps are multiples of ``step_us`` since 1970 UTC; the first and the last may be cut by the
        range. One without a record is absent.

        Raises:
            BadParameterError: as ``steps_of``.
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        steps_of(when, step_us)
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(log_sql.histogram(when, step_us, filter_ or Filter()))
        steps: dict[int, dict[str, int]] = {}
        for row in rows:
            steps.setdefault(row["step"], {})[_level(row["level"])] = row["records"]
        return tuple(SeverityStep(unix_ns(step, None), counts) for step, counts in steps.items())

    async def total(
        self,
        when: TimeRange,
        filter_: Filter | None = None,
        *,
        exact_max: int = COUNT_MAX,
        timeout_s: float | None = None,
    ) -> Total:
        """Return how many records match: exact up to ``exact_max``, an estimate beyond.

        The estimate is the planner's, and never less than what was counted.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        wanted = filter_ or Filter()
        async with self._views.open(timeout_s) as view:
            ((counted,),) = await view.rows(log_sql.count(when, wanted, exact_max + 1))
            if counted <= exact_max:
                return Total(counted, is_exact=True)
            ((plan,),) = await view.rows(log_sql.estimate(when, wanted))
        planned: int = round(orjson.loads(plan)[0]["Plan"]["Plan Rows"])
        return Total(max(planned, counted), is_exact=False)


def _level(place: int) -> str:
    return UNSPECIFIED if place == log_sql.NO_LEVEL else SEVERITIES[place]


def _no_record() -> NotFoundError:
    return NotFoundError("no such log record; it may be older than what is kept")
