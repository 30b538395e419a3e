"""When two OTLP requests say the same, in the sense of promise 8.

A request is the multiset of its (resource, scope, schema URLs, item): grouping and order do not
matter. Within an item

- attributes and kvlists compare as maps, but with a repeated key as the list that was sent;
- no value equals the empty value; a message without content (resource, scope, status, buckets,
  body) equals none; ``optional`` fields and the choices of a oneof keep their presence;
- doubles compare by their bits, so -0.0 is not 0.0, except that all NaNs are equal;
- unknown fields, and those which only the profiles signal may use, are ignored.

An item becomes JSON text for that: it hashes, sorts, and reads well in a diff. Nothing here knows
rows or ``convert``: only official messages, so it can judge both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

Json: TypeAlias = Any

ExportRequest: TypeAlias = (
    ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
)

_POINTS = "data_points"


def item_texts(request: ExportRequest) -> list[str]:
    """Return each item with all that surrounds it as JSON text, in the order of the request."""
    return [text_of(item) for item in items_of(request)]


def text_of(item: Json) -> str:
    """Return an item of ``items_of`` as JSON text; equal texts mean equal items."""
    return json.dumps(item, sort_keys=True, indent=1)


def items_of(request: ExportRequest) -> Iterator[Json]:
    """Yield each item with all that surrounds it, in the order of the request.

    Shape: a map whose ``item`` holds the set fields of the span, point or record, as ``comparable``
    has them; beside it ``resource``, ``scope``, their schema URLs, and a point's ``metric``.
    """
    if isinstance(request, ExportTraceServiceRequest):
        for group in request.resource_spans:
            for scope in group.scope_spans:
                yield from _in_scope(group, scope, scope.spans)
    elif isinstance(request, ExportLogsServiceRequest):
        for group in request.resource_logs:
            for scope in group.scope_logs:
                yield from _in_scope(group, scope, scope.log_records)
    else:
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    if points := points_of(metric):
                        described = _metric(metric)
                        for item in _in_scope(group, scope, points):
                            yield {**item, "metric": described}


def _in_scope(group: Any, scope: Any, items: Iterable[Message]) -> Iterator[dict[str, Json]]:
    surroundings = {
        "resource": comparable(group.resource),
        "resource schema_url": group.schema_url,
        "scope": comparable(scope.scope),
        "scope schema_url": scope.schema_url,
    }
    for item in items:
        yield {**surroundings, "item": comparable(item)}


def points_of(metric: Metric) -> Sequence[Message]:
    """Return the data points of a metric of any type, none when it has no data."""
    data = metric.WhichOneof("data")
    return () if data is None else getattr(getattr(metric, data), _POINTS)


def _metric(metric: Metric) -> Json:
    """Return the metric without its points, but with the choice of its type."""
    data = metric.WhichOneof("data")
    assert data is not None
    bare = Metric()
    bare.CopyFrom(metric)
    getattr(bare, data).ClearField(_POINTS)
    return {**comparable(bare), data: comparable(getattr(bare, data))}


def comparable(message: Message) -> dict[str, Json]:
    """Return the set fields of ``message`` by name, in forms that compare as promise 8 says."""
    found: dict[str, Json] = {}
    for field, value in message.ListFields():
        form = _field_form(field, value)
        if form is not None:
            found[field.name] = form
    return found


def _field_form(field: FieldDescriptor, value: Any) -> Json:
    """Return the form of one set field; None when it counts as not set."""
    if field.message_type is KeyValue.DESCRIPTOR:
        return _attributes(value)
    if field.message_type is AnyValue.DESCRIPTOR and not field.is_repeated:
        return _any_value(value)
    if field.is_repeated:
        return [_element(field, element) for element in value]
    if field.message_type is not None:
        return comparable(value) or None
    return _element(field, value)


def _element(field: FieldDescriptor, value: Any) -> Json:
    if field.message_type is AnyValue.DESCRIPTOR:
        return _any_value(value)
    if field.message_type is not None:
        return comparable(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f"0x{value.hex()}"
    return repr(value) if isinstance(value, float) else value


def _attributes(pairs: Iterable[KeyValue]) -> Json:
    forms = [(pair.key, _any_value(pair.value)) for pair in pairs]
    as_map = dict(forms)
    return as_map if len(as_map) == len(forms) else {"list with repeated keys": forms}


def _any_value(value: AnyValue) -> Json:
    """Return ``[kind, form]``, so that 1, 1.0, "1" and true differ; None for the empty value."""
    kind = value.WhichOneof("value")
    match kind:
        case None | "string_value_strindex":
            return None
        case "array_value":
            return [kind, [_any_value(element) for element in value.array_value.values]]
        case "kvlist_value":
            return [kind, _attributes(value.kvlist_value.values)]
        case "bytes_value":
            return [kind, value.bytes_value.hex()]
        case "double_value":
            return [kind, repr(value.double_value)]
        case _:
            return [kind, getattr(value, kind)]
