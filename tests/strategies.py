"""Hypothesis strategies over every field of the three OTLP export requests.

The messages are built from their descriptors, so a field that a later opentelemetry-proto adds is
filled too, and ``tests/unit/test_strategies.py`` fails when one is not. What makes values nasty is
stated here, by field: see ``_BY_FIELD`` and the pools at the top.

All strings are such that PostgreSQL can store them; hostile ones take a road of their own (DESIGN
section 4), so they come from a strategy of their own, ``hostile_requests``.

Units: times gather around ``NOW_UNIX_NANO``, which a test gives to convert as its "now".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from collector.rows import Signal
from tests.factories import BASE_UNIX_NANO, ExportRequest

M = TypeVar("M", bound=Message)

NOW_UNIX_NANO = BASE_UNIX_NANO
"""The moment at which a generated request arrives."""

RETENTION = timedelta(days=2)
"""How old an item may be before its row stands under the receive time."""

REQUEST_TYPES: dict[Signal, type[ExportRequest]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

PROFILES_ONLY = frozenset(
    {
        "opentelemetry.proto.common.v1.KeyValue.key_strindex",
        "opentelemetry.proto.common.v1.AnyValue.string_value_strindex",
    }
)
"""Fields that only the profiles signal may use; common.proto tells receivers of other signals to
treat them as absent, so they are neither generated nor compared."""

# -- scalars -------------------------------------------------------------------------------------

texts: SearchStrategy[str] = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "GET /cart",
            'say "hi"\\',
            "\n\t\x01\x7f",
            "naïve ☃ 😀",
            "\ufffd\uffff\u202e",
            "1.0",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
"""Text that PostgreSQL can store as it is: no NUL, no surrogate."""

keys: SearchStrategy[str] = st.one_of(
    st.sampled_from(["a", "b", "", "$", "$a", "$$", "$double", "$bytes", "$kvlist", "a.b", "é"]),
    st.sampled_from(["service.name", "service.namespace", "service.instance.id"]),
    texts,
)
"""Attribute keys from so small a pool that equal ones meet in one list."""

int64s: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
)
uint64s: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1)
)
uint32s: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, 255, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1)
)
int32s: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)]), st.integers(-(2**31), 2**31 - 1)
)

_EDGES_OF_JSONB = [1e15, 999_999_999_999_999.9, 1e-15, 9.999_999_999e-16, 123_456_789_012_345.6]
doubles: SearchStrategy[float] = st.one_of(
    st.sampled_from([0.0, -0.0, float("nan"), float("inf"), float("-inf")]),
    st.sampled_from([1.0, 0.1, 1e100, 5e-324, 1.797_693_134_862_315_7e308, *_EDGES_OF_JSONB]),
    st.floats(),
)

_DAY_NS = 24 * 3600 * 10**9
_EDGES_OF_TIME = [
    NOW_UNIX_NANO + offset + step
    for offset in (0, _DAY_NS, -int(RETENTION.total_seconds()) * 10**9)
    for step in (-1_000, -1, 0, 1, 999, 1_000)
]
times: SearchStrategy[int] = st.one_of(
    st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]),
    st.sampled_from(_EDGES_OF_TIME),
    st.integers(NOW_UNIX_NANO - 3_600 * 10**9, NOW_UNIX_NANO + 3_600 * 10**9),
    st.integers(NOW_UNIX_NANO - 3 * _DAY_NS, NOW_UNIX_NANO + 2 * _DAY_NS),
    st.integers(0, 2**64 - 1),
)
"""Nanoseconds since 1970: none, usual, at and beyond every bound, and absurd."""


def _nonzero(length: int) -> SearchStrategy[bytes]:
    """Ids of which some repeat, so that spans share traces and links meet their targets."""
    few = st.integers(1, 3).map(lambda number: number.to_bytes(length, "big"))
    return few | st.binary(min_size=length, max_size=length).filter(any)


def _of_any_length(length: int) -> SearchStrategy[bytes]:
    """Ids that a link, a parent or a log may carry: valid, absent, all zero, or too long."""
    odd = st.sampled_from([b"", bytes(length), b"\x01", bytes(length) + b"\x01", bytes(3)])
    return st.one_of(_nonzero(length), odd, st.binary(max_size=20))


def _mostly(usual: SearchStrategy[bytes], rare: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    return st.integers(0, 15).flatmap(lambda dice: rare if dice == 15 else usual)


def _enum(field: FieldDescriptor) -> SearchStrategy[int]:
    """Enums are open: any int32 may come."""
    assert field.enum_type is not None
    named = [value.number for value in field.enum_type.values]
    return st.one_of(st.sampled_from(named), st.sampled_from([-1, 99]), int32s)


# -- attribute values ----------------------------------------------------------------------------


@cache
def any_values(depth: int = 3) -> SearchStrategy[AnyValue]:
    """Return every kind of attribute value, the empty one too, nested up to ``depth``."""
    flat = st.one_of(
        texts.map(lambda value: AnyValue(string_value=value)),
        st.booleans().map(lambda value: AnyValue(bool_value=value)),
        int64s.map(lambda value: AnyValue(int_value=value)),
        doubles.map(lambda value: AnyValue(double_value=value)),
        st.binary(max_size=6).map(lambda value: AnyValue(bytes_value=value)),
        st.just(AnyValue()),
    )
    if depth == 0:
        return flat
    return st.one_of(
        flat,
        st.lists(any_values(depth - 1), max_size=3).map(
            lambda values: AnyValue(array_value=ArrayValue(values=values))
        ),
        key_value_lists(depth - 1).map(
            lambda pairs: AnyValue(kvlist_value=KeyValueList(values=pairs))
        ),
    )


@cache
def key_value_lists(depth: int = 3) -> SearchStrategy[list[KeyValue]]:
    """Return attribute lists in which keys may repeat and values may be missing."""
    long_name = AnyValue(string_value="s" * 300)
    one = st.one_of(
        st.builds(KeyValue, key=keys, value=any_values(depth)),
        st.builds(KeyValue, key=keys, value=any_values(depth)),
        st.builds(KeyValue, key=keys),
        st.just(KeyValue(key="service.name", value=long_name)),
    )
    return st.lists(one, max_size=4)


# -- messages ------------------------------------------------------------------------------------

_BY_FIELD: dict[str, SearchStrategy[Any]] = {
    "Span.trace_id": _mostly(_nonzero(16), _of_any_length(16)),
    "Span.span_id": _mostly(_nonzero(8), _of_any_length(8)),
}
"""Fields with values of their own; the other ids and times go by their names' ends."""

