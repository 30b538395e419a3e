"""Whole traces as they were stored, found by what one of their spans has: what Jaeger asks.

A search goes through the newest spans of its range, of one service where it names one, for which
there is an index, and ends after ``SPANS_LOOKED_AT`` matches: a service that has more of them is
answered from the newest. Rows come as ``convert`` made them, for ``restore`` to turn into OTLP.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from collector.query.statement import Parameters, Statement
from collector.rows import (
    RESOURCE_AND_SCOPE_INDEX,
    Dimensions,
    ResourceRow,
    ScopeRow,
    Signal,
    SpanRow,
)

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.query.view import View, Views

SPANS_LOOKED_AT: Final = 20_000
"""Matching spans, from the newest on, whose traces an answer is made of."""
SPANS_MAX: Final = 20_000
"""Spans of all traces of one answer together."""

_RESOURCE, _SCOPE = RESOURCE_AND_SCOPE_INDEX[Signal.TRACES]
_TRACE: Final = SpanRow._fields.index("trace_id")


@dataclass(frozen=True, slots=True)
class TraceWish:
    """What one span of a wanted trace has; whatever is None or empty is not asked for.

    Attributes:
        service: the first 255 characters of its name.
        operation: name of the span.
        duration_ns_min: a span without a known duration is neither long nor short enough.
        duration_ns_max: likewise.
        attributes: text by key; the span, its resource or one of its events has each. Numbers and
            truth values are compared by their text.
        kind: OTLP's number.
        status_code: OTLP's number.
        other_than_status_code: OTLP's number.
    """

    service: str | None = None
    operation: str | None = None
    duration_ns_min: int | None = None
    duration_ns_max: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: int | None = None
    status_code: int | None = None
    other_than_status_code: int | None = None


class StoredTraces(NamedTuple):
    """Some traces.

    Attributes:
        ids: of the traces, in their order.
        rows: by trace, in ``SpanRow`` order, from the earliest start on.
        dimensions: what the rows refer to.
        is_whole: False when there are more spans than were read; the last traces are cut.
    """

    ids: tuple[bytes, ...]
    rows: Mapping[bytes, list[tuple[Any, ...]]]
    dimensions: Dimensions
    is_whole: bool


class TraceSearch:
    """Finds traces and reads them whole."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(
        self, when: TimeRange, wish: TraceWish, *, limit: int, timeout_s: float | None = None
    ) -> StoredTraces:
        """Return the traces with the newest matching spans in the range, newest first.

        A trace comes whole, also those of its spans that lie outside of the range.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            rows = await view.rows(find_statement(when, wish, limit))
            return await _read(view, [row["trace_id"] for row in rows])

    async def get_many(
        self, trace_ids: Sequence[bytes], *, timeout_s: float | None = None
    ) -> StoredTraces:
        """Return those of the traces that there are, in the order of the ids.

        Raises:
            QueryTimeoutError: the time was up.
            StoreError: PostgreSQL did not answer.
        """
        async with self._views.open(timeout_s) as view:
            return await _read(view, trace_ids)


def find_statement(when: TimeRange, wish: TraceWish, limit: int) -> Statement:
    """Return the statement for the ids of matching traces.

    Shape: rows of ``trace_id``, newest first.
    """
    values = Parameters()
    conditions = [
        f"f.start_time >= {values.add(when.start, 'timestamptz')}",
        f"f.start_time < {values.add(when.end, 'timestamptz')}",
        *_conditions(wish, values),
    ]
    newest = (
        "SELECT f.trace_id, f.start_time FROM trace_spans AS f"  # noqa: S608 -- placeholders
        f" WHERE {' AND '.join(conditions)}"
        f" ORDER BY f.start_time DESC LIMIT {values.add(SPANS_LOOKED_AT, 'bigint')}"
    )
    return values.statement(
        f"SELECT n.trace_id FROM ({newest}) AS n GROUP BY n.trace_id"  # noqa: S608 -- as above
        f" ORDER BY max(n.start_time) DESC, n.trace_id LIMIT {values.add(limit, 'bigint')}"
    )


def _conditions(wish: TraceWish, values: Parameters) -> Iterable[str]:
    for column, operator, value, type_ in (
        ("service_name", "=", wish.service[:255] if wish.service else None, "text"),
        ("name", "=", wish.operation or None, "text"),
        ("duration_ns", ">=", wish.duration_ns_min, "bigint"),
        ("duration_ns", "<=", wish.duration_ns_max, "bigint"),
        ("kind", "=", wish.kind, "integer"),
        ("status_code", "=", wish.status_code, "integer"),
        ("status_code", "<>", wish.other_than_status_code, "integer"),
    ):
        if value is not None:
            yield f"f.{column} {operator} {values.add(value, type_)}"
    for key, text in wish.attributes.items():
        yield _attribute(values.add(f"${key}" if key.startswith("$") else key, "text"), values.add(text, "text"))  # fmt: skip


def _attribute(key: str, text: str) -> str:
    return (
        f"(f.attributes ->> {key} = {text}"  # noqa: S608 -- placeholders
        " OR EXISTS (SELECT FROM resources AS r WHERE r.resource_id = f.resource_id"
        f" AND r.attributes ->> {key} = {text})"
        " OR EXISTS (SELECT FROM jsonb_array_elements(f.events) AS e (event)"
        f" WHERE e.event -> 'attributes' ->> {key} = {text}))"
    )


async def _read(view: View, trace_ids: Sequence[bytes]) -> StoredTraces:
    when = await view.row(_reach_statement(trace_ids)) if trace_ids else None
    rows: list[tuple[Any, ...]] = []
    if when is not None and when["start_time"] is not None:
        statement = spans_statement(trace_ids, when["start_time"], when["end_time"], SPANS_MAX + 1)
        rows = [tuple(row) for row in await view.rows(statement)]
    by_trace: dict[bytes, list[tuple[Any, ...]]] = {}
    for row in rows[:SPANS_MAX]:
        by_trace.setdefault(row[_TRACE], []).append(row)
    return StoredTraces(
        tuple(trace_id for trace_id in trace_ids if trace_id in by_trace),
        by_trace,
        await _dimensions(view, rows),
        is_whole=len(rows) <= SPANS_MAX,
    )


def _reach_statement(trace_ids: Sequence[bytes]) -> Statement:
    """Return the statement for when traces were, which tells the leaves of their spans."""
    values = Parameters()
    return values.statement(
        "SELECT min(t.start_time) AS start_time, max(t.end_time) AS end_time FROM traces AS t"  # noqa: S608
        f" WHERE t.trace_id = ANY({values.add(list(trace_ids), 'bytea[]')})"
    )


def spans_statement(trace_ids: Sequence[bytes], first: int, last: int, limit: int) -> Statement:
    """Return the statement for all spans of traces, trace by trace in the order of the ids.

    Shape: rows of ``SpanRow``; by start within a trace. Both times are inside the range.
    """
    values = Parameters()
    columns = ", ".join(f"f.{name}" for name in SpanRow._fields)
    ids = values.add(list(trace_ids), "bytea[]")
    return values.statement(
        f"SELECT {columns} FROM trace_spans AS f WHERE f.trace_id = ANY({ids})"  # noqa: S608
        f" AND f.start_time >= {values.add(first, 'timestamptz')}"
        f" AND f.start_time <= {values.add(last, 'timestamptz')}"
        f" ORDER BY array_position({ids}, f.trace_id), f.start_time, f.start_ns, f.span_id"
        f" LIMIT {values.add(limit, 'bigint')}"
    )


async def _dimensions(view: View, rows: Collection[tuple[Any, ...]]) -> Dimensions:
    resources = await view.rows(_rows_by_id(ResourceRow, "resources", {r[_RESOURCE] for r in rows}))
    scopes = await view.rows(_rows_by_id(ScopeRow, "scopes", {r[_SCOPE] for r in rows}))
    return Dimensions(
        {row[0]: ResourceRow._make(row) for row in resources},
        {row[0]: ScopeRow._make(row) for row in scopes},
        {},
        {},
    )


def _rows_by_id(kind: type[ResourceRow | ScopeRow], table: str, ids: Collection[int]) -> Statement:
    values = Parameters()
    return values.statement(
        f"SELECT {', '.join(kind._fields)} FROM {table}"  # noqa: S608 -- our own names
        f" WHERE {kind._fields[0]} = ANY({values.add(list(ids), 'bigint[]')})"
    )
