"""The display item: one committed span, data point or log record, as those who watch get it.

A live tail, a stored look-back, the API and the CLI all speak of the same JSON object; here are its
fields and the names in it, and no logic. A field that is not given is absent, never ``null``.

Forms of the values:

- ``time``: RFC 3339 in UTC with nine digits of fraction and ``Z``; the partition key of the row, so
  a span's start, and the receive time where a sender's was absent or absurd.
- ``attributes``, ``resource`` and a ``body`` that is no text: the stored forms of
  ``convert/values.py``, decoded: a double that JSON lacks is ``{"$double": "NaN"}``, bytes are
  ``{"$bytes": "<base64>"}``, and a key of the sender's that starts with ``$`` has it doubled.
  ``attributes`` and ``resource`` are absent when empty.
- ids: lower-case hex.
- ``cut``: true where a text was shortened to ``TEXT_CHARACTERS_MAX``, or where the largest members
  of more than ``ATTRIBUTES_CHARACTERS_MAX`` of attributes were left out, of the item or its resource;
  absent otherwise. A body that is no text and too long becomes the beginning of its text as
  PostgreSQL writes it. Spec: ``query/cutting.py``.
- ``value``, ``sum``, ``min``, ``max``: as a double among attributes.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, Required, TypeAlias, TypedDict

JsonValue: TypeAlias = Any
"""Whatever JSON can hold, as ``orjson.loads`` gives it."""

TEXT_CHARACTERS_MAX = 4_096
"""Of a text in an item: a thousand items are for a screen, not for keeping."""

ATTRIBUTES_CHARACTERS_MAX = 8_192
"""Of the attributes of an item or of a resource, as PostgreSQL writes their jsonb."""

SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""The six levels; each has ``SEVERITY_NUMBERS_PER_LEVEL`` numbers, the first from 1 on."""

SEVERITY_NUMBERS_PER_LEVEL = 4

SEVERITY_BY_NUMBER: dict[int, str] = {
    place * SEVERITY_NUMBERS_PER_LEVEL + step: name
    for place, name in enumerate(SEVERITIES)
    for step in range(1, SEVERITY_NUMBERS_PER_LEVEL + 1)
}
"""Level by severity number, 1 to 24; other numbers have none.

Spec: opentelemetry-proto logs/v1/logs.proto, enum SeverityNumber.
"""

KIND_BY_NUMBER: dict[int, str] = {
    1: "internal",
    2: "server",
    3: "client",
    4: "producer",
    5: "consumer",
}
"""Name of a span's kind; 0, "unspecified", and numbers that OTLP does not know have none.

Spec: opentelemetry-proto trace/v1/trace.proto, enum Span.SpanKind.
"""

NUMBER_BY_KIND: dict[str, int] = {name: number for number, name in KIND_BY_NUMBER.items()}

STATUS_OK, STATUS_ERROR = 1, 2
STATUS_BY_CODE: dict[int, str] = {0: "unset", STATUS_OK: "ok", STATUS_ERROR: "error"}
"""Name of a span's status; another code is shown as the text of its number.

Spec: opentelemetry-proto trace/v1/trace.proto, enum Status.StatusCode.
"""

CODE_BY_STATUS: dict[str, int] = {name: code for code, name in STATUS_BY_CODE.items()}

METRIC_TYPES = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
"""Names of OTLP's metric types, as in ``metrics.type``."""


class _AnyItem(TypedDict):
    """What items of every signal have."""

    time: Required[str]
    service: NotRequired[str]  # at most 255 characters; absent when unknown
    attributes: NotRequired[dict[str, JsonValue]]
    resource: NotRequired[dict[str, JsonValue]]
    cut: NotRequired[bool]


class SpanItem(_AnyItem):
    """A span."""

    signal: Literal["traces"]
    name: str
    kind: NotRequired[str]  # of KIND_BY_NUMBER
    status: str  # of STATUS_BY_CODE, or the text of another number
    status_message: NotRequired[str]
    trace_id: str
    span_id: str
    parent_span_id: NotRequired[str]  # absent: a root span
    duration_ns: NotRequired[int]  # absent when unknown


class PointItem(_AnyItem):
    """A data point; ``value`` for gauges and sums, the four others for the other types."""

    signal: Literal["metrics"]
    metric: str
    type: str  # of METRIC_TYPES
    unit: NotRequired[str]
    value: NotRequired[JsonValue]  # int, float or {"$double": ..}
    count: NotRequired[int]
    sum: NotRequired[JsonValue]
    min: NotRequired[JsonValue]
    max: NotRequired[JsonValue]


class LogItem(_AnyItem):
    """A log record."""

    signal: Literal["logs"]
    severity: NotRequired[str]  # of SEVERITY_BY_NUMBER
    severity_number: NotRequired[int]  # absent for 0
    severity_text: NotRequired[str]
    body: NotRequired[JsonValue]  # a text, or any other JSON
    event: NotRequired[str]
    trace_id: NotRequired[str]
    span_id: NotRequired[str]


Item: TypeAlias = SpanItem | PointItem | LogItem
