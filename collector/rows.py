"""A NamedTuple per table: its field order IS the COPY column order, its names are the columns.

Hot code builds plain tuples in this order (0.11 us against 0.53 us for a NamedTuple with 23
fields); ``tests/db/test_rows.py`` checks order, names and types against the migrated schema.

Forms of the values, in every row:

- ``*_time`` and ``time``: integer microseconds since 2000-01-01 UTC (PostgreSQL's epoch), written
  through a tuple codec; ``*_ns``: the 0-999 nanoseconds below. ``None`` in a ``*_ns`` column means
  that the sender gave 0, that is "no time", for it. Only the partition key of a row is clamped
  (its ``*_ns`` is then 0 and ``raw`` holds the integer); every other time is kept as sent, since
  any 64 bits of nanoseconds fit a timestamptz.
- ids of traces and spans: 16 and 8 raw bytes. Ids of dimensions: signed 64-bit integers.
- ``attributes`` and every other jsonb column: JSON *text*, in the forms of ``convert/values.py``;
  an attribute map without entries is ``"{}"``.
- optional text is ``None`` when the sender's string was empty (but ``body_text`` is ``""`` then);
  dropped counts are ``None`` when 0.
- ``events``, ``links``, ``exemplars``, ``quantiles``, ``entity_refs``: ``None`` when empty, else a
  JSON array in the sent order of objects with OTLP's own field names (``time_unix_nano``,
  ``trace_id``, ``attributes`` ...). A field with its default value is absent, except that a
  quantile always has ``quantile`` and ``value``, and an exemplar has ``as_double`` or ``as_int``
  exactly when the sender set it. Ids in them are hex, of whatever length was sent, times are the
  sent integers, and doubles and attributes have the forms of ``convert/values.py``.
- ``count``, ``zero_count``, ``scale``, ``zero_threshold`` and the sum of a summary are never ``None``
  for a metric type that has them (unless ``raw`` holds the number); ``positive_offset`` and
  ``negative_offset`` are ``None`` when the sender gave no such buckets at all; an empty list of
  counts or bounds is ``None``.
- ``raw``: JSON text, or ``None``. Holds what the columns cannot, under the item's own protobuf
  field names, as the sender gave it:

  - integers (``start_time_unix_nano``, ``count`` ...) that were clamped or do not fit a bigint;
    ``bucket_counts``, ``positive_bucket_counts``, ``negative_bucket_counts``: whole lists of them;
  - ids that are not valid, as hex: ``trace_id``, ``span_id``, ``parent_span_id``;
  - an attribute list with a duplicate key at any depth, in *list form*, under the field's name
    (``attributes``, ``metadata``, ``body``): ``[[key, value], ..]`` in the sent order, in which a
    nested kvlist is ``{"$kvlist": [[key, value], ..]}``; a body is one value in list form. Keys
    in list form are as sent: a leading ``$`` is not doubled there;
  - ``events``, ``links``, ``exemplars``: when one entry holds a duplicate key, the *whole* array
    once more, with each entry's attributes in list form;
  - ``end_time_unix_nano`` of a span whenever ``duration_ns`` is ``None``, 0 included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

PG_EPOCH_UNIX_US = 946_684_800_000_000
"""Microseconds from 1970-01-01 to 2000-01-01, both UTC."""
SERVICE_NAME_CHARACTERS_MAX = 255
"""Of ``service.name`` in every column of that name; the whole is in the resource's attributes."""


