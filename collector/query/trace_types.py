"""Traces as a reader gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from collector.query.spans import Span
from collector.rows import Dimensions


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace, in a line.

    Attributes:
        end_unix_nano: to the microsecond, as the start.
        duration_ns: from its first start to its last end.
        root_name: None: the root span has not come; then the other ``root_*`` are None, too.
        services: of its spans, at most as many as otlpg keeps, sorted.
    """

    trace_id: bytes
    start_unix_nano: int
    end_unix_nano: int
    duration_ns: int
    span_count: int
    error_count: int
    root_service: str | None
    root_name: str | None
    root_status_code: int | None
    root_duration_ns: int | None
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of a trace, by start. ``is_whole``: these are all that were ever stored."""

    trace_id: bytes
    spans: tuple[Span, ...]
    is_whole: bool


class StoredTraces(NamedTuple):
    """Some traces as they were stored, for ``restore`` to turn into OTLP.

    Attributes:
        rows: by trace, in ``SpanRow`` order and by start; the traces in the order asked for.
        dimensions: what the rows refer to.
        cut: those of the traces that were asked for of which spans are stored, or once were, that
            are not among the rows; some of them may lack all rows.
        is_too_large: there are more rows that were asked for, and had no room.
    """

    rows: Mapping[bytes, list[tuple[Any, ...]]]
    dimensions: Dimensions
    cut: frozenset[bytes]
    is_too_large: bool

    @property
    def is_whole(self) -> bool:
        """Whether no trace is cut."""
        return not self.cut


@dataclass(frozen=True, slots=True)
class Dependency:
    """How often spans of ``parent`` had a child in another service, and how many of them failed."""

    parent: str
    child: str
    calls: int
    errors: int