_ALWAYS = frozenset(
    {
        *("Span.trace_id", "Span.span_id"),
        *("resource_spans", "scope_spans", "spans"),
        *("resource_metrics", "scope_metrics", "metrics", "data_points"),
        *("resource_logs", "scope_logs", "log_records"),
    }
)
"""Fields that are never left out: without ids an item is quarantined, and a list may be empty."""

_BY_TYPE: dict[int, SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: doubles,
    FieldDescriptor.TYPE_INT64: int64s,
    FieldDescriptor.TYPE_SFIXED64: int64s,
    FieldDescriptor.TYPE_UINT64: uint64s,
    FieldDescriptor.TYPE_FIXED64: uint64s,
    FieldDescriptor.TYPE_UINT32: uint32s,
    FieldDescriptor.TYPE_FIXED32: uint32s,
    FieldDescriptor.TYPE_INT32: int32s,
    FieldDescriptor.TYPE_SINT32: int32s,
}


def requests(signal: Signal) -> SearchStrategy[ExportRequest]:
    """Return requests of ``signal`` in which every field of the protocol may be set."""
    return messages(REQUEST_TYPES[signal])


@cache
def messages(kind: type[M]) -> SearchStrategy[M]:
    """Return messages of ``kind``; every field, and every choice of a oneof, may be absent."""
    makers = [
        _one_of_them(_values_by_name(_fields(oneof)))
        for oneof in kind.DESCRIPTOR.oneofs
        if len(oneof.fields) > 1
    ]
    plain = [
        field
        for field in _fields(kind.DESCRIPTOR)
        if field.containing_oneof is None or len(field.containing_oneof.fields) == 1
    ]
    always = {f.name for f in plain if f.name in _ALWAYS or _local_name(f) in _ALWAYS}
    makers.append(_some_of_them(_values_by_name(plain), always))

    @st.composite
    def build(draw: st.DrawFn) -> M:
        arguments: dict[str, Any] = {}
        for make in makers:
            make(draw, arguments)
        return kind(**arguments)

    return build()


def _fields(holder: Any) -> list[FieldDescriptor]:
    """Return the fields of a message type or a oneof; their classes share no public type."""
    return list(holder.fields)


def _values_by_name(fields: Iterable[FieldDescriptor]) -> dict[str, SearchStrategy[Any]]:
    return {field.name: _values(field) for field in fields if field.full_name not in PROFILES_ONLY}


def _some_of_them(
    values: dict[str, SearchStrategy[Any]], always: set[str]
) -> Callable[[st.DrawFn, dict[str, Any]], None]:
    """Draw which fields are there with one number, which shrinks towards none."""
    sets = st.integers(0, 2 ** len(values) - 1)

    def make(draw: st.DrawFn, arguments: dict[str, Any]) -> None:
        present = draw(sets)
        for index, (name, strategy) in enumerate(values.items()):
            if present >> index & 1 or name in always:
                arguments[name] = draw(strategy)

    return make


