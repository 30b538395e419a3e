"""Every twin has the wire format of its original in the installed opentelemetry-proto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2 as official_common
from opentelemetry.proto.logs.v1 import logs_pb2 as official_logs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as official_metrics
from opentelemetry.proto.resource.v1 import resource_pb2 as official_resource
from opentelemetry.proto.trace.v1 import trace_pb2 as official_traces

from collector.wire import common_pb2, logs_pb2, metrics_pb2, traces_pb2

ORIGINALS: dict[FileDescriptor, tuple[FileDescriptor, ...]] = {
    common_pb2.DESCRIPTOR: (official_common.DESCRIPTOR, official_resource.DESCRIPTOR),
    traces_pb2.DESCRIPTOR: (official_traces.DESCRIPTOR, trace_service_pb2.DESCRIPTOR),
    metrics_pb2.DESCRIPTOR: (official_metrics.DESCRIPTOR, metrics_service_pb2.DESCRIPTOR),
    logs_pb2.DESCRIPTOR: (official_logs.DESCRIPTOR, logs_service_pb2.DESCRIPTOR),
}

NOT_RECEIVED = {
    # What the collector answers, and what only documents other messages.
    *(f"Export{signal}ServiceResponse" for signal in ("Trace", "Metrics", "Logs")),
    *(f"Export{signal}PartialSuccess" for signal in ("Trace", "Metrics", "Logs")),
    *("TracesData", "MetricsData", "LogsData"),
}

VARINT, FIXED64, LENGTH, FIXED32 = "varint", "fixed64", "length", "fixed32"
WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_FIXED64: FIXED64,
    FieldDescriptor.TYPE_SFIXED64: FIXED64,
    FieldDescriptor.TYPE_FIXED32: FIXED32,
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_INT64: VARINT,
    FieldDescriptor.TYPE_UINT32: VARINT,
    FieldDescriptor.TYPE_UINT64: VARINT,
    FieldDescriptor.TYPE_SINT32: VARINT,
    FieldDescriptor.TYPE_BOOL: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
    FieldDescriptor.TYPE_STRING: LENGTH,
    FieldDescriptor.TYPE_BYTES: LENGTH,
    FieldDescriptor.TYPE_MESSAGE: LENGTH,
}
AS_BYTES = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE}


def messages(file: FileDescriptor) -> Iterator[Descriptor]:
    """Yield every message type of a file, nested ones too."""
    ahead: list[Descriptor] = list(file.message_types_by_name.values())
    while ahead:
        message = ahead.pop()
        yield message
        ahead += message.nested_types


def local_name(message: Descriptor) -> str:
    """Return the name without the package: ``Span.Event``."""
    return message.full_name.removeprefix(message.file.package + ".")


def pairs() -> list[tuple[Descriptor, Descriptor]]:
    """Return each original that we receive, with its twin."""
    found: list[tuple[Descriptor, Descriptor]] = []
    for twins, originals in ORIGINALS.items():
        by_name = {local_name(message): message for message in messages(twins)}
        found += [
            (original, by_name[local_name(original)])
            for file in originals
            for original in messages(file)
            if local_name(original) not in NOT_RECEIVED
        ]
    return found


EVERY_PAIR = pytest.mark.parametrize(
    ("original", "twin"), pairs(), ids=[pair[0].full_name for pair in pairs()]
)


@EVERY_PAIR
def test_fields_have_the_same_numbers_and_names(original: Descriptor, twin: Descriptor) -> None:
    """No field is missing, invented or misnumbered."""
    wanted = {field.number: field.name for field in original.fields}
    found = {field.number: field.name for field in twin.fields}

    assert found == wanted


@EVERY_PAIR
def test_fields_have_the_same_wire_format(original: Descriptor, twin: Descriptor) -> None:
    """Wire type and packing agree; numbers keep their range and their sign's encoding."""
    for field in original.fields:
        ours: FieldDescriptor = twin.fields_by_number[field.number]

        assert WIRE_TYPES[ours.type] == WIRE_TYPES[field.type], field.full_name
        assert ours.is_packed == field.is_packed, field.full_name
        if ours.type != field.type:
            allowed = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32} | dict.fromkeys(
                AS_BYTES, FieldDescriptor.TYPE_BYTES
            )
            assert ours.type == allowed[field.type], field.full_name


@EVERY_PAIR
def test_no_string_is_left(original: Descriptor, twin: Descriptor) -> None:
    """A twin can never refuse bad UTF-8."""
    assert original.fields
    assert all(field.type != FieldDescriptor.TYPE_STRING for field in twin.fields)


@EVERY_PAIR
def test_fields_have_the_same_label(original: Descriptor, twin: Descriptor) -> None:
    """A list stays a list; a singular message held as bytes is one, so that it can be merged."""
    for field in original.fields:
        ours: FieldDescriptor = twin.fields_by_number[field.number]
        is_held_as_bytes = (
            field.type == FieldDescriptor.TYPE_MESSAGE and ours.type == FieldDescriptor.TYPE_BYTES
        )

        assert ours.is_repeated == (field.is_repeated or is_held_as_bytes), field.full_name


@EVERY_PAIR
def test_fields_have_the_same_presence_and_oneof(original: Descriptor, twin: Descriptor) -> None:
    """``optional`` and oneof say the same; a list has no presence of its own."""
    for field in original.fields:
        ours: FieldDescriptor = twin.fields_by_number[field.number]
        oneof, our_oneof = field.containing_oneof, ours.containing_oneof

        assert (our_oneof and our_oneof.name) == (oneof and oneof.name), field.full_name
        if not ours.is_repeated:
            assert ours.has_presence == field.has_presence, field.full_name


def test_no_twin_is_without_an_original() -> None:
    """Every message of ours is compared above."""
    compared = {twin.full_name for _, twin in pairs()}
    ours = {message.full_name for file in ORIGINALS for message in messages(file)}

    assert ours == compared