class Signal(StrEnum):
    """What a request carries; each has its own queue, flushers and fact table."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class SpanRow(NamedTuple):
    """One row of ``trace_spans``."""

    start_time: int
    start_ns: int | None
    duration_ns: int | None  # None: start or end is 0, or end before start; raw holds the end
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    name: str
    kind: int
    service_name: str | None  # the beginning of a long one
    status_code: int
    status_message: str | None
    trace_state: str | None
    flags: int
    attributes: str
    events: str | None
    links: str | None
    dropped_attributes_count: int | None
    dropped_events_count: int | None
    dropped_links_count: int | None
    resource_id: int
    scope_id: int
    raw: str | None


class LogRow(NamedTuple):
    """One row of ``logs``; ``time`` falls back to the observed, then to the receive time."""

    time: int
    time_ns: int | None
    observed_time: int | None
    observed_ns: int | None
    service_name: str | None
    severity_number: int
    severity_text: str | None
    body_text: str | None  # a string body; exclusive with body
    body: str | None  # JSON text of any other body; both None: no body
    event_name: str | None
    trace_id: bytes | None
    span_id: bytes | None
    flags: int
    attributes: str
    dropped_attributes_count: int | None
    resource_id: int
    scope_id: int
    raw: str | None


class PointRow(NamedTuple):
    """One row of ``metric_data_points``, of any metric type."""

    series_id: int
    time: int
    time_ns: int | None
    start_time: int | None
    start_ns: int | None
    value: float | None
    value_int: int | None
    flags: int
    count: int | None  # pyright: ignore[reportIncompatibleMethodOverride] -- the column
    sum: float | None
    min: float | None
    max: float | None
    bucket_counts: list[int] | None
    explicit_bounds: list[float] | None
    scale: int | None
    zero_count: int | None
    zero_threshold: float | None
    positive_offset: int | None
    positive_bucket_counts: list[int] | None
    negative_offset: int | None
    negative_bucket_counts: list[int] | None
    quantiles: str | None
    exemplars: str | None
    raw: str | None


class ResourceRow(NamedTuple):
    """One row of ``resources``: who emitted."""

    resource_id: int
    service_name: str | None
    service_namespace: str | None
    service_instance_id: str | None
    attributes: str
    schema_url: str | None
    dropped_attributes_count: int | None
    entity_refs: str | None
    raw: str | None
    digest: bytes


class ScopeRow(NamedTuple):
    """One row of ``scopes``: which instrumentation library."""

    scope_id: int
    name: str | None
    version: str | None
    attributes: str
    schema_url: str | None
    dropped_attributes_count: int | None
    raw: str | None
    digest: bytes


class MetricRow(NamedTuple):
    """One row of ``metrics``; ``type`` is the name of the oneof field, ``sum`` for one."""

    metric_id: int
    name: str
    description: str | None
    unit: str | None
    type: str
    temporality: int | None  # None where the type has none (gauge, summary)
    monotonic: bool | None  # None where the type has none (all but sum)
    metadata: str
    raw: str | None
    digest: bytes


class SeriesRow(NamedTuple):
    """One row of ``metric_series``: a metric of one resource and scope with one attribute set."""

    series_id: int
    metric_id: int
    resource_id: int
    scope_id: int
    service_name: str | None
    attributes: str
    raw: str | None
    digest: bytes


class TraceRow(NamedTuple):
    """What one batch adds to a row of ``traces``; key (trace_id, day)."""

    trace_id: bytes
    day: date
    start_time: int
    end_time: int
    span_count: int
    error_count: int
    root_service: str | None
    root_name: str | None
    root_status_code: int | None
    root_duration_ns: int | None
    services: list[str]


class DeadLetterRow(NamedTuple):
    """One row of ``dead_letters``; bytes and ASCII only, so that its insert can never fail."""

    signal: str
    received_at: int
    reason: str  # a short code of ours, never a sender's text
    outcome: str  # "repaired", "quarantined" or "rejected"
    payload: bytes  # a one-item OTLP request; the whole body when rejected; very many bad items of
    # one request share the last letter, so that their common resource is not kept once per item
    attempts: int = 0  # replays that have not stored it


class Reason(StrEnum):
    """Why an item was repaired, quarantined or rejected; the values are metric labels."""

    NUL = "nul"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_TRACE_ID = "invalid_trace_id"
    INVALID_SPAN_ID = "invalid_span_id"
    UNDECODABLE = "undecodable"
    TOO_DEEP = "too_deep"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_LARGE = "too_large"
    ID_COLLISION = "id_collision"
    REFUSED_BY_POSTGRES = "refused_by_postgres"
    WRONG_SIGNAL = "wrong_signal"


FACT_TABLES: dict[Signal, str] = {
    Signal.TRACES: "trace_spans",
    Signal.METRICS: "metric_data_points",
    Signal.LOGS: "logs",
}
FACT_COLUMNS: dict[Signal, tuple[str, ...]] = {
    Signal.TRACES: SpanRow._fields,
    Signal.METRICS: PointRow._fields,
    Signal.LOGS: LogRow._fields,
}
TIME_INDEX: dict[Signal, int] = {
    Signal.TRACES: SpanRow._fields.index("start_time"),
    Signal.METRICS: PointRow._fields.index("time"),
    Signal.LOGS: LogRow._fields.index("time"),
}
"""Where the partition key stands in a fact row."""

RESOURCE_AND_SCOPE_INDEX: dict[Signal, tuple[int, int]] = {
    signal: (fields.index("resource_id"), fields.index("scope_id"))
    for signal, fields in FACT_COLUMNS.items()
    if signal is not Signal.METRICS
}
"""Where a fact row refers to its resource and scope; a data point does it through its series."""

SERIES_INDEX = PointRow._fields.index("series_id")
"""Where a data point refers to its series."""


class Dimensions(NamedTuple):
    """The dimension rows that a request refers to, by id. Shared, never changed, by its readers."""

    resources: dict[int, ResourceRow]
    scopes: dict[int, ScopeRow]
    metrics: dict[int, MetricRow]
    series: dict[int, SeriesRow]


@dataclass(slots=True)
class ConvertedRequest:
    """All that one export request became: what the buffer holds and one transaction writes.

    ``rows[i]`` came from the item number ``item_indexes[i]`` of ``payload``, counted in the order
    of the wire; ``item_indexes`` is None when that is ``i`` itself. ``payload`` is kept so that an
    item can still be quarantined with its original bytes after PostgreSQL refused its row; the
    letters of such items are the last ``moved_letters`` of ``dead_letters``.
    """

    signal: Signal
    digest: bytes  # 16 bytes, see convert/identity.py
    day: date  # the ledger's day: UTC date of the largest event time
    in_ledger: bool  # False: no entropy, so equal bytes are not a retry
    received_at: int  # microseconds since 2000-01-01
    items: int
    rows: list[tuple[Any, ...]]
    item_indexes: list[int] | None
    dimensions: Dimensions
    payload: bytes
    size_bytes: int  # estimate of what this object holds in memory
    time_min: int  # smallest and largest partition key in rows; 0, 0 without rows
    time_max: int
    dead_letters: list[DeadLetterRow] = field(default_factory=list[DeadLetterRow])
    repaired: int = 0  # items stored after a repair; they count as stored
    quarantined: int = 0
    rejected: int = 0
    wrong_signal: bool = False  # answer INVALID_ARGUMENT once the bytes are kept
    moved: dict[int, Reason] = field(default_factory=dict[int, Reason])  # reason by item number
    moved_letters: int = 0
    attempts: int = 0  # of the dead letter that it was made of, with this one; 0: it was received
