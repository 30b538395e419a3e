"""A way into the daemon for bytes of a request, and what was heard."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.restore.equality import ExportRequest
from collector.rows import Signal

OK: Final = "OK"
PARTIAL: Final = "PARTIAL"
"""OK, but some items were rejected for good."""

Response: TypeAlias = (
    ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse
)

RESPONSES: Final[dict[Signal, type[Response]]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}


class Answer(NamedTuple):
    """What one attempt was answered."""

    outcome: Literal["ok", "retry", "never"]
    code: str
    """OK, a code of gRPC, a status of HTTP, or PARTIAL; a fixed set, fit for a label."""
    detail: str = ""
    retry_s: float | None = None
    """When the daemon asks to come again."""


class Door(Protocol):
    """One protocol's way in; may be asked by many at once."""

    def encode(self, request: ExportRequest) -> bytes:
        """Return the bytes to send, the same whenever they are sent again."""
        ...

    async def send(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        """Make one attempt; whatever happens to it is an answer."""
        ...

    async def close(self) -> None:
        """Give up connections. Safe twice."""
        ...


def answer_of(response: Response) -> Answer:
    """Return what a reply with status OK means: its ``partial_success`` may say otherwise.

    Spec: opentelemetry-specification protocol/otlp.md, "Partial Success".
    """
    partial = response.partial_success
    rejected = any(
        field.name.startswith("rejected_") and count > 0 for field, count in partial.ListFields()
    )
    if rejected:
        return Answer("never", PARTIAL, partial.error_message)
    return Answer("ok", OK, partial.error_message)
