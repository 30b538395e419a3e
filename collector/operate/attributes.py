"""Attributes and values as OTLP has them, of what a command of ours sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

Value: TypeAlias = (
    str | int | float | bytes | bool | Sequence["Value"] | Mapping[str, "Value"] | None
)


def key_values(values: Mapping[str, Value]) -> list[KeyValue]:
    """Return attributes as OTLP has them, in the same order."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def any_value(value: Value) -> AnyValue:
    """Return a value as OTLP has it; None is the empty one."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case Mapping():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
        case _:
            return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
