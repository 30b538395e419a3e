"""The statements of ``trace_repository``.

The newest spans of a service come out of ``(service_name, start_time)``, backwards; without a
service each one's are asked for, as in ``recent``. Spans of known traces come by ``trace_id``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector.query.filters import Filter
from collector.query.spans import COLUMNS
from collector.query.sql import takes_unnamed, where, where_service, without_service
from collector.query.statement import Parameters, Statement
from collector.query.terms import TraceTerm, stored_key
from collector.query.time_range import TimeRange
from collector.rows import Signal

DEPENDENCIES_MAX: Final = 10_000
PARENT_US_MAX: Final = 3_600_000_000
"""How far before its child's range a parent is looked for."""


@dataclass(frozen=True, slots=True)
class TraceQuestion:
    """What one span of a wanted trace has; whatever is None or empty is not asked for.

    Attributes:
        filter: its every term holds for the span.
        service: exactly; the first 255 characters count.
        operation: name of the span, exactly.
        duration_ns_min: a span without a known duration is neither long nor short enough.
        duration_ns_max: likewise.
        attributes: text by key; the span, its resource or one of its events has each.
        status_code: OTLP's number.
    """

    filter: Filter = field(default_factory=Filter)
    service: str | None = None
    operation: str | None = None
    duration_ns_min: int | None = None
    duration_ns_max: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    status_code: int | None = None


class Edge(NamedTuple):
    """A place in the order of spans and of traces."""

    time: int
    trace_id: bytes


def spans_beyond(
    when: TimeRange, wanted: TraceQuestion, edge: Edge | None, *, is_backward: bool, limit: int
) -> Statement:
    """Return the statement for the next matching spans of a walk from an edge on.

    Shape: rows of ``start_time`` and ``trace_id``, in this order; newest first unless
    ``is_backward``.
    """
    values = Parameters()
    ways = _range(when, values)
    if edge is not None:
        time, trace = values.add(edge.time, "timestamptz"), values.add(edge.trace_id, "bytea")
        sign = ">" if is_backward else "<"
        ways += f" AND f.start_time {sign}= {time} AND (f.start_time, f.trace_id) {sign} ({time}, {trace})"
    down = "ASC" if is_backward else "DESC"
    order = f"ORDER BY f.start_time {down}, f.trace_id {down} LIMIT {values.add(limit, 'bigint')}"

    def newest(condition: str) -> str:
        return (
            "SELECT f.start_time, f.trace_id FROM trace_spans AS f"  # noqa: S608 -- placeholders
            f" WHERE {ways} AND {condition} {order}"
        )

    if wanted.service is not None or any(isinstance(t, TraceTerm) for t in wanted.filter.terms):
        return values.statement(newest(_matching(wanted, wanted.filter, values)))
    names = where_service(wanted.filter, values.next)
    values.extend(names.parameters)
    rest = _matching(wanted, without_service(wanted.filter), values)
    spans = (
        "SELECT n.start_time, n.trace_id FROM ("  # noqa: S608 -- as above
        "SELECT DISTINCT r.service_name FROM resources AS r"
        f" WHERE r.service_name IS NOT NULL AND {names.sql}) AS names"
        f" CROSS JOIN LATERAL ({newest(f'f.service_name = left(names.service_name, 255) AND {rest}')}) AS n"
    )
    if takes_unnamed(wanted.filter):
        spans += f" UNION ALL ({newest(f'f.service_name IS NULL AND {rest}')})"
    return values.statement(f"SELECT f.start_time, f.trace_id FROM ({spans}) AS f {order}")  # noqa: S608


def places(when: TimeRange, wanted: TraceQuestion, trace_ids: Sequence[bytes]) -> Statement:
    """Return the statement for the newest matching span of each of some traces.

    Shape: rows of ``start_time`` and ``trace_id``.
    """
    values = Parameters()
    ids = values.add(list(trace_ids), "bytea[]")
    ways = f"{_range(when, values)} AND {_matching(wanted, wanted.filter, values)}"
    return values.statement(
        "SELECT max(f.start_time) AS start_time, f.trace_id FROM trace_spans AS f"  # noqa: S608
        f" WHERE f.trace_id = ANY ({ids}) AND {ways} GROUP BY f.trace_id"
    )


