"""One table: which error becomes which gRPC and HTTP status, and whether the sender may try again.

RetryInfo travels twice, because senders read different places: ``grpc-status-details-bin`` (a
``google.rpc.Status``; Go, Java and the specification) and the trailer ``google.rpc.retryinfo-bin``
(the Python SDK, which reads only that one and crashes on a malformed value, so both are built with
protobuf). A reply holds the fixed texts of ``errors.py`` and nothing else: never the text of a
foreign exception, SQL or a DSN.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from collector import errors

RETRY_AFTER_S: Final = 2
"""What HTTP's Retry-After says, which has no fractions."""

RETRY_DELAY_S_MAX: Final = 1.6
"""Longer than a flush, shorter than the second retry of any SDK."""


class Verdict(NamedTuple):
    """What the sender is told; ``cause`` is the label of otlpg_refusals_total."""

    code: grpc.StatusCode
    retryable: bool
    cause: str
    text: str

    @property
    def http_status(self) -> int:
        """The same for a sender that speaks HTTP."""
        return _HTTP_STATUS[self.code]

    def to_message(self) -> status_pb2.Status:
        """Return the body of an error in either protocol, without details."""
        code: int = self.code.value[0]
        return status_pb2.Status(code=code, message=self.text)


_TABLE: Final[tuple[tuple[type[errors.OtlpgError], grpc.StatusCode, bool, str], ...]] = (
    (errors.UndecodableError, grpc.StatusCode.INVALID_ARGUMENT, False, "undecodable"),
    (errors.WrongSignalError, grpc.StatusCode.INVALID_ARGUMENT, False, "wrong_signal"),
    (errors.MalformedCallError, grpc.StatusCode.INVALID_ARGUMENT, False, "malformed_call"),
    (errors.UnsupportedMediaError, grpc.StatusCode.UNIMPLEMENTED, False, "unsupported_media"),
    (errors.TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, False, "too_large"),
    (errors.TooManyItemsError, grpc.StatusCode.RESOURCE_EXHAUSTED, False, "too_many_items"),
    (errors.TooManyValuesError, grpc.StatusCode.RESOURCE_EXHAUSTED, False, "too_many_values"),
    (errors.UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, False, "unauthenticated"),
    (errors.ForbiddenError, grpc.StatusCode.PERMISSION_DENIED, False, "forbidden"),
    (errors.QueueFullError, grpc.StatusCode.UNAVAILABLE, True, "queue_full"),
    (errors.NoSlotError, grpc.StatusCode.UNAVAILABLE, True, "no_slot"),
    (errors.NoBodyRoomError, grpc.StatusCode.UNAVAILABLE, True, "no_body_room"),
    (errors.ReadTimeoutError, grpc.StatusCode.UNAVAILABLE, True, "read_timeout"),
    (errors.SeriesLimitError, grpc.StatusCode.UNAVAILABLE, True, "series_limit"),
    (errors.DrainingError, grpc.StatusCode.UNAVAILABLE, True, "draining"),
    (errors.KeysAwayError, grpc.StatusCode.UNAVAILABLE, True, "keys_away"),
    (errors.HoldExpiredError, grpc.StatusCode.UNAVAILABLE, True, "hold_expired"),
)
_HTTP_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_OURS: Final = Verdict(grpc.StatusCode.UNAVAILABLE, True, "internal", "try again later")


def is_expected(error: Exception) -> bool:
    """Tell whether the table knows this error; all others are bugs and belong in the log."""
    return isinstance(error, tuple(row[0] for row in _TABLE))


def to_verdict(error: Exception) -> Verdict:
    """Return what a sender hears about ``error``.

    An error that the table does not know is our own bug. Its sender is asked to come again: the
    data may be perfectly good, and a non-retryable code would make every SDK throw it away.
    """
    for kind, code, retryable, cause in _TABLE:
        if isinstance(error, kind):
            return Verdict(code, retryable, cause, str(error))
    return _OURS


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
    status = verdict.to_message()
    status.details.add().Pack(info)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", info.SerializeToString()),
    )
