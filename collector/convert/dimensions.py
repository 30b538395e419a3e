"""Rows of resources, scopes, metrics and series, with ids that follow from their content.

An id is the first half of a 128-bit BLAKE2b over a canonical form: every column, attributes with
sorted keys at every depth, and ``raw`` where keys repeat. So every process computes the same id
without asking, and the order in which a sender writes attributes does not matter.

Text that had to be repaired is marked in ``notes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import orjson

from collector.convert.attributes import AttributesJson, attribute_members, entries_json
from collector.convert.memo import Pairs
from collector.convert.notes import Notes
from collector.convert.values import decode, decode_parts, json_string, key_json, object_json
from collector.rows import (
    SERVICE_NAME_CHARACTERS_MAX,
    MetricRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
)
from collector.wire.common_pb2 import EntityRef, InstrumentationScope, Resource
from collector.wire.metrics_pb2 import Metric, Sum
from collector.wire.traces_pb2 import ResourceSpans, ScopeSpans

DIGEST_BYTES = 16
ROW_EFFORT = 20
"""A row costs as much as about this many parts of values; see Notes."""

RESOURCE_LEVEL, SCOPE_LEVEL, METRIC_LEVEL = 3, 4, 4
"""Level of their KeyValues: request > ResourceSpans (1) > Resource (2) > KeyValue (3)."""


def content_id(table: str, *columns: str | bytes | int | None) -> tuple[int, bytes]:
    """Return the id and the digest of a row of ``table`` with these columns.

    Shape: a signed 64-bit integer, and the 16 bytes of which it is the first half.
    """
    canonical = bytearray()
    for column in columns:
        if column is None:
            canonical += b"-"
        else:
            raw = column if isinstance(column, bytes) else str(column).encode()
            canonical += b"%d:" % len(raw) + raw
    digest = blake2b(canonical, digest_size=DIGEST_BYTES, person=table.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True), digest


def resource_row(head: bytes, pairs: Pairs, notes: Notes) -> ResourceRow:
    """Return the row of the resource in ``head``: a ResourceSpans without its scopes.

    ResourceMetrics and ResourceLogs have the same numbers, so one function reads all three.

    Raises:
        QuarantineError: the resource does not decode or nests too deep.
    """
    around = decode(ResourceSpans, head)
    resource = decode_parts(Resource, around.resource[:])
    members = attribute_members(resource.attributes[:], pairs, RESOURCE_LEVEL, notes)
    attributes = object_json(sorted(members.values()))
    schema_url = notes.text(around.schema_url) or None
    dropped = resource.dropped_attributes_count or None
    refs = entries_json(
        resource.entity_refs, _entity_json, pairs=pairs, level=RESOURCE_LEVEL, notes=notes, field=""
    )
    raw = notes.take_raw()
    resource_id, digest = content_id("resources", attributes, schema_url, dropped, refs, raw)
    return ResourceRow(
        resource_id,
        _text_of(members, "service.name"),
        _text_of(members, "service.namespace"),
        _text_of(members, "service.instance.id"),
        attributes,
        schema_url,
        dropped,
        refs,
        raw,
        digest,
    )


def _entity_json(raw: bytes, _: AttributesJson, notes: Notes) -> str:
    entity = decode(EntityRef, raw)
    members: list[str] = []
    for name, text in (("schema_url", entity.schema_url), ("type", entity.type)):
        if text:
            members.append(key_json(name) + json_string(notes.text(text)))
    lists = (("id_keys", entity.id_keys), ("description_keys", entity.description_keys))
    for name, keys in lists:
        if keys:
            texts = ",".join([json_string(notes.text(key)) for key in keys])
            members.append(f"{key_json(name)}[{texts}]")
    return object_json(members)


def _text_of(members: dict[str, str], key: str) -> str | None:
    """Return the start of a string attribute; None when it is absent, empty or not a string."""
    value = members.get(key, "").removeprefix(key_json(key))
    if not value.startswith('"'):
        return None
    return orjson.loads(value)[:SERVICE_NAME_CHARACTERS_MAX] or None


def scope_row(head: bytes, pairs: Pairs, notes: Notes) -> ScopeRow:
    """Return the row of the scope in ``head``: a ScopeSpans without its items.

    Raises:
        QuarantineError: the scope does not decode or nests too deep.
    """
    around = decode(ScopeSpans, head)
    scope = decode_parts(InstrumentationScope, around.scope[:])
    members = attribute_members(scope.attributes[:], pairs, SCOPE_LEVEL, notes)
    columns = (
        notes.text(scope.name) or None,
        notes.text(scope.version) or None,
        object_json(sorted(members.values())),
        notes.text(around.schema_url) or None,
        scope.dropped_attributes_count or None,
        notes.take_raw(),
    )
    scope_id, digest = content_id("scopes", *columns)
    return ScopeRow(scope_id, *columns, digest)


def metric_row(member: str, head: bytes, data: bytes, pairs: Pairs, notes: Notes) -> MetricRow:
    """Return the row of a metric of type ``member``.

    Args:
        member: the metric's type.
        head: the Metric without its data.
        data: the member of the oneof without its data points.
        pairs: what is remembered of attributes.
        notes: of the metric.

    Raises:
        QuarantineError: the metric does not decode or nests too deep.
    """
    metric = decode(Metric, head)
    about = decode(Sum, data)  # the other types use a subset of its fields
    members = attribute_members(metric.metadata[:], pairs, METRIC_LEVEL, notes, "metadata")
    has_temporality = member in ("sum", "histogram", "exponential_histogram")
    columns = (
        notes.text(metric.name),
        notes.text(metric.description) or None,
        notes.text(metric.unit) or None,
        member,
        about.aggregation_temporality if has_temporality else None,
        about.is_monotonic if member == "sum" else None,
        object_json(sorted(members.values())),
        notes.take_raw(),
    )
    metric_id, digest = content_id("metrics", *columns)
    return MetricRow(metric_id, *columns, digest)


def series_row(
    metric: MetricRow,
    resource: ResourceRow,
    scope: ScopeRow,
    attributes: Sequence[bytes],
    level: int,
    pairs: Pairs,
    notes: Notes,
) -> SeriesRow:
    """Return the row of the series with these attributes.

    Raises:
        QuarantineError: an attribute does not decode or nests too deep.
    """
    own = Notes()
    members = attribute_members(attributes, pairs, level, own)
    notes.absorb(own)
    text = object_json(sorted(members.values()))
    raw = own.take_raw()
    series_id, digest = content_id(
        "metric_series", metric.digest, resource.digest, scope.digest, text, raw
    )
    return SeriesRow(
        series_id,
        metric.metric_id,
        resource.resource_id,
        scope.scope_id,
        resource.service_name,
        text,
        raw,
        digest,
    )