def summaries(trace_ids: Sequence[bytes]) -> Statement:
    """Return the statement for what is known of traces, a row for each of their days in order."""
    return Statement(
        "SELECT t.* FROM traces AS t WHERE t.trace_id = ANY ($1::bytea[])"
        " ORDER BY t.trace_id, t.day",
        (list(trace_ids),),
    )


def spans_of(trace_ids: Sequence[bytes], when: TimeRange, limit: int) -> Statement:
    """Return the statement for the spans of traces, trace by trace in the order of the ids."""
    values = Parameters()
    columns = ", ".join(f"f.{name}" for name in COLUMNS)
    ids = values.add(list(trace_ids), "bytea[]")
    return values.statement(
        f"SELECT {columns} FROM trace_spans AS f"  # noqa: S608 -- our own names
        f" WHERE f.trace_id = ANY ({ids}) AND {_range(when, values)}"
        f" ORDER BY array_position({ids}, f.trace_id), f.start_time, f.start_ns NULLS FIRST,"
        f" f.span_id LIMIT {values.add(limit, 'bigint')}"
    )


def dependencies(when: TimeRange) -> Statement:
    """Return the statement for how often a service's spans have children of another one.

    A parent began at most ``PARENT_US_MAX`` before the range of its children.
    """
    values = Parameters()
    start = values.add(when.start, "timestamptz")
    early = values.add(max(when.start - PARENT_US_MAX, TimeRange.from_unix_ns(-(2**80), 0).start), "timestamptz")  # fmt: skip
    end = values.add(when.end, "timestamptz")
    return values.statement(
        "SELECT p.service_name AS parent, c.service_name AS child, count(*) AS calls,"  # noqa: S608 -- placeholders
        " count(*) FILTER (WHERE c.status_code = 2) AS errors"
        " FROM trace_spans AS c JOIN trace_spans AS p"
        " ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id"
        f" WHERE c.start_time >= {start} AND c.start_time < {end}"
        f" AND p.start_time >= {early} AND p.start_time < {end}"
        " AND p.service_name <> c.service_name"
        f" GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {values.add(DEPENDENCIES_MAX, 'bigint')}"
    )


def _range(when: TimeRange, values: Parameters) -> str:
    start, end = (values.add(time, "timestamptz") for time in when)
    return f"f.start_time >= {start} AND f.start_time < {end}"


def _matching(wanted: TraceQuestion, filter_: Filter, values: Parameters) -> str:
    """Return the condition that a matching span fulfils, given what is left of its filter."""
    terms = where(filter_, Signal.TRACES, values.next)
    values.extend(terms.parameters)
    conditions = [terms.sql]
    for column, operator, value, type_ in (
        ("service_name", "=", wanted.service and wanted.service[:255], "text"),
        ("name", "=", wanted.operation, "text"),
        ("duration_ns", ">=", wanted.duration_ns_min, "bigint"),
        ("duration_ns", "<=", wanted.duration_ns_max, "bigint"),
        ("status_code", "=", wanted.status_code, "integer"),
    ):
        if value is not None:
            conditions.append(f"f.{column} {operator} {values.add(value, type_)}")
    for key, text in wanted.attributes.items():
        name, value = values.add(stored_key(key), "text"), values.add(text, "text")
        conditions.append(
            f"(f.attributes ->> {name} = {value}"  # noqa: S608 -- placeholders
            " OR f.resource_id IN (SELECT r.resource_id FROM resources AS r"
            f" WHERE r.attributes ->> {name} = {value})"
            " OR EXISTS (SELECT FROM jsonb_array_elements(f.events) AS e (event)"
            f" WHERE e.event -> 'attributes' ->> {name} = {value}))"
        )
    return " AND ".join(conditions)
