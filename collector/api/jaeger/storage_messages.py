"""What Jaeger asks a remote storage, as our questions; what we store, as messages for Jaeger.

Spec: jaeger-idl proto/storage/v2. Jaeger writes what it does not ask for as zeros: a duration of 0,
the first moment of Go's calendar.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from collector.api.jaeger.searches import TRACES, TRACES_MAX, Search
from collector.errors import BadParameterError
from collector.restore.traces import restore_traces
from collector.rows import Dimensions
from collector.wire.jaeger_storage_pb2 import AnyValue, GetTracesRequest, TraceQueryParameters

MESSAGE_BYTES: Final = 2**20
"""A message of several spans is no larger; clients take 4 MiB unless they are told otherwise."""

_NO_TIME_S: Final = -62_135_596_800
"""The first moment of the year 1, which is Go's zero."""
_DURATION_NS_MAX: Final = 2**63 - 1
_DAY_NS: Final = 86_400 * 10**9


def trace_ids_of(request: GetTracesRequest) -> list[bytes]:
    """Return which traces are asked for; the times beside them are hints, and not needed.

    Raises:
        BadParameterError: an id does not have 16 bytes, or there are too many.
    """
    ids = [one.trace_id for one in request.query]
    if len(ids) > TRACES_MAX:
        raise BadParameterError("query", f"must be at most {TRACES_MAX} traces")
    if any(len(trace_id) != 16 for trace_id in ids):
        raise BadParameterError("trace_id", "must have 16 bytes")
    return ids


def search_of(query: TraceQueryParameters, now_unix_nano: int) -> Search:
    """Return what is to be searched for; without an end, all up to the latest that may be stored.

    Raises:
        BadParameterError: names the field, and what it may be.
    """
    if query.filter:
        raise BadParameterError("filter", "is not known here, as our capabilities say")
    depth = query.search_depth or TRACES
    if not 0 < depth <= TRACES_MAX:
        raise BadParameterError("search_depth", f"must be a number from 1 to {TRACES_MAX}")
    return Search.of(
        service=query.service_name,
        operation=query.operation_name,
        between=between_of(query.start_time_min, query.start_time_max, now_unix_nano),
        durations=(
            _duration_ns("duration_min", query.duration_min),
            _duration_ns("duration_max", query.duration_max),
        ),
        tags={one.key: text_of_value(one.key, one.value) for one in query.attributes},
        limit=depth,
    )


def between_of(start: Timestamp, end: Timestamp, now_unix_nano: int) -> tuple[int, int]:
    """Return a range in nanoseconds since 1970; what has no bound has all that may be stored."""
    return (
        _unix_nano(start),
        _unix_nano(end) if _is_given(end) else now_unix_nano + _DAY_NS,
    )


def moment_of(unix_nano: int) -> Timestamp:
    """Return a time in protobuf's form."""
    return Timestamp(seconds=unix_nano // 10**9, nanos=unix_nano % 10**9)


def text_of_value(key: str, value: AnyValue) -> str:
    """Return the text that a stored value has to have, which is how Jaeger compares them.

    A whole double is the text of an integer: what had been typed into a form may be either.

    Raises:
        BadParameterError: the value is a list or a map, or is none.
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    if kind == "double_value":
        double = value.double_value
        return str(int(double)) if double.is_integer() else repr(double)
    if kind == "bytes_value":
        return f'{{"$bytes": "{b64encode(value.bytes_value).decode()}"}}'
    raise BadParameterError(f"attributes.{key[:40]}", "must be no list, no map and not empty")


def otlp_messages(rows: Sequence[tuple[Any, ...]], dimensions: Dimensions) -> Iterator[bytes]:
    """Yield spans as encoded TracesData, each message of ``MESSAGE_BYTES`` or of a single span.

    An export request and TracesData are the same on the wire: resource spans in field 1.
    """
    message = restore_traces(rows, dimensions)
    if len(rows) == 1 or message.ByteSize() <= MESSAGE_BYTES:
        yield message.SerializeToString()
        return
    half = len(rows) // 2
    yield from otlp_messages(rows[:half], dimensions)
    yield from otlp_messages(rows[half:], dimensions)


def _is_given(time: Timestamp) -> bool:
    return time.seconds > _NO_TIME_S and (time.seconds, time.nanos) != (0, 0)


def _unix_nano(time: Timestamp) -> int:
    return time.seconds * 10**9 + time.nanos


def _duration_ns(name: str, duration: Duration) -> int | None:
    """Return nanoseconds; None for 0, which is how Jaeger says that any will do."""
    total = duration.seconds * 10**9 + duration.nanos
    if not 0 <= total <= _DURATION_NS_MAX:
        raise BadParameterError(name, "must be no negative duration, and no longer than 292 years")
    return total or None
