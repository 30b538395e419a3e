"""What a list of Jaeger's shows of each trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from collector.api.jaeger.mapping import NO_SERVICE, service_of
from collector.items import STATUS_ERROR
from collector.query.trace_types import StoredTraces, TraceSummary
from collector.restore.traces import parent_of, times_of
from collector.restore.values import load_raw
from collector.rows import Dimensions, SpanRow


class _Span(NamedTuple):
    """What counts here; ``parent`` is empty for a root."""

    service: str
    name: str
    span_id: bytes
    parent: bytes
    start_unix_nano: int
    end_unix_nano: int
    is_error: bool


def summaries_of(found: StoredTraces, known: Sequence[TraceSummary]) -> list[dict[str, Any]]:
    """Return a summary of each trace.

    ``known`` are all that the same search finds, where some of ``found`` are cut: these are told as
    they are known, and so is what was stored between the two questions.
    """
    if not found.cut:
        return [summary_of(rows, found.dimensions) for rows in found.rows.values()]
    return [
        brief_of(one)
        if one.trace_id in found.cut or one.trace_id not in found.rows
        else summary_of(found.rows[one.trace_id], found.dimensions)
        for one in known
    ]


def summary_of(rows: Sequence[tuple[Any, ...]], dimensions: Dimensions) -> dict[str, Any]:
    """Return what a list shows of a trace: its root, its time, its services; zeros are left out.

    The root is the earliest span without a parent; an orphan has a parent that is not there.

    Shape: tuples in ``SpanRow`` order, at least one.
    """
    spans = list(_spans_of(rows, dimensions))
    ids = {span.span_id for span in spans}
    services: dict[str, list[_Span]] = {}
    for span in spans:
        services.setdefault(span.service, []).append(span)
    roots = (span for span in spans if not any(span.parent))
    root = min(roots, key=lambda span: span.start_unix_nano, default=None)
    summary = {
        "traceId": SpanRow._make(rows[0]).trace_id.hex(),
        "rootServiceName": root.service if root else "",
        "rootOperationName": root.name if root else "",
        "minStartTimeUnixNano": str(min(span.start_unix_nano for span in spans)),
        "maxEndTimeUnixNano": str(max(span.end_unix_nano for span in spans)),
        "spanCount": len(spans),
        "errorSpanCount": _errors(spans),
        "orphanSpanCount": sum(any(span.parent) and span.parent not in ids for span in spans),
        "services": [
            _without_zeros({"name": name, "spanCount": len(own), "errorSpanCount": _errors(own)})
            for name, own in sorted(services.items())
        ],
    }
    return _without_zeros(summary)


def brief_of(known: TraceSummary) -> dict[str, Any]:
    """Return the same of a trace without its spans: orphans, and who has how many, are not known."""
    summary = {
        "traceId": known.trace_id.hex(),
        "rootServiceName": "" if known.root_name is None else known.root_service or NO_SERVICE,
        "rootOperationName": known.root_name or "",
        "minStartTimeUnixNano": str(known.start_unix_nano),
        "maxEndTimeUnixNano": str(known.end_unix_nano),
        "spanCount": known.span_count,
        "errorSpanCount": known.error_count,
        "services": [{"name": name or NO_SERVICE} for name in known.services],
    }
    return _without_zeros(summary)


def _spans_of(rows: Iterable[tuple[Any, ...]], dimensions: Dimensions) -> Iterator[_Span]:
    for row in map(SpanRow._make, rows):
        raw = load_raw(row.raw)
        yield _Span(
            service_of(dimensions.resources[row.resource_id]),
            row.name,
            row.span_id,
            parent_of(row, raw),
            *times_of(row, raw),
            row.status_code == STATUS_ERROR,
        )


def _errors(spans: Iterable[_Span]) -> int:
    return sum(span.is_error for span in spans)


def _without_zeros(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what proto3's JSON leaves out."""
    return {name: value for name, value in content.items() if value not in (0, "", "0")}
