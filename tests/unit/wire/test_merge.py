"""Twins read any order and any repetition of fields as opentelemetry-proto does."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.rows import Signal
from collector.wire import common_pb2, logs_pb2, metrics_pb2, traces_pb2
from tests.strategies import REQUEST_TYPES, requests

TWINS: dict[Signal, type[Message]] = {
    Signal.TRACES: traces_pb2.ExportTraceServiceRequest,
    Signal.METRICS: metrics_pb2.ExportMetricsServiceRequest,
    Signal.LOGS: logs_pb2.ExportLogsServiceRequest,
}
FILES = (common_pb2, traces_pb2, metrics_pb2, logs_pb2)


def twin_of(original: Descriptor) -> type[Message]:
    """Return the twin's class of an official message type."""
    name = original.full_name.removeprefix(original.file.package + ".")
    for file in FILES:
        top, *nested = name.split(".")
        found: Descriptor | None = file.DESCRIPTOR.message_types_by_name.get(top)
        for part in nested:
            found = found and found.nested_types_by_name.get(part)
        if found is not None:
            return GetMessageClass(found)
    raise LookupError(name)


def as_dict(message: Message, original: Descriptor) -> dict[str, Any]:
    """Return what a message, official or twin, says: bytes decoded wherever a message stands."""
    said: dict[str, Any] = {}
    for field in original.fields:
        ours: Any = message.DESCRIPTOR.fields_by_name[field.name]
        value = getattr(message, field.name)
        if field.has_presence and not ours.is_repeated and not message.HasField(field.name):
            continue
        if field.message_type is None:
            said[field.name] = plain(value, field)
        elif field.is_repeated:
            said[field.name] = [
                as_dict(decoded(entry, field), field.message_type) for entry in value
            ]
        elif ours.is_repeated:
            if len(value):
                whole = decoded(b"".join(value), field)
                said[field.name] = as_dict(whole, field.message_type)
        else:
            said[field.name] = as_dict(decoded(value, field), field.message_type)
    return said


def decoded(value: Any, field: FieldDescriptor) -> Message:
    """Return the message, which a twin may hold as bytes."""
    assert field.message_type is not None
    return twin_of(field.message_type).FromString(value) if isinstance(value, bytes) else value


def plain(value: Any, field: FieldDescriptor) -> Any:
    """Return a scalar or a list of scalars in a form that compares: NaN too, and text as bytes."""
    if field.is_repeated:
        return [_scalar(entry) for entry in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    return repr(value) if isinstance(value, float) else value


@pytest.mark.parametrize("signal", Signal)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_twin_reads_what_the_original_reads(signal: Signal, data: st.DataObject) -> None:
    """Every field of every message, with singular messages that come in pieces and in any order."""
    wire = data.draw(requests(signal).flatmap(shuffled))
    original = REQUEST_TYPES[signal].FromString(wire)
    twin = TWINS[signal].FromString(wire)

    assert as_dict(twin, original.DESCRIPTOR) == as_dict(original, original.DESCRIPTOR)


def shuffled(message: Message) -> st.SearchStrategy[bytes]:
    """Return wire forms of ``message`` with its fields in any order and some of them sent twice."""
    pieces: list[st.SearchStrategy[bytes]] = []
    for field, value in message.ListFields():
        entries = value if field.is_repeated and field.message_type is not None else [value]
        for entry in entries:
            if field.message_type is not None:
                pieces.append(_message_pieces(field, entry))
            else:
                pieces.append(st.just(_alone(message, field, entry)))
    return st.tuples(*pieces).flatmap(st.permutations).map(b"".join)


def _message_pieces(field: FieldDescriptor, entry: Message) -> st.SearchStrategy[bytes]:
    """Return a submessage whole or, where it is singular, cut in two that merge to one."""
    whole = shuffled(entry).map(lambda content: _length_delimited(field.number, content))
    if field.is_repeated:
        return whole
    return st.tuples(whole, shuffled(entry)).map(
        lambda two: two[0] + _length_delimited(field.number, two[1])
    )


def _alone(message: Message, field: FieldDescriptor, value: Any) -> bytes:
    """Return one scalar field's wire form."""
    holder = type(message)()
    if field.is_repeated:
        getattr(holder, field.name).extend(value)
    else:
        setattr(holder, field.name, value)
    return holder.SerializeToString()


def _length_delimited(number: int, content: bytes) -> bytes:
    holder = bytearray()
    for rest in (number << 3 | 2, len(content)):
        left = rest
        while left > 127:
            holder.append(left & 127 | 128)
            left >>= 7
        holder.append(left)
    return bytes(holder) + content