def _one_of_them(
    values: dict[str, SearchStrategy[Any]],
) -> Callable[[st.DrawFn, dict[str, Any]], None]:
    names = st.sampled_from([None, *values])

    def make(draw: st.DrawFn, arguments: dict[str, Any]) -> None:
        name = draw(names)
        if name is not None:
            arguments[name] = draw(values[name])

    return make


def _values(field: FieldDescriptor) -> SearchStrategy[Any]:
    """Return what one field may hold, lists included."""
    if field.message_type is KeyValue.DESCRIPTOR:
        return key_value_lists()
    one = _single_values(field)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _single_values(field: FieldDescriptor) -> SearchStrategy[Any]:
    name = _local_name(field)
    if name in _BY_FIELD:
        return _BY_FIELD[name]
    if field.message_type is AnyValue.DESCRIPTOR:
        return any_values()
    if field.message_type is not None:
        kind = GetMessageClass(field.message_type)
        return st.deferred(lambda: messages(kind))
    if field.enum_type is not None:
        return _enum(field)
    if field.name.endswith("time_unix_nano"):
        return times
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _of_any_length(16 if field.name.endswith("trace_id") else 8)
    return _BY_TYPE[field.type]


def _local_name(field: FieldDescriptor) -> str:
    """Return "Span.trace_id" for opentelemetry.proto.trace.v1.Span.trace_id."""
    return ".".join(field.full_name.split(".")[-2:])


def fields_below(descriptor: Descriptor) -> set[str]:
    """Return the full names of all fields that a message of this type can hold, at any depth."""
    found: set[str] = set()
    ahead = [descriptor]
    while ahead:
        fields = ahead.pop().fields
        ahead += [f.message_type for f in fields if f.message_type and f.full_name not in found]
        found |= {field.full_name for field in fields}
    return found


def fields_set(message: Message) -> set[str]:
    """Return the full names of all fields that are set somewhere in ``message``."""
    found: set[str] = set()
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                found |= fields_set(part)
    return found


# -- hostile text --------------------------------------------------------------------------------

_BAD_UTF8 = b"\xff\xfe\x80\xc0\xc1\xf5\xf8\xfc\xed"
_PLACE_OF_BAD_UTF8 = "\ue000\ue001\ue002"
"""As long on the wire as the bad bytes that take its place, so that all lengths stay true."""


_HITS = (
    ("\0", "\ufffd"),
    ("\0\0z", "\ufffd\ufffdz"),
    (_PLACE_OF_BAD_UTF8 + "z", "\ufffd" * len(_BAD_UTF8) + "z"),
)
"""What is appended to a string on the wire, and what to its repaired form."""


class HostileRequest(NamedTuple):
    """What a hostile sender puts on the wire, and what is stored in its place."""

    wire: bytes
    repaired: ExportRequest


@st.composite
def hostile_requests(draw: st.DrawFn, signal: Signal) -> HostileRequest:
    """Return requests with NUL or invalid UTF-8 in one to three of their strings.

    Any string may be hit: a key or a value at any depth, a name, a schema URL. Every NUL and every
    bad byte is repaired to one U+FFFD.
    """
    request = draw(requests(signal).filter(lambda candidate: bool(_strings(candidate))))
    repaired = REQUEST_TYPES[signal].FromString(request.SerializeToString())
    places, repaired_places = _strings(request), _strings(repaired)
    for index in draw(st.lists(st.integers(0, len(places) - 1), min_size=1, max_size=3)):
        hostile, harmless = draw(st.sampled_from(_HITS))
        places[index].append(hostile)
        repaired_places[index].append(harmless)
    wire = request.SerializeToString().replace(_PLACE_OF_BAD_UTF8.encode(), _BAD_UTF8)
    return HostileRequest(wire, repaired)


class _String(NamedTuple):
    """A string inside a message."""

    message: Message
    field: str
    element: int | None  # which of a repeated field

    def append(self, text: str) -> None:
        if self.element is None:
            setattr(self.message, self.field, getattr(self.message, self.field) + text)
        else:
            getattr(self.message, self.field)[self.element] += text


def _strings(message: Message) -> list[_String]:
    """Return every string that is set in ``message``, in the order of its fields."""
    found: list[_String] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                found += _strings(part)
        elif field.type == FieldDescriptor.TYPE_STRING:
            indexes = range(len(value)) if field.is_repeated else [None]
            found += [_String(message, field.name, index) for index in indexes]
    return found
