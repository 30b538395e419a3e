"""Spans read whole, with what they refer to: as rows for ``restore``, or as what a reader gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.query import trace_sql
from collector.query.dimensions import resource_of, scope_of
from collector.query.spans import Span, span_of
from collector.query.time_range import TimeRange
from collector.query.trace_question import SPAN_BYTES
from collector.query.trace_types import StoredTraces, Trace
from collector.query.view import CHUNK_ROWS
from collector.rows import Dimensions, Signal, SpanRow
from collector.store.fetching import ADDED_COLUMNS
from collector.store.referred import NOTHING, with_empty
from collector.store.referred import dimensions_of as stored_dimensions

if TYPE_CHECKING:
    from collector.query.statement import Statement
    from collector.query.view import View
    from collector.store.fetching import Fetched

_TRACE: Final = SpanRow._fields.index("trace_id")


async def stored_traces(
    view: View, trace_ids: Sequence[bytes], when: TimeRange | None, spans_max: int
) -> StoredTraces:
    """Return those of the traces that there are, in the order of the ids, each once.

    Without a range the days of ``traces`` tell which leaves to read. Every span that is stored has
    a row there, of the same transaction (``store/traces.py``).

    Reading ends at ``spans_max`` spans, or once they have ``whole_bytes_max`` of the view or more.
    """
    ids = list(dict.fromkeys(trace_ids))
    known = await view.rows(trace_sql.summaries(ids)) if ids else []
    read = _Read([], NOTHING, is_too_large=False)
    if known or (ids and when is not None):
        reach = when or TimeRange(
            min(row["start_time"] for row in known), max(row["end_time"] for row in known) + 1
        )
        read = await _read(view, trace_sql.spans_of(ids, reach, spans_max))
    missing: Counter[bytes] = Counter()
    for row in known:
        missing[row["trace_id"]] += row["span_count"]
    by_trace: dict[bytes, list[tuple[Any, ...]]] = {}
    for row in read.rows:
        by_trace.setdefault(row[_TRACE], []).append(row)
    missing.subtract({trace_id: len(of_it) for trace_id, of_it in by_trace.items()})
    return StoredTraces(by_trace, read.dimensions, frozenset(+missing), read.is_too_large)


class _Read(NamedTuple):
    rows: list[tuple[Any, ...]]
    dimensions: Dimensions
    is_too_large: bool


async def _read(view: View, statement: Statement) -> _Read:
    """Return spans and what they refer to, as far as an answer may hold them."""
    rows: list[tuple[Any, ...]] = []
    dimensions = NOTHING
    left = view.whole_bytes_max
    read = view.bounded_chunks(statement, CHUNK_ROWS, view.page_bytes_max, row_bytes=SPAN_BYTES)
    async with aclosing(read) as chunks:
        async for chunk in chunks:
            new = span_rows(chunk)
            met = await dimensions_of(view, new, dimensions)
            dimensions = dimensions._replace(
                resources=dimensions.resources | met.resources,
                scopes=dimensions.scopes | met.scopes,
            )
            rows += new
            left -= chunk.bytes
            if left <= 0:
                return _Read(rows, dimensions, chunk.has_more)
    return _Read(rows, dimensions, is_too_large=False)


def span_rows(fetched: Fetched) -> list[tuple[Any, ...]]:
    """Return what was fetched by ``trace_sql.spans_of``, in ``SpanRow`` order."""
    return [tuple(record)[:-ADDED_COLUMNS] for record in fetched.rows]


def traces_of(found: StoredTraces) -> tuple[Trace, ...]:
    """Return the same traces as a reader gets them; those without rows are left out."""
    return tuple(
        Trace(trace_id, spans_of(rows, found.dimensions), is_whole=trace_id not in found.cut)
        for trace_id, rows in found.rows.items()
    )


def spans_of(rows: Iterable[tuple[Any, ...]], dimensions: Dimensions) -> tuple[Span, ...]:
    """Return the spans of rows in ``SpanRow`` order, each with its resource and scope."""
    resources = {key: resource_of(row) for key, row in dimensions.resources.items()}
    scopes = {key: scope_of(row) for key, row in dimensions.scopes.items()}
    spans = map(SpanRow._make, rows)
    return tuple(span_of(s, resources[s.resource_id], scopes[s.scope_id]) for s in spans)


async def dimensions_of(
    view: View, rows: Sequence[tuple[Any, ...]], known: Dimensions = NOTHING
) -> Dimensions:
    """Return the resources and scopes of rows in ``SpanRow`` order; empty ones for those that are gone.

    What is ``known`` is not asked for again.
    """
    found = await stored_dimensions(view.connection, Signal.TRACES, rows, known)
    return with_empty(found, Signal.TRACES, rows)
