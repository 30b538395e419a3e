"""OTLP over gRPC: one channel, as an SDK has it, that finds its way back after a restart."""

from __future__ import annotations

from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from collector.operate.access import Access
from collector.operate.endpoint import EXPORT_METHODS, parse
from collector.operate.verify.doors import RESPONSES, Answer, answer_of
from collector.restore.equality import ExportRequest
from collector.rows import Signal

_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Spec: opentelemetry-specification protocol/otlp.md, "Failures"; RESOURCE_EXHAUSTED only with
RetryInfo."""

_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
"""A daemon that is back is found within a second; gRPC's own pauses grow to two minutes."""


class GrpcDoor:
    """Must be made and used inside one running loop."""

    def __init__(self, endpoint: str, access: Access) -> None:
        authority, secure = parse(endpoint)
        if secure:
            self._channel = grpc.aio.secure_channel(authority, access.credentials(), _OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(authority, _OPTIONS)
        self._metadata = access.headers
        self._calls: dict[Signal, Any] = {
            signal: self._channel.unary_unary(method) for signal, method in EXPORT_METHODS.items()
        }

    def encode(self, request: ExportRequest) -> bytes:
        """Return the message as protobuf."""
        return request.SerializeToString()

    async def send(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        """Make one call; a daemon that is away answers UNAVAILABLE."""
        try:
            reply: bytes = await self._calls[signal](
                body, timeout=timeout_s, metadata=self._metadata
            )
            return answer_of(RESPONSES[signal].FromString(reply))
        except grpc.aio.AioRpcError as error:
            return _refusal(error)
        except DecodeError:
            return Answer("never", "UNDECODABLE", "the reply is no OTLP response")

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def _refusal(error: grpc.aio.AioRpcError) -> Answer:
    retry_s = _retry_s(error)
    retryable = error.code() in _RETRYABLE or (
        error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_s is not None
    )
    outcome = "retry" if retryable else "never"
    return Answer(outcome, error.code().name, error.details() or "", retry_s)


def _retry_s(error: grpc.aio.AioRpcError) -> float | None:
    """Return the RetryInfo among the details; None when there is none, or it cannot be read."""
    info = error_details_pb2.RetryInfo()
    for name, value in error.trailing_metadata():
        if name != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
            if any(detail.Unpack(info) for detail in details):
                return info.retry_delay.ToMilliseconds() / 1000
        except DecodeError:
            return None
    return None
