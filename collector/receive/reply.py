"""What a sender reads after OK: the response message of its signal, empty when all is stored."""

from __future__ import annotations

from typing import TypeAlias

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


def to_reply(signal: Signal, ack: Ack) -> Reply:
    """Return the response; without a field, and so without a byte, when every item is stored.

    Spec: opentelemetry-proto collector/*/v1, Export*PartialSuccess: rejected 0 with a message is a
    warning, and the sender must not send again.
    """
    match signal:
        case Signal.TRACES:
            traces = ExportTraceServiceResponse()
            if ack.rejected or ack.message:
                traces.partial_success.rejected_spans = ack.rejected
                traces.partial_success.error_message = ack.message
            return traces
        case Signal.METRICS:
            metrics = ExportMetricsServiceResponse()
            if ack.rejected or ack.message:
                metrics.partial_success.rejected_data_points = ack.rejected
                metrics.partial_success.error_message = ack.message
            return metrics
        case Signal.LOGS:
            logs = ExportLogsServiceResponse()
            if ack.rejected or ack.message:
                logs.partial_success.rejected_log_records = ack.rejected
                logs.partial_success.error_message = ack.message
            return logs
