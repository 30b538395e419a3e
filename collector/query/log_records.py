"""Log records as a reader gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from collector.items import SEVERITY_BY_NUMBER, JsonValue
from collector.query.log_sql import LogKey
from collector.query.page import Cursor
from collector.query.time_range import unix_ns


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A stored log record, whole.

    Attributes:
        key: names the record; ``LogRepository.context`` takes its ``place``.
        time_unix_nano: when it happened; else when it was observed, else when it was received.
        observed_time_unix_nano: when the collecting system saw it; None: not given.
        service: at most 255 characters of ``service.name``; None: its resource has none.
        severity_number: OTLP's; 0: not given.
        severity_text: as the source wrote it; None: empty.
        body: a text, or the stored form of another value; None: none.
        event_name: None: a plain record.
        trace_id: 16 bytes; None: none, or not valid.
        span_id: 8 bytes; None likewise.
        flags: W3C trace flags in bits 0-7.
        attributes: in their stored forms (``collector/items.py``).
        dropped_attributes_count: that the sender left out.
        resource: attributes of who emitted it, in the same forms.
        resource_id: of ``resources``.
        scope_name: instrumentation library; None: empty.
        scope_version: of the library; None: empty.
    """

    key: Cursor
    time_unix_nano: int
    observed_time_unix_nano: int | None
    service: str | None
    severity_number: int
    severity_text: str | None
    body: JsonValue
    event_name: str | None
    trace_id: bytes | None
    span_id: bytes | None
    flags: int
    attributes: Mapping[str, JsonValue]
    dropped_attributes_count: int
    resource: Mapping[str, JsonValue]
    resource_id: int
    scope_name: str | None
    scope_version: str | None

    @property
    def place(self) -> LogKey:
        """Its place in the order of all records."""
        return LogKey(*cast("tuple[int, int, int]", self.key.key))

    @property
    def severity(self) -> str | None:
        """Name of its level; None where the number has none."""
        return SEVERITY_BY_NUMBER.get(self.severity_number)


@dataclass(frozen=True, slots=True)
class LogContext:
    """A record and its neighbours; all of it is oldest first."""

    before: tuple[LogRecord, ...]
    record: LogRecord
    after: tuple[LogRecord, ...]


@dataclass(frozen=True, slots=True)
class SeverityStep:
    """How many records came in one step of time.

    Attributes:
        start_unix_nano: of the step.
        counts: by level, of those that came at all; ``UNSPECIFIED`` where the number has none.
    """

    start_unix_nano: int
    counts: Mapping[str, int]


def record_of(row: Any) -> LogRecord:
    """Return the record of a row of ``log_sql.find``."""
    observed = row["observed_time"]
    body = row["body_text"] if row["body"] is None else orjson.loads(row["body"])
    return LogRecord(
        key=Cursor((row["time"], row["place"], row["tie"])),
        time_unix_nano=unix_ns(row["time"], row["time_ns"]),
        observed_time_unix_nano=None if observed is None else unix_ns(observed, row["observed_ns"]),
        service=row["service_name"],
        severity_number=row["severity_number"],
        severity_text=row["severity_text"],
        body=body,
        event_name=row["event_name"],
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        flags=row["flags"],
        attributes=orjson.loads(row["attributes"]),
        dropped_attributes_count=row["dropped_attributes_count"] or 0,
        resource=orjson.loads(row["resource"] or "{}"),
        resource_id=row["resource_id"],
        scope_name=row["scope_name"],
        scope_version=row["scope_version"],
    )
