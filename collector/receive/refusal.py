"""A verdict as senders read it: the body of an error, and gRPC's trailers.

RetryInfo travels twice, because senders read different places: ``grpc-status-details-bin`` (a
``google.rpc.Status``; Go, Java and the specification) and the trailer ``google.rpc.retryinfo-bin``
(the Python SDK, which reads only that one and crashes on a malformed value, so both are built with
protobuf).
"""

from __future__ import annotations

from typing import Final

from google.rpc import error_details_pb2, status_pb2

from collector.receive.status import Verdict

RETRY_DELAY_S_MAX: Final = 1.6
"""Longer than a flush, shorter than the second retry of any SDK."""


def to_message(verdict: Verdict) -> status_pb2.Status:
    """Return the body of an error in either protocol, without details."""
    return status_pb2.Status(code=verdict.code, message=verdict.text)


def retry_delay_s(left_s: float | None) -> float:
    """Return when to come again: half of what is left of the deadline, 1.6 s at most.

    The Python SDK gives up at once when the delay reaches past its own deadline.
    """
    if left_s is None:
        return RETRY_DELAY_S_MAX
    return min(RETRY_DELAY_S_MAX, max(0.0, left_s) / 2)


def to_trailers(verdict: Verdict, left_s: float | None) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata of a refusal; empty when there is nothing to retry.

    Spec: opentelemetry-specification protocol/otlp.md, OTLP/gRPC throttling.
    """
    if not verdict.retryable:
        return ()
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromNanoseconds(int(retry_delay_s(left_s) * 1e9))
    status = to_message(verdict)
    status.details.add().Pack(info)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", info.SerializeToString()),
    )
