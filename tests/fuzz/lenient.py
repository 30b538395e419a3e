"""What a request says whose strings may hold any bytes, and what it says once they are repaired.

opentelemetry-proto refuses a whole request for one bad string, so it cannot say what convert should
make of the others. Here are its own descriptors once more with every ``string`` as ``bytes``, and
DESIGN section 4 applied to what they read: U+FFFD for NUL and for invalid UTF-8, and a suffix for
keys which that makes equal. It shares no code with ``convert`` and none with the twins.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from collector.rows import Signal
from tests.factories import ExportRequest
from tests.strategies import REQUEST_TYPES


def read(signal: Signal, wire: bytes) -> Message | None:
    """Return the request with its strings as bytes; None when it is no such request."""
    try:
        return _kinds()[signal].FromString(wire)
    except DecodeError:
        return None


def repaired(signal: Signal, request: Message) -> ExportRequest:
    """Return what a request from ``read`` says after the repair of its strings."""
    official = REQUEST_TYPES[signal]()
    _fill(official, request)
    return official


def is_dirty(message: Message) -> bool:
    """Tell whether a string somewhere in a message from ``read`` needs a repair."""
    for field, value in message.ListFields():
        parts: Iterable[Any] = value if field.is_repeated else [value]
        if field.message_type is not None:
            if any(map(is_dirty, parts)):
                return True
        elif _is_text(field) and any(part != clean(part).encode() for part in parts):
            return True
    return False


def clean(raw: bytes) -> str:
    """Return the text that is stored for these bytes."""
    return raw.decode(errors="replace").replace("\0", "\ufffd")


@cache
def _kinds() -> dict[Signal, type[Message]]:
    pool = DescriptorPool()
    added: set[str] = set()
    for kind in REQUEST_TYPES.values():
        _add(kind.DESCRIPTOR.file, pool, added)
    return {
        signal: GetMessageClass(pool.FindMessageTypeByName(kind.DESCRIPTOR.full_name))
        for signal, kind in REQUEST_TYPES.items()
    }


def _add(file: FileDescriptor, pool: DescriptorPool, added: set[str]) -> None:
    """Add a file and what it imports, strings made bytes."""
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add(imported, pool, added)
    described = FileDescriptorProto()
    file.CopyToProto(described)
    for message in described.message_type:
        _make_bytes(message)
    pool.AddSerializedFile(described.SerializeToString())


def _make_bytes(message: DescriptorProto) -> None:
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_STRING:
            field.type = FieldDescriptorProto.TYPE_BYTES
    for inner in message.nested_type:
        _make_bytes(inner)


@cache
def _official_type(name: str) -> int:
    """Return the type of the official field with this full name."""
    pool = next(iter(REQUEST_TYPES.values())).DESCRIPTOR.file.pool
    return pool.FindFieldByName(name).type


def _is_text(field: FieldDescriptor) -> bool:
    return _official_type(field.full_name) == FieldDescriptor.TYPE_STRING


def _fill(official: Message, lenient: Message) -> None:
    for field, value in lenient.ListFields():
        name = field.name
        if field.message_type is None:
            _set(official, field, value)
        elif field.is_repeated:
            target = getattr(official, name)
            for part in value:
                _fill(target.add(), part)
            if field.message_type.full_name == KeyValue.DESCRIPTOR.full_name:
                _name(target, value)
        else:
            target = getattr(official, name)
            target.SetInParent()
            _fill(target, value)


def _set(official: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        entries = [clean(entry) for entry in value] if _is_text(field) else value
        getattr(official, field.name).extend(entries)
    else:
        setattr(official, field.name, clean(value) if _is_text(field) else value)


def _name(pairs: Iterable[KeyValue], lenient: Iterable[Any]) -> None:
    """Give each key of one list its text: those that were clean keep it, whatever the order."""
    keys = list(dict.fromkeys(pair.key for pair in lenient))
    names = {key: clean(key) for key in keys if clean(key).encode() == key}
    taken = set(names.values())
    for key in keys:
        if key in names:
            continue
        text = names[key] = clean(key)
        number = 2
        while names[key] in taken:
            names[key] = f"{text}#{number}"
            number += 1
        taken.add(names[key])
    for pair, sent in zip(pairs, lenient, strict=True):
        pair.key = names[sent.key]
