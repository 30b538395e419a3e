"""What is asked of a span, or of one span of a trace; and the walk along those that have it.

The newest spans of a service come out of ``(service_name, start_time)``, backwards; without a
service each one's are asked for, as in ``recent``. Spans of known traces come by ``trace_id``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from collector.query.filters import Filter
from collector.query.sql import FROM, condition, of_each_service
from collector.query.statement import Parameters, Statement
from collector.query.terms import TraceTerm, stored_key
from collector.query.texts import text_of
from collector.query.time_range import TimeRange
from collector.rows import SERVICE_NAME_CHARACTERS_MAX, Signal

SPAN_BYTES: Final = (
    "octet_length(concat(f.name, f.status_message, f.trace_state, f.attributes, f.events, f.links, f.raw))"
    " + coalesce((SELECT octet_length(concat(r.attributes, r.entity_refs, r.raw)) FROM resources AS r"
    " WHERE r.resource_id = f.resource_id), 0)"
    " + coalesce((SELECT octet_length(concat(s.name, s.version, s.attributes, s.raw)) FROM scopes AS s"
    " WHERE s.scope_id = f.scope_id), 0)"
)
"""How large a span ``f`` is together with its resource and scope, which are told with each one.

Ids, times and numbers do not count: their text would take as long to make as all the rest.
"""


@dataclass(frozen=True, slots=True)
class TraceQuestion:
    """What one span has; whatever is None or empty is not asked for.

    Attributes:
        filter: its every term holds for the span.
        service: exactly; the first 255 characters count.
        operation: name of the span, exactly.
        duration_ns_min: a span without a known duration is neither long nor short enough.
        duration_ns_max: likewise.
        attributes: text by key; the span, its resource or one of its events has each. Numbers and
            truth values are compared by their text.
        status_code: OTLP's number.
        other_than_status_code: OTLP's number.
        kind: OTLP's number.

    Raises:
        BadParameterError: no stored text can be one of the texts.
    """

    filter: Filter = field(default_factory=Filter)
    service: str | None = None
    operation: str | None = None
    duration_ns_min: int | None = None
    duration_ns_max: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    status_code: int | None = None
    other_than_status_code: int | None = None
    kind: int | None = None

    def __post_init__(self) -> None:
        text_of("service", self.service or "")
        text_of("operation", self.operation or "")
        for key, text in self.attributes.items():
            text_of("attributes", key)
            text_of("attributes", text)

    @property
    def has_index(self) -> bool:
        """Whether an index knows the spans without being asked service by service."""
        return self.service is not None or any(isinstance(t, TraceTerm) for t in self.filter.terms)


class Key(NamedTuple):
    """A part of what spans are ordered by: SQL about ``f``, its name in the answer, its type."""

    expression: str
    name: str
    type: str


class Walk(NamedTuple):
    """Along which spans, and from where in which direction.

    Attributes:
        keys: the order; ``start_time`` first.
        columns: of the answer, behind the keys: SQL about ``f``.
        source: ``trace_spans AS f``, and what it is joined with.
        edge: begin behind this key; None: at the end of the range.
        is_backward: from old to new.
        event_name: of events ``e`` in the source; None for any.
    """

    keys: Sequence[Key]
    columns: Sequence[str] = ()
    source: str = FROM[Signal.TRACES]
    edge: Sequence[Any] | None = None
    is_backward: bool = False
    event_name: str | None = None


def walk_statement(walk: Walk, when: TimeRange, wanted: TraceQuestion, limit: int) -> Statement:
    """Return the statement for the next matching spans of a walk, at most ``limit``.

    Shape: rows of the keys and the columns, in the order of the walk.
    """
    values = Parameters()
    ways = between(when, values)
    if walk.edge is not None:
        ways += f" AND {_beyond(walk, values)}"
    if walk.event_name is not None:
        ways += f" AND e.event ->> 'name' = {values.add(walk.event_name, 'text')}"
    down = "ASC" if walk.is_backward else "DESC"
    order = ", ".join(f"{key.name} {down}" for key in walk.keys)
    end = f"ORDER BY {order} LIMIT {values.add(limit, 'bigint')}"
    columns = (*(_named(key) for key in walk.keys), *walk.columns)

    def newest(which: str) -> str:
        return f"SELECT {', '.join(columns)} FROM {walk.source} WHERE {ways} AND {which} {end}"  # noqa: S608 -- placeholders

    if wanted.has_index:
        return values.statement(newest(matching(wanted, wanted.filter, values)))
    spans = of_each_service(
        wanted.filter, values, rest=lambda left: matching(wanted, left, values), some=newest
    )
    return values.statement(f"SELECT * FROM ({spans}) AS n {end}")  # noqa: S608 -- as above


def between(when: TimeRange, values: Parameters) -> str:
    """Return the condition that a span starts in a range."""
    start, end = (values.add(time, "timestamptz") for time in when)
    return f"f.start_time >= {start} AND f.start_time < {end}"


def matching(wanted: TraceQuestion, filter_: Filter, values: Parameters) -> str:
    """Return the condition that a matching span fulfils, given what is left of its filter."""
    conditions = [condition(filter_, Signal.TRACES, values)]
    for column, operator, value, type_ in (
        (
            "service_name",
            "=",
            wanted.service and wanted.service[:SERVICE_NAME_CHARACTERS_MAX],
            "text",
        ),
        ("name", "=", wanted.operation, "text"),
        ("duration_ns", ">=", wanted.duration_ns_min, "bigint"),
        ("duration_ns", "<=", wanted.duration_ns_max, "bigint"),
        ("status_code", "=", wanted.status_code, "integer"),
        ("status_code", "<>", wanted.other_than_status_code, "integer"),
        ("kind", "=", wanted.kind, "integer"),
    ):
        if value is not None:
            conditions.append(f"f.{column} {operator} {values.add(value, type_)}")
    for key, text in wanted.attributes.items():
        name, value = values.add(stored_key(key), "text"), values.add(text, "text")
        conditions.append(
            f"(f.attributes ->> {name} = {value}"  # noqa: S608 -- placeholders
            " OR f.resource_id IN (SELECT r.resource_id FROM resources AS r"
            f" WHERE r.attributes ->> {name} = {value})"
            " OR f.events IS NOT NULL AND EXISTS (SELECT FROM jsonb_array_elements(f.events) AS a (event)"
            f" WHERE a.event -> 'attributes' ->> {name} = {value}))"
        )
    return " AND ".join(conditions)


def _beyond(walk: Walk, values: Parameters) -> str:
    """Return the condition that a span lies behind the edge; its first part is for the index."""
    assert walk.edge is not None
    sign = ">" if walk.is_backward else "<"
    at = [values.add(value, key.type) for key, value in zip(walk.keys, walk.edge, strict=True)]
    row = ", ".join(key.expression for key in walk.keys)
    return f"f.start_time {sign}= {at[0]} AND ({row}) {sign} ({', '.join(at)})"


def _named(key: Key) -> str:
    return (
        key.expression if key.expression == f"f.{key.name}" else f"{key.expression} AS {key.name}"
    )
