"""OTLP's spans as Jaeger shows them.

Spec: opentelemetry-collector-contrib pkg/translator/jaeger for what becomes a tag, a log or a
reference, and Jaeger's own JSON for how they are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from collector.api.jaeger.tags import Tag, tags_of, text_tag

NO_SERVICE: Final = "unknown_service"
"""Shown for a resource without a name, as SDKs call one."""

KINDS: Final[dict[int, str]] = {
    Span.SPAN_KIND_INTERNAL: "internal",
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}
"""How Jaeger calls OTLP's kinds; it has no word for unspecified."""

_SERVICE: Final = "service.name"
_REFERENCE: Final = "opentracing.ref_type"
_NEGATIVE: Final = "the end is before the start; the duration is shown as 0"
_UNENDED: Final = "the sender gave no end; the duration is shown as 0"


class Reference(TypedDict):
    """From a span to its parent, or to one that it is linked with."""

    refType: str
    traceID: str
    spanID: str


class Log(TypedDict):
    """An event of a span; ``timestamp`` in microseconds since 1970."""

    timestamp: int
    fields: list[Tag]


class JaegerSpan(TypedDict):
    """A span; times in microseconds."""

    traceID: str
    spanID: str
    operationName: str
    references: list[Reference]
    startTime: int
    duration: int
    tags: list[Tag]
    logs: list[Log]
    processID: str
    warnings: list[str] | None


class Process(TypedDict):
    """A resource."""

    serviceName: str
    tags: list[Tag]


class JaegerTrace(TypedDict):
    """A trace; the spans name their process by its key."""

    traceID: str
    spans: list[JaegerSpan]
    processes: dict[str, Process]
    warnings: list[str] | None


def trace_of(groups: Iterable[ResourceSpans], warnings: Iterable[str] = ()) -> JaegerTrace:
    """Return the spans of one trace.

    Shape: spans in the order in which they come; one process for each distinct resource. Without
    any span the trace has no id.
    """
    spans: list[JaegerSpan] = []
    processes = _Processes()
    for group in groups:
        process = processes.key_of(group.resource)
        for scoped in group.scope_spans:
            spans.extend(_span(span, scoped.scope, process) for span in scoped.spans)
    return {
        "traceID": spans[0]["traceID"] if spans else "",
        "spans": spans,
        "processes": processes.by_key,
        "warnings": list(warnings) or None,
    }


def trace_id_text(trace_id: bytes) -> str:
    """Return how Jaeger writes a trace id: one whose first half is zero has 16 digits."""
    text = trace_id.hex()
    return text[16:] if text.startswith("0" * 16) else text


def service_of(resource: Resource) -> str:
    """Return what Jaeger calls the service of a resource."""
    name = NO_SERVICE
    for attribute in resource.attributes:
        if attribute.key == _SERVICE and attribute.value.string_value:
            name = attribute.value.string_value
    return name


class _Processes:
    """The resources of a trace, each once."""

    def __init__(self) -> None:
        self.by_key: dict[str, Process] = {}
        self._keys: dict[bytes, str] = {}

    def key_of(self, resource: Resource) -> str:
        identity = resource.SerializeToString(deterministic=True)
        key = self._keys.get(identity)
        if key is None:
            key = self._keys[identity] = f"p{len(self._keys) + 1}"
            self.by_key[key] = _process(resource)
        return key


def _process(resource: Resource) -> Process:
    others = (attribute for attribute in resource.attributes if attribute.key != _SERVICE)
    return {"serviceName": service_of(resource), "tags": tags_of(others)}


def _span(span: Span, scope: InstrumentationScope, process: str) -> JaegerSpan:
    warnings: list[str] = []
    if span.end_time_unix_nano < span.start_time_unix_nano:
        warnings.append(_NEGATIVE if span.end_time_unix_nano else _UNENDED)
    return {
        "traceID": trace_id_text(span.trace_id),
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_time_unix_nano // 1_000,
        "duration": max(0, span.end_time_unix_nano - span.start_time_unix_nano) // 1_000,
        "tags": _tags(span, scope),
        "logs": [_log(event) for event in span.events],
        "processID": process,
        "warnings": warnings or None,
    }


def _tags(span: Span, scope: InstrumentationScope) -> list[Tag]:
    """Return the attributes of a span between what else Jaeger knows only as tags."""
    tags: list[Tag] = []
    if scope.name:
        tags.append(text_tag("otel.scope.name", scope.name))
    if scope.version:
        tags.append(text_tag("otel.scope.version", scope.version))
    tags += tags_of(span.attributes)
    if span.kind in KINDS:
        tags.append(text_tag("span.kind", KINDS[span.kind]))
    return tags + _status_tags(span)


def _status_tags(span: Span) -> list[Tag]:
    tags: list[Tag] = []
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags.append(text_tag("otel.status_code", "ERROR"))
        tags.append({"key": "error", "type": "bool", "value": True})
    elif span.status.code == Status.STATUS_CODE_OK:
        tags.append(text_tag("otel.status_code", "OK"))
    if span.status.message:
        tags.append(text_tag("otel.status_description", span.status.message))
    if span.trace_state:
        tags.append(text_tag("w3c.tracestate", span.trace_state))
    return tags


def _references(span: Span) -> list[Reference]:
    """Return the parent first, then the links; a link to the parent says what the parent is.

    Links whose ids have another length than OTLP's are left out: Jaeger cannot write them.
    """
    parent = (span.trace_id, span.parent_span_id)
    has_parent = any(span.parent_span_id)
    references = [_reference(parent, "CHILD_OF")] if has_parent else []
    for link in span.links:
        if len(link.trace_id) != 16 or len(link.span_id) != 8:
            continue
        target = (link.trace_id, link.span_id)
        kind = _kind_of(link)
        if has_parent and target == parent:
            references[0] = _reference(target, kind)
        else:
            references.append(_reference(target, kind))
    return references


def _reference(target: tuple[bytes, bytes], kind: str) -> Reference:
    trace_id, span_id = target
    return {"refType": kind, "traceID": trace_id_text(trace_id), "spanID": span_id.hex()}


def _kind_of(link: Span.Link) -> str:
    for attribute in link.attributes:
        if attribute.key == _REFERENCE:
            return "CHILD_OF" if attribute.value.string_value == "child_of" else "FOLLOWS_FROM"
    return "FOLLOWS_FROM"


def _log(event: Span.Event) -> Log:
    fields = tags_of(event.attributes)
    if event.name and all(attribute.key != "event" for attribute in event.attributes):
        fields.insert(0, text_tag("event", event.name))
    return {"timestamp": event.time_unix_nano // 1_000, "fields": fields}
