"""Parts and depth are counted where opentelemetry-proto has them."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from collector.convert.notes import Notes
from collector.convert.survey import CHILDREN, has_too_many_parts, reason_of_failure, survey
from collector.convert.tags import field_of
from collector.errors import MalformedError
from collector.rows import Reason

MESSAGES: dict[str, type[Message]] = {
    "resource_head": ResourceSpans,
    "resource": Resource,
    "entity_ref": EntityRef,
    "scope_head": ScopeSpans,
    "scope": InstrumentationScope,
    "metric_head": Metric,
    "span": Span,
    "event": Span.Event,
    "link": Span.Link,
    "log_record": LogRecord,
    "number_point": NumberDataPoint,
    "histogram_point": HistogramDataPoint,
    "exponential_point": ExponentialHistogramDataPoint,
    "summary_point": SummaryDataPoint,
    "quantile": SummaryDataPoint.ValueAtQuantile,
    "exemplar": Exemplar,
    "buckets": ExponentialHistogramDataPoint.Buckets,
    "key_value": KeyValue,
    "value": AnyValue,
    "array": ArrayValue,
    "kvlist": KeyValueList,
}
KINDS = {message.DESCRIPTOR.full_name: kind for kind, message in MESSAGES.items()}
WITHOUT_PARTS = {"opentelemetry.proto.trace.v1.Status"}
NOT_IN_HEADS = {ScopeSpans, Span, Gauge, Sum, Histogram, ExponentialHistogram, Summary}
SKIPPED = WITHOUT_PARTS | {message.DESCRIPTOR.full_name for message in NOT_IN_HEADS}


@pytest.mark.parametrize("kind", CHILDREN)
def test_children_are_those_of_the_protocol(kind: str) -> None:
    """Every field that holds messages or packed numbers is followed, and as what it is."""
    expected: dict[int, str] = {}
    for field in MESSAGES[kind].DESCRIPTOR.fields:
        tag = field.number << 3 | 2
        if field.message_type is not None:
            if field.message_type.full_name not in SKIPPED:
                expected[tag] = KINDS[field.message_type.full_name]
        elif field.is_packed:
            is_varint = field.type == FieldDescriptor.TYPE_UINT64
            expected[tag] = "varints" if is_varint else "fixed"

    assert CHILDREN[kind] == expected


def test_fields_of_all_depths_are_counted() -> None:
    """The item's own most frequent field, all fields together, and the deepest level."""
    value = field_of(0x12, field_of(0x2A, b"\x0a\x00" * 3))  # 1 + 1 + 3 fields on 3 levels
    span = field_of(0x4A, value) * 2 + b"\x30\x01"

    found = survey(span, "span", total_max=100, notes=Notes())

    assert (found.own_most, found.total, found.levels) == (2, 13, 4)


def test_counting_stops_above_the_limit() -> None:
    """A flood costs no more than the limit."""
    found = survey(b"\x4a\x00" * 1_000_000, "span", total_max=50, notes=Notes())

    assert found.total == 51


@pytest.mark.parametrize(
    ("span", "is_too_much"),
    [
        (b"\x4a\x00" * 10, False),
        (b"\x4a\x00" * 11, True),
        (b"\x4a\x00" * 10 + b"\x5a\x00" * 10 + b"\x6a\x00" * 10, False),
        (field_of(0x4A, field_of(0x12, field_of(0x2A, b"\x0a\x00" * 67))), False),
        (field_of(0x4A, field_of(0x12, field_of(0x2A, b"\x0a\x00" * 68))), True),
    ],
)
def test_own_parts_and_all_parts_have_limits(span: bytes, is_too_much: bool) -> None:
    """Ten of each kind, and seven times as many in all."""
    assert has_too_many_parts(span, "span", 10, Notes()) is is_too_much


@pytest.mark.parametrize(
    ("value", "level", "reason"),
    [
        (b"\x2a\x02\x0a\x00", 98, Reason.UNDECODABLE),
        (b"\x2a\x02\x0a\x00", 99, Reason.TOO_DEEP),
        (b"\x2a\x05\x0a\x00", 99, Reason.UNDECODABLE),
    ],
)
def test_reason_tells_too_deep_from_broken(value: bytes, level: int, reason: Reason) -> None:
    """By the levels that a request has in all; what is cut off is broken however deep."""
    assert reason_of_failure(value, "value", level, Notes()) == reason


@pytest.mark.parametrize("payload", [b"\x4a", b"\x4a\x05", b"\x4a\x02\x12\x05", b"\x07"])
def test_broken_message_is_malformed(payload: bytes) -> None:
    """At any depth."""
    with pytest.raises(MalformedError):
        survey(payload, "span", total_max=100, notes=Notes())


@pytest.mark.parametrize(("buckets", "is_too_many"), [(100, False), (101, True)])
@pytest.mark.parametrize(
    ("kind", "tags"), [("histogram_point", (0x32, 0x3A)), ("exponential_point", (0x42, 0x4A))]
)
def test_a_bucket_is_a_part(
    kind: str, tags: tuple[int, int], buckets: int, is_too_many: bool
) -> None:
    """A count and a bound, or one of either side: packed numbers count as fields would."""
    packed = bytes(8 * buckets) if kind == "histogram_point" else field_of(0x12, bytes(buckets))
    point = b"".join(field_of(tag, packed) for tag in tags)

    assert has_too_many_parts(point, kind, 100, Notes()) is is_too_many
