"""The statements of ``span_repository``.

Spans have an order, newest first: by start to the microsecond, by ids, and by a hash of the whole row,
since a span may have been stored twice. Those that are equal in every column, but for the sign of
numbers in JSON, which PostgreSQL does not hash, have one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from collector.query.sql import FROM
from collector.query.statement import Parameters, Statement
from collector.query.time_range import TimeRange
from collector.query.trace_question import (
    Key,
    TraceQuestion,
    Walk,
    between,
    matching,
    walk_statement,
)
from collector.rows import PG_EPOCH_UNIX_US, Signal, SpanRow

TEXT_CHARACTERS: Final = 1_024
"""Of the type and the message of an exception by which they are told apart."""

SPAN_KEYS: Final = (
    Key("f.start_time", "start_time", "timestamptz"),
    Key("f.trace_id", "trace_id", "bytea"),
    Key("f.span_id", "span_id", "bytea"),
    Key("hash_record_extended(f, 0)", "tie", "bigint"),
)
EVENT_KEYS: Final = (
    *SPAN_KEYS[:-1],
    Key("h.tie", "tie", "bigint"),
    Key("e.place", "place", "bigint"),
)

_EACH_EVENT: Final = (
    " CROSS JOIN LATERAL jsonb_array_elements(f.events) WITH ORDINALITY AS e (event, place)"
)
_EVENTS: Final = f"{FROM[Signal.TRACES]}{_EACH_EVENT}"
_EVENTS_WITH_TIE: Final = (
    f"{FROM[Signal.TRACES]}"
    f" CROSS JOIN LATERAL (SELECT {SPAN_KEYS[-1].expression} AS tie OFFSET 0) AS h{_EACH_EVENT}"
)
"""``OFFSET`` keeps it a query of its own: the hash, of all events, is made of each span once and not of
each event, which took more than 10 s for a span of 10,000."""
_KEY_NAMES: Final = frozenset(key.name for key in SPAN_KEYS)
_COLUMNS: Final = tuple(f"f.{name}" for name in SpanRow._fields if name not in _KEY_NAMES)


def spans(
    when: TimeRange,
    wanted: TraceQuestion,
    edge: Sequence[Any] | None,
    *,
    is_backward: bool,
    limit: int,
) -> Statement:
    """Return the statement for the next matching spans from an edge on.

    Shape: rows of ``SPAN_KEYS`` and all of ``SpanRow``, newest first unless ``is_backward``.
    """
    walk = Walk(SPAN_KEYS, _COLUMNS, edge=edge, is_backward=is_backward)
    return walk_statement(walk, when, wanted, limit)


def events(
    when: TimeRange,
    wanted: TraceQuestion,
    name: str | None,
    edge: Sequence[Any] | None,
    *,
    is_backward: bool,
    limit: int,
) -> Statement:
    """Return the statement for the next events of matching spans from an edge on.

    Shape: rows of ``EVENT_KEYS``, ``service_name``, ``name`` (the span's) and ``event``.
    """
    walk = Walk(
        EVENT_KEYS, ("f.service_name", "f.name", "e.event"), _EVENTS_WITH_TIE,
        edge=edge, is_backward=is_backward, event_name=name,
    )  # fmt: skip
    return walk_statement(walk, when, wanted, limit)


def exceptions(when: TimeRange, wanted: TraceQuestion, limit: int) -> Statement:
    """Return the statement for the exceptions of matching spans, the most frequent first.

    Shape: rows of ``service``, ``type``, ``message``, ``count``, ``first``, ``last`` and ``trace_id``,
    that of the newest span with such an exception.
    """
    values = Parameters()
    ways = f"{between(when, values)} AND {matching(wanted, wanted.filter, values)}"
    characters = values.add(TEXT_CHARACTERS, "integer")
    started = (
        f"extract(epoch FROM f.start_time - to_timestamp({PG_EPOCH_UNIX_US // 10**6})) * 1000000000"
        f" + {PG_EPOCH_UNIX_US * 1_000} + coalesce(f.start_ns, 0)"
    )
    found = (
        "SELECT f.service_name AS service,"  # noqa: S608 -- placeholders
        f" left(e.event -> 'attributes' ->> 'exception.type', {characters}) AS type,"
        f" left(e.event -> 'attributes' ->> 'exception.message', {characters}) AS message,"
        f" coalesce((e.event ->> 'time_unix_nano')::numeric, {started}) AS time,"
        f" ARRAY[timestamptz_send(f.start_time), f.trace_id] AS place FROM {_EVENTS}"
        f' WHERE {ways} AND f.events @> \'[{{"name": "exception"}}]\''
        " AND e.event ->> 'name' = 'exception'"
    )
    return values.statement(
        "SELECT x.service, x.type, x.message, count(*) AS count, min(x.time) AS first,"  # noqa: S608
        " max(x.time) AS last, (max(x.place))[2] AS trace_id"
        f" FROM ({found}) AS x GROUP BY x.service, x.type, x.message"
        ' ORDER BY count(*) DESC, max(x.time) DESC, x.service COLLATE "C", x.type COLLATE "C",'
        f' x.message COLLATE "C" LIMIT {values.add(limit, "bigint")}'
    )
