"""What a sender reads after OK: the response message of its signal, empty when all is stored."""

from __future__ import annotations

from typing import Final, TypeAlias

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.receive.export import Ack
from collector.rows import Signal

Reply: TypeAlias = (
    ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse
)

_REPLIES: Final[dict[Signal, tuple[type[Reply], str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}
"""The response of each signal, and what its partial success calls the rejected items."""


def to_reply(signal: Signal, ack: Ack) -> Reply:
    """Return the response; without a field, and so without a byte, when every item is stored.

    Spec: opentelemetry-proto collector/*/v1, Export*PartialSuccess: rejected 0 with a message is a
    warning, and the sender must not send again.
    """
    kind, rejected = _REPLIES[signal]
    reply = kind()
    if ack.rejected or ack.message:
        setattr(reply.partial_success, rejected, ack.rejected)
        reply.partial_success.error_message = ack.message
    return reply
