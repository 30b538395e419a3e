"""Stored spans as Jaeger shows them.

Rows are written as Jaeger's JSON without OTLP's messages in between: of a long answer these took two
thirds of the time. What ``raw`` has comes through ``restore/traces.py``, as it does for everybody.

Spec: opentelemetry-collector-contrib pkg/translator/jaeger for what becomes a tag, a log or a
reference, and Jaeger's own JSON for how they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypedDict

from collector.api.jaeger.tags import Tag, tags_of, text_tag
from collector.items import KIND_BY_NUMBER, STATUS_BY_CODE, STATUS_ERROR, STATUS_OK
from collector.restore.traces import events_of, links_of, parent_of, times_of
from collector.restore.values import Json, Raw, attribute_pairs, load_raw, pairs_of
from collector.rows import Dimensions, ResourceRow, ScopeRow, SpanRow

NO_SERVICE: Final = "unknown_service"
"""Shown for a resource without a name, as SDKs call one."""

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


class JaegerTraces:
    """Makes Jaeger's traces of rows; what they refer to is made once, however many traces share it."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._processes: dict[int, Process] = {}
        self._scopes: dict[int, list[Tag]] = {}

    def trace_of(
        self, rows: Sequence[tuple[Any, ...]], warnings: Iterable[str] = ()
    ) -> JaegerTrace:
        """Return the spans of one trace.

        Shape: tuples in ``SpanRow`` order in, at least one; spans as ``restore_traces`` would group
        them, and one process for each distinct resource.
        """
        keys: dict[tuple[object, ...], str] = {}
        processes: dict[str, Process] = {}
        spans: list[JaegerSpan] = []
        for resource_id, scopes in _grouped(rows).items():
            identity = _identity(self._dimensions.resources[resource_id])
            key = keys.setdefault(identity, f"p{len(keys) + 1}")
            processes.setdefault(key, self._process(resource_id))
            for scope_id, of_scope in scopes.items():
                tags = self._scope_tags(scope_id)
                spans.extend([_span(row, tags, key) for row in of_scope])
        return {
            "traceID": spans[0]["traceID"],
            "spans": spans,
            "processes": processes,
            "warnings": list(warnings) or None,
        }

    def _process(self, resource_id: int) -> Process:
        process = self._processes.get(resource_id)
        if process is None:
            process = _process(self._dimensions.resources[resource_id])
            self._processes[resource_id] = process
        return process

    def _scope_tags(self, scope_id: int) -> list[Tag]:
        tags = self._scopes.get(scope_id)
        if tags is None:
            tags = self._scopes[scope_id] = _scope_tags(self._dimensions.scopes[scope_id])
        return tags


def trace_id_text(trace_id: bytes) -> str:
    """Return how Jaeger writes a trace id: one whose first half is zero has 16 digits."""
    return _shortened(trace_id.hex())


def service_of(resource: ResourceRow) -> str:
    """Return what Jaeger calls the service of a resource, here as in its lists of services."""
    return resource.service_name or NO_SERVICE


def _shortened(trace_id: str) -> str:
    return trace_id[16:] if trace_id.startswith("0" * 16) else trace_id


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[int, list[SpanRow]]]:
    """Return rows by resource, and by scope within, all in the order in which they come."""
    groups: dict[int, dict[int, list[SpanRow]]] = {}
    for row in map(SpanRow._make, rows):
        groups.setdefault(row.resource_id, {}).setdefault(row.scope_id, []).append(row)
    return groups


def _identity(row: ResourceRow) -> tuple[object, ...]:
    """Return all of a resource but the schema URL, which makes no other process of it."""
    return (row.attributes, row.dropped_attributes_count, row.entity_refs, row.raw)


def _process(row: ResourceRow) -> Process:
    pairs = attribute_pairs(row.attributes, load_raw(row.raw))
    others = (pair for pair in pairs if pair[0] != _SERVICE)
    return {"serviceName": service_of(row), "tags": tags_of(others)}


def _scope_tags(row: ScopeRow) -> list[Tag]:
    given = (("otel.scope.name", row.name), ("otel.scope.version", row.version))
    return [text_tag(key, text) for key, text in given if text]


def _span(row: SpanRow, scope: list[Tag], process: str) -> JaegerSpan:
    raw = load_raw(row.raw)
    start, end = times_of(row, raw)
    trace_id = trace_id_text(row.trace_id)
    return {
        "traceID": trace_id,
        "spanID": row.span_id.hex(),
        "operationName": row.name,
        "references": _references(row, raw, trace_id),
        "startTime": start // 1_000,
        "duration": max(0, end - start) // 1_000,
        "tags": _tags(row, raw, scope),
        "logs": [_log(event) for event in events_of(row, raw)],
        "processID": process,
        "warnings": None if end >= start else [_NEGATIVE if end else _UNENDED],
    }


def _tags(row: SpanRow, raw: Raw, scope: list[Tag]) -> list[Tag]:
    """Return the attributes of a span between what else Jaeger knows only as tags."""
    tags = [*scope, *tags_of(attribute_pairs(row.attributes, raw))]
    if row.kind in KIND_BY_NUMBER:
        tags.append(text_tag("span.kind", KIND_BY_NUMBER[row.kind]))
    if row.status_code in (STATUS_OK, STATUS_ERROR):
        tags.append(text_tag("otel.status_code", STATUS_BY_CODE[row.status_code].upper()))
    if row.status_code == STATUS_ERROR:
        tags.append({"key": "error", "type": "bool", "value": True})
    if row.status_message:
        tags.append(text_tag("otel.status_description", row.status_message))
    if row.trace_state:
        tags.append(text_tag("w3c.tracestate", row.trace_state))
    return tags


def _references(row: SpanRow, raw: Raw, trace_id: str) -> list[Reference]:
    """Return the parent first, then the links; a link to the parent says what the parent is.

    Links whose ids have another length than OTLP's are left out: Jaeger cannot write them.
    """
    parent = parent_of(row, raw)
    has_parent = any(parent)
    above = (trace_id, parent.hex())
    references = [_reference(above, "CHILD_OF")] if has_parent else []
    for link in links_of(row, raw):
        linked, span_id = link.get("trace_id", ""), link.get("span_id", "")
        if len(linked) != 32 or len(span_id) != 16:
            continue
        target = (_shortened(linked), span_id)
        if has_parent and target == above:
            references[0] = _reference(target, _kind_of(link))
        else:
            references.append(_reference(target, _kind_of(link)))
    return references


def _reference(target: tuple[str, str], kind: str) -> Reference:
    trace_id, span_id = target
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _kind_of(link: dict[str, Json]) -> str:
    for key, value in pairs_of(link.get("attributes", [])):
        if key == _REFERENCE:
            return "CHILD_OF" if value == "child_of" else "FOLLOWS_FROM"
    return "FOLLOWS_FROM"


def _log(event: dict[str, Json]) -> Log:
    pairs = pairs_of(event.get("attributes", []))
    fields = tags_of(pairs)
    name = event.get("name", "")
    if name and all(key != "event" for key, _ in pairs):
        fields.insert(0, text_tag("event", name))
    return {"timestamp": event.get("time_unix_nano", 0) // 1_000, "fields": fields}
