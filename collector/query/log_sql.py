"""SQL of the questions about log records.

Records have an order, newest or oldest first: by time, then by the nanoseconds below it (none given
comes before 0), then by ``tie``, a hash of the whole row, and last by what that does not tell apart.
No index begins with time; so records are asked for service by service through ``(service_name, time)``,
which gives each service's newest without reading more, and records of a trace through the index on
``trace_id``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from collector.items import SEVERITIES, SEVERITY_NUMBERS_PER_LEVEL
from collector.query.filters import Filter
from collector.query.sql import FROM, condition, of_each_service
from collector.query.statement import Parameters, Statement
from collector.query.steps import binned
from collector.query.terms import TraceTerm
from collector.query.time_range import TimeRange
from collector.rows import Signal

_COLUMNS = (
    "f.time, f.time_ns, f.observed_time, f.observed_ns, f.service_name, f.severity_number,"
    " f.severity_text, f.body_text, f.body, f.event_name, f.trace_id, f.span_id, f.flags,"
    " f.attributes, f.dropped_attributes_count, f.resource_id, f.scope_id"
)
_PLACE = "coalesce(f.time_ns, -1)"
_TIE = "hash_record_extended(f, 0)"
_ORDER = ("time", "place", "tie", "attributes", "body")
"""The last two are compared where all others are equal: PostgreSQL hashes 1 and -1 alike."""
_FROM = FROM[Signal.LOGS]

NO_LEVEL: Final = -1
_LEVEL = (
    f"CASE WHEN f.severity_number BETWEEN 1 AND {len(SEVERITIES) * SEVERITY_NUMBERS_PER_LEVEL}"
    f" THEN (f.severity_number - 1) / {SEVERITY_NUMBERS_PER_LEVEL} ELSE {NO_LEVEL} END"
)


class LogKey(NamedTuple):
    """What a record has its place in the order by; equal only for records that are, but for signs.

    PostgreSQL hashes 1 and -1 in JSON alike; such records have an order among themselves.

    Attributes:
        time: the column, in microseconds since 2000-01-01 UTC.
        place: nanoseconds below; -1 where the sender gave no time.
        tie: hash of the row.
    """

    time: int
    place: int
    tie: int


class Beside(NamedTuple):
    """Records of one service, and perhaps of one resource of it."""

    service: str | None
    resource_id: int | None


class Walk(NamedTuple):
    """Which records, and from where in which direction.

    Attributes:
        filter_: what is wanted.
        is_downward: from new to old.
        edge: begin with the records that have this key; None: at the end of the range.
        beside: only records of this service; None: of all.
    """

    filter_: Filter
    is_downward: bool
    edge: LogKey | None = None
    beside: Beside | None = None

    @property
    def has_trace(self) -> bool:
        """Whether the index on ``trace_id`` finds the records."""
        return any(isinstance(term, TraceTerm) for term in self.filter_.terms)


def find(walk: Walk, when: TimeRange, *, offset: int, limit: int) -> Statement:
    """Return the statement for the first records of a walk within a range.

    Shape: rows of ``_COLUMNS``, ``place``, ``tie``, ``resource`` (its attributes), ``scope_name``,
    ``scope_version``; in the order of the walk, at most ``limit`` after ``offset``.
    """
    values = Parameters(when.start, when.end, offset, limit)
    direction = "DESC" if walk.is_downward else "ASC"
    order = ", ".join(f"{name} {direction}" for name in _ORDER)
    found = _source(walk, values, f" ORDER BY {order} LIMIT $3::bigint + $4::bigint")
    return values.statement(
        "SELECT f.*, r.attributes AS resource, s.name AS scope_name, s.version AS scope_version"  # noqa: S608 -- our own text
        f" FROM ({found} ORDER BY {order} OFFSET $3::bigint LIMIT $4::bigint) AS f"
        " LEFT JOIN resources AS r ON r.resource_id = f.resource_id"
        " LEFT JOIN scopes AS s ON s.scope_id = f.scope_id"
        f" ORDER BY {order}"
    )


def twins(walk: Walk, key: LogKey) -> Statement:
    """Return the statement for how many records of a walk have a key: a row with ``twins``.

    The walk's own edge does not matter.
    """
    values = Parameters(key.time, key.time + 1)
    found = _source(walk._replace(edge=None), values, "")
    return values.statement(
        f"SELECT count(*) AS twins FROM ({found}) AS f"  # noqa: S608 -- our own text
        f" WHERE place = {values.add(key.place, 'integer')} AND tie = {values.add(key.tie, 'bigint')}"
    )


def _source(walk: Walk, values: Parameters, end: str) -> str:
    """Return the query for the records of a walk, each part of it with this end.

    The values of ``$1`` and ``$2`` are the bounds of time.
    """
    edge = _edge(walk, values)
    if walk.beside is not None:
        service = _being("f.service_name", walk.beside.service, "text", values)
        resource = (
            "true"
            if walk.beside.resource_id is None
            else _being("f.resource_id", walk.beside.resource_id, "bigint", values)
        )
        rest = condition(walk.filter_, Signal.LOGS, values)
        return f"SELECT n.* FROM ({_part(f'{service} AND {resource} AND {rest}', edge, end)}) AS n"  # noqa: S608 -- our own text
    if walk.has_trace:
        return f"SELECT n.* FROM ({_part(condition(walk.filter_, Signal.LOGS, values), edge, end)}) AS n"  # noqa: S608 -- as above
    return of_each_service(
        walk.filter_,
        values,
        rest=lambda left: condition(left, Signal.LOGS, values),
        some=lambda which: _part(which, edge, end),
    )


def _part(which: str, edge: str, end: str) -> str:
    return (
        f"SELECT {_COLUMNS}, {_PLACE} AS place, {_TIE} AS tie FROM {_FROM}"  # noqa: S608 -- our own text
        " WHERE f.time >= $1::timestamptz AND f.time < $2::timestamptz"
        f" AND {which}{edge}{end}"
    )


def _edge(walk: Walk, values: Parameters) -> str:
    """Return the condition to stand at the edge or beyond it; its time bounds the range already."""
    if walk.edge is None:
        return ""
    time = values.add(walk.edge.time, "timestamptz")
    place, tie = values.add(walk.edge.place, "integer"), values.add(walk.edge.tie, "bigint")
    beyond = "<" if walk.is_downward else ">"
    return (
        f" AND (f.time {beyond} {time}"
        f" OR {_PLACE} {beyond} {place} OR ({_PLACE} = {place} AND {_TIE} {beyond}= {tie}))"
    )


def _being(column: str, value: str | int | None, type_: str, values: Parameters) -> str:
    return f"{column} IS NULL" if value is None else f"{column} = {values.add(value, type_)}"


def count(when: TimeRange, filter_: Filter, most: int) -> Statement:
    """Return the statement for how many records match, or ``most`` if they are more: ``records``."""
    values = Parameters(when.start, when.end, most)
    return values.statement(
        f"SELECT count(*) AS records FROM ({_matching(filter_, values)} LIMIT $3::bigint) AS f"  # noqa: S608 -- our own text
    )


def estimate(when: TimeRange, filter_: Filter) -> Statement:
    """Return the statement for PostgreSQL's plan, whose estimate of rows is how many match."""
    values = Parameters(when.start, when.end)
    return values.statement(f"EXPLAIN (FORMAT JSON) {_matching(filter_, values)}")


def _matching(filter_: Filter, values: Parameters) -> str:
    return (
        f"SELECT 1 FROM {_FROM} WHERE f.time >= $1::timestamptz"  # noqa: S608 -- our own text
        f" AND f.time < $2::timestamptz AND {condition(filter_, Signal.LOGS, values)}"
    )


def histogram(when: TimeRange, step_us: int, filter_: Filter) -> Statement:
    """Return the statement for how many records of each level there are in each step.

    Shape: rows of ``step`` (its start), ``level`` (place in ``SEVERITIES``, or ``NO_LEVEL``) and
    ``records``; by both.
    """
    values = Parameters(when.start, when.end, step_us)
    return values.statement(
        f"SELECT {binned('f.time', '$3::bigint')} AS step,"  # noqa: S608 -- our own text
        f" {_LEVEL} AS level, count(*) AS records FROM {_FROM}"
        " WHERE f.time >= $1::timestamptz AND f.time < $2::timestamptz"
        f" AND {condition(filter_, Signal.LOGS, values)} GROUP BY 1, 2 ORDER BY 1, 2"
    )
