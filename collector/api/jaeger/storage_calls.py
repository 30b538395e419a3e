"""The calls of Jaeger's remote storage: ``jaeger.storage.v2``, of which otlpg is one.

Writing has no call of its own: Jaeger sends OTLP. Summaries of traces are left to Jaeger, which makes
them out of the traces where a storage says UNIMPLEMENTED.

Spec: jaeger-idl proto/storage/v2/trace_storage.proto for the contract of the streams: a message
holds spans of one trace, is not empty, and the messages of a trace come one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from collector.api.jaeger.storage_messages import (
    between_of,
    moment_of,
    otlp_messages,
    search_of,
    trace_ids_of,
)
from collector.api.jaeger.stored import StoredSpans
from collector.errors import BadParameterError, MalformedCallError
from collector.items import KIND_BY_NUMBER
from collector.query.time_range import TimeRange
from collector.query.trace_parts import TracePart
from collector.query.trace_types import TraceSummary
from collector.wire import jaeger_storage_pb2 as wire

PACKAGE: Final = "jaeger.storage.v2"
SERVICES: Final = tuple(
    f"{PACKAGE}.{name}" for name in ("TraceReader", "DependencyReader", "Capabilities")
)
SOURCE: Final = "otlpg"
"""Who found out which service calls which."""

Write = Callable[[bytes], Awaitable[None]]
Call = Callable[[bytes, Write], Awaitable[None]]
"""Takes the one message of a call, and writes what answers it: one message, or a stream of them."""

_Request = TypeVar("_Request", bound=Message)


class StorageCalls:
    """Answers each call out of what is stored."""

    def __init__(self, stored: StoredSpans) -> None:
        self._stored = stored

    def by_path(self) -> dict[str, Call]:
        """Return the calls, by path."""
        reader, dependencies, capabilities = (f"/{service}" for service in SERVICES)
        return {
            f"{reader}/GetTraces": self._get_traces,
            f"{reader}/GetServices": self._get_services,
            f"{reader}/GetOperations": self._get_operations,
            f"{reader}/FindTraces": self._find_traces,
            f"{reader}/FindTraceIDs": self._find_trace_ids,
            f"{dependencies}/GetDependencies": self._get_dependencies,
            f"{capabilities}/GetCapabilities": self._get_capabilities,
        }

    async def _get_traces(self, body: bytes, write: Write) -> None:
        await self._send(trace_ids_of(_decoded(wire.GetTracesRequest, body)), write)

    async def _get_services(self, body: bytes, write: Write) -> None:
        _decoded(wire.GetServicesRequest, body)
        services = await self._stored.services()
        await write(wire.GetServicesResponse(services=services).SerializeToString())

    async def _get_operations(self, body: bytes, write: Write) -> None:
        """Answer with names and kinds; a span without a kind has none."""
        request = _decoded(wire.GetOperationsRequest, body)
        if not request.service:
            raise BadParameterError("service", "is required")
        found = await self._stored.operations(request.service, request.span_kind)
        operations = (
            wire.Operation(name=one.name, span_kind=KIND_BY_NUMBER.get(one.kind, ""))
            for one in found
        )
        await write(wire.GetOperationsResponse(operations=operations).SerializeToString())

    async def _find_traces(self, body: bytes, write: Write) -> None:
        found = await self._found(_decoded(wire.FindTracesRequest, body).query)
        await self._send([one.trace_id for one in found], write)

    async def _find_trace_ids(self, body: bytes, write: Write) -> None:
        """Answer with ids, and when the traces were: from their first start to their last end."""
        found = (
            wire.FoundTraceID(
                trace_id=one.trace_id,
                start=moment_of(one.start_unix_nano),
                end=moment_of(one.end_unix_nano),
            )
            for one in await self._found(_decoded(wire.FindTraceIDsRequest, body).query)
        )
        await write(wire.FindTraceIDsResponse(trace_ids=found).SerializeToString())

    async def _get_dependencies(self, body: bytes, write: Write) -> None:
        request = _decoded(wire.GetDependenciesRequest, body)
        now = self._stored.now_unix_nano()
        start, end = between_of(request.start_time, request.end_time, now)
        if start >= end:
            raise BadParameterError("start_time", "must be before the end")
        found = await self._stored.dependencies(TimeRange.from_unix_ns(start, end))
        dependencies = (
            wire.Dependency(parent=one.parent, child=one.child, call_count=one.calls, source=SOURCE)
            for one in found
        )
        await write(wire.GetDependenciesResponse(dependencies=dependencies).SerializeToString())

    async def _get_capabilities(self, body: bytes, write: Write) -> None:
        """Answer that no service has to be named, and that one span has all that is asked for."""
        _decoded(wire.GetCapabilitiesRequest, body)
        search = wire.SearchCapabilities(without_service_name=True, same_span_conjunction=True)
        await write(wire.GetCapabilitiesResponse(search=search).SerializeToString())

    async def _found(self, query: wire.TraceQueryParameters) -> Sequence[TraceSummary]:
        return await self._stored.find_summaries(search_of(query, self._stored.now_unix_nano()))

    async def _send(self, trace_ids: Sequence[bytes], write: Write) -> None:
        """Write traces whole, each as soon as it is read; others have their turn meanwhile."""

        async def take(part: TracePart) -> None:
            for message in await asyncio.to_thread(_encoded, part):
                await write(message)

        await self._stored.read_parts(trace_ids, take)


def _encoded(part: TracePart) -> list[bytes]:
    return list(otlp_messages(part.rows, part.dimensions))


def _decoded(kind: type[_Request], body: bytes) -> _Request:
    """Return the message of a call.

    Raises:
        MalformedCallError: it is none of this kind.
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise MalformedCallError(f"the message is no {kind.DESCRIPTOR.name}") from None
