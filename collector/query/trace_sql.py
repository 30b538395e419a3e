"""The statements of ``trace_repository``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from collector.items import STATUS_ERROR
from collector.query.statement import Parameters, Statement
from collector.query.time_range import EVER, TimeRange
from collector.query.trace_question import (
    Key,
    TraceQuestion,
    Walk,
    between,
    matching,
    walk_statement,
)
from collector.rows import SpanRow

DEPENDENCIES_MAX: Final = 10_000
PARENT_US_MAX: Final = 3_600_000_000
"""How far before its child's range a parent is looked for."""

_KEYS: Final = (
    Key("f.start_time", "start_time", "timestamptz"),
    Key("f.trace_id", "trace_id", "bytea"),
)


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
    walk = Walk(_KEYS, edge=edge, is_backward=is_backward)
    return walk_statement(walk, when, wanted, limit)


def places(when: TimeRange, wanted: TraceQuestion, trace_ids: Sequence[bytes]) -> Statement:
    """Return the statement for the newest matching span of each of some traces.

    Shape: rows of ``start_time`` and ``trace_id``.
    """
    values = Parameters()
    ids = values.add(list(trace_ids), "bytea[]")
    ways = f"{between(when, values)} AND {matching(wanted, wanted.filter, values)}"
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
    """Return the statement for the spans of traces, trace by trace in the order of the ids.

    Shape: rows of ``SpanRow``; by start within a trace.
    """
    values = Parameters()
    columns = ", ".join(f"f.{name}" for name in SpanRow._fields)
    ids = values.add(list(trace_ids), "bytea[]")
    return values.statement(
        f"SELECT {columns} FROM trace_spans AS f"  # noqa: S608 -- our own names
        f" WHERE f.trace_id = ANY ({ids}) AND {between(when, values)}"
        f" ORDER BY array_position({ids}, f.trace_id), f.start_time, f.start_ns NULLS FIRST,"
        f" f.span_id LIMIT {values.add(limit, 'bigint')}"
    )


def dependencies(when: TimeRange) -> Statement:
    """Return the statement for how often a service's spans have children of another one.

    A parent began at most ``PARENT_US_MAX`` before the range of its children.
    """
    values = Parameters()
    start = values.add(when.start, "timestamptz")
    early = values.add(max(when.start - PARENT_US_MAX, EVER.start), "timestamptz")
    end = values.add(when.end, "timestamptz")
    return values.statement(
        "SELECT p.service_name AS parent, c.service_name AS child, count(*) AS calls,"  # noqa: S608 -- placeholders
        f" count(*) FILTER (WHERE c.status_code = {STATUS_ERROR}) AS errors"
        " FROM trace_spans AS c JOIN trace_spans AS p"
        " ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id"
        f" WHERE c.start_time >= {start} AND c.start_time < {end}"
        f" AND p.start_time >= {early} AND p.start_time < {end}"
        " AND p.service_name <> c.service_name"
        f" GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {values.add(DEPENDENCIES_MAX, 'bigint')}"
    )
