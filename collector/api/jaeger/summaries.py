"""What a list of Jaeger's shows of each trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.api.jaeger.mapping import NO_SERVICE, service_of
from collector.api.jaeger.stored import Trace, Traces
from collector.query.trace_types import TraceSummary


def summaries_of(found: Traces, known: Sequence[TraceSummary]) -> list[dict[str, Any]]:
    """Return a summary of each trace.

    ``known`` are all that the same search finds, where some of ``found`` are cut: these are told as
    they are known, and so is what was stored between the two questions.
    """
    if not found.cut:
        return [summary_of(trace) for trace in found.traces]
    whole = {trace.trace_id: trace for trace in found.traces if trace.trace_id not in found.cut}
    return [
        summary_of(whole[one.trace_id]) if one.trace_id in whole else brief_of(one) for one in known
    ]


def summary_of(trace: Trace) -> dict[str, Any]:
    """Return what a list shows of a trace: its root, its time, its services; zeros are left out.

    The root is the earliest span without a parent; an orphan has a parent that is not there.
    """
    spans = list(_spans_of(trace))
    ids = {span.span_id for _, span in spans}
    services: dict[str, list[Span]] = {}
    for service, span in spans:
        services.setdefault(service, []).append(span)
    roots = [(span.start_time_unix_nano, n) for n, (_, span) in enumerate(spans) if not any(span.parent_span_id)]  # fmt: skip
    root = spans[min(roots)[1]] if roots else ("", Span())
    everything = [span for _, span in spans]
    summary = {
        "traceId": trace.trace_id.hex(),
        "rootServiceName": root[0],
        "rootOperationName": root[1].name,
        "minStartTimeUnixNano": str(min(span.start_time_unix_nano for span in everything)),
        "maxEndTimeUnixNano": str(max(span.end_time_unix_nano for span in everything)),
        "spanCount": len(spans),
        "errorSpanCount": _errors(everything),
        "orphanSpanCount": sum(
            any(span.parent_span_id) and span.parent_span_id not in ids for span in everything
        ),
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


def _spans_of(trace: Trace) -> Iterable[tuple[str, Span]]:
    for group in trace.groups:
        service = service_of(group.resource)
        for scoped in group.scope_spans:
            for span in scoped.spans:
                yield service, span


def _errors(spans: Iterable[Span]) -> int:
    return sum(span.status.code == Status.STATUS_CODE_ERROR for span in spans)


def _without_zeros(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what proto3's JSON leaves out."""
    return {name: value for name, value in content.items() if value not in (0, "", "0")}
