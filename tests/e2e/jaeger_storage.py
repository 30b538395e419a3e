"""A client of ``jaeger.storage.v2``, as Jaeger is one."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from collector.wire import jaeger_storage_pb2 as wire

READER = "/jaeger.storage.v2.TraceReader/"
DEPENDENCIES = "/jaeger.storage.v2.DependencyReader/GetDependencies"
CAPABILITIES = "/jaeger.storage.v2.Capabilities/GetCapabilities"
CALL_S_MAX = 30.0

_Answer = TypeVar("_Answer", bound=Message)


class Storage:
    """One connection to a remote storage; calls raise ``grpc.RpcError``."""

    def __init__(
        self,
        port: int,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Iterable[tuple[str, str]] = (),
        message_bytes_max: int = 4 * 2**20,
    ) -> None:
        """``message_bytes_max``: what gRPC takes unless it is told otherwise."""
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", message_bytes_max),
        ]
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self._metadata = tuple(metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.channel.close()

    def ask(self, path: str, question: Message, answer: type[_Answer]) -> _Answer:
        """Make a call that has one answer."""
        call = self.channel.unary_unary(path, _encode, answer.FromString)
        return call(question, timeout=CALL_S_MAX, metadata=self._metadata)

    def stream(self, path: str, question: Message) -> list[TracesData]:
        """Make a call that has a stream of answers, and return all of them."""
        return list(self.open_stream(path, question))

    def open_stream(self, path: str, question: Message) -> Any:
        """Make a call that has a stream of answers, which can be cancelled."""
        call = self.channel.unary_stream(path, _encode, TracesData.FromString)
        return call(question, timeout=CALL_S_MAX, metadata=self._metadata)

    def services(self) -> list[str]:
        """Return what there is."""
        path = f"{READER}GetServices"
        return list(self.ask(path, wire.GetServicesRequest(), wire.GetServicesResponse).services)

    def operations(self, service: str, kind: str = "") -> list[tuple[str, str]]:
        """Return names and kinds."""
        question = wire.GetOperationsRequest(service=service, span_kind=kind)
        found = self.ask(f"{READER}GetOperations", question, wire.GetOperationsResponse)
        return [(one.name, one.span_kind) for one in found.operations]

    def get_traces(self, *trace_ids: bytes) -> list[TracesData]:
        """Return the messages of traces."""
        query = [wire.GetTraceParams(trace_id=trace_id) for trace_id in trace_ids]
        return self.stream(f"{READER}GetTraces", wire.GetTracesRequest(query=query))

    def find_traces(self, query: wire.TraceQueryParameters) -> list[TracesData]:
        """Return the messages of traces that match."""
        return self.stream(f"{READER}FindTraces", wire.FindTracesRequest(query=query))

    def find_ids(self, query: wire.TraceQueryParameters) -> list[bytes]:
        """Return the ids of traces that match."""
        question = wire.FindTraceIDsRequest(query=query)
        found = self.ask(f"{READER}FindTraceIDs", question, wire.FindTraceIDsResponse)
        return [one.trace_id for one in found.trace_ids]


def spans_of(message: TracesData) -> list[Span]:
    """Return all spans of a message."""
    return [
        span
        for group in message.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    ]


def ids_of(messages: Iterable[TracesData]) -> list[bytes]:
    """Return the trace of each message, which is one.

    Raises:
        ValueError: a message is empty, or holds spans of two traces.
    """
    found: list[bytes] = []
    for message in messages:
        [trace_id] = {span.trace_id for span in spans_of(message)}
        found.append(trace_id)
    return found


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
