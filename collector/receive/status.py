"""One table: which error becomes which gRPC and HTTP status, and whether the sender may try again.

A reply holds the fixed texts of ``errors.py`` and nothing else: never the text of a foreign
exception, SQL or a DSN. ``refusal.py`` makes bytes of a verdict. This file, and what the supervisor
uses of ``receive``, imports neither gRPC nor protobuf: 11 MiB that only workers need.
"""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus
from typing import Final, NamedTuple

from collector import errors

RETRY_AFTER_S: Final = 2
"""What HTTP's Retry-After says, which has no fractions."""


class Code(IntEnum):
    """The codes that we say, which are gRPC's too.

    Spec: googleapis google/rpc/code.proto.
    """

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Verdict(NamedTuple):
    """What the sender is told; ``cause`` is the label of otlpg_refusals_total."""

    code: Code
    retryable: bool
    cause: str
    text: str

    @property
    def http_status(self) -> int:
        """The same for a sender that speaks HTTP."""
        return _HTTP_STATUS[self.code]


_TABLE: Final[tuple[tuple[type[errors.OtlpgError], Code, bool, str], ...]] = (
    (errors.UndecodableError, Code.INVALID_ARGUMENT, False, "undecodable"),
    (errors.WrongSignalError, Code.INVALID_ARGUMENT, False, "wrong_signal"),
    (errors.MalformedCallError, Code.INVALID_ARGUMENT, False, "malformed_call"),
    (errors.BadParameterError, Code.INVALID_ARGUMENT, False, "bad_parameter"),
    (errors.FilterError, Code.INVALID_ARGUMENT, False, "bad_filter"),
    (errors.UnsupportedMediaError, Code.UNIMPLEMENTED, False, "unsupported_media"),
    (errors.TooLargeError, Code.RESOURCE_EXHAUSTED, False, "too_large"),
    (errors.TooManyItemsError, Code.RESOURCE_EXHAUSTED, False, "too_many_items"),
    (errors.TooManyValuesError, Code.RESOURCE_EXHAUSTED, False, "too_many_values"),
    (errors.UnauthenticatedError, Code.UNAUTHENTICATED, False, "unauthenticated"),
    (errors.ForbiddenError, Code.PERMISSION_DENIED, False, "forbidden"),
    (errors.QueueFullError, Code.UNAVAILABLE, True, "queue_full"),
    (errors.NoSlotError, Code.UNAVAILABLE, True, "no_slot"),
    (errors.NoBodyRoomError, Code.UNAVAILABLE, True, "no_body_room"),
    (errors.ReadTimeoutError, Code.UNAVAILABLE, True, "read_timeout"),
    (errors.SeriesLimitError, Code.UNAVAILABLE, True, "series_limit"),
    (errors.DrainingError, Code.UNAVAILABLE, True, "draining"),
    (errors.KeysAwayError, Code.UNAVAILABLE, True, "keys_away"),
    (errors.TooManyReadersError, Code.UNAVAILABLE, True, "too_many_readers"),
    (errors.TooManyQuestionsError, Code.UNAVAILABLE, True, "too_many_questions"),
    (errors.TooManyAnswersError, Code.UNAVAILABLE, True, "too_many_answers"),
    (errors.ApiAwayError, Code.UNAVAILABLE, True, "api_away"),
    (errors.NotFoundError, Code.NOT_FOUND, False, "not_found"),
    (errors.QueryTimeoutError, Code.DEADLINE_EXCEEDED, False, "query_timeout"),
    (errors.AnswerTooLargeError, Code.RESOURCE_EXHAUSTED, False, "answer_too_large"),
    (errors.NotTakenError, Code.DEADLINE_EXCEEDED, False, "not_taken"),
    (errors.HoldExpiredError, Code.UNAVAILABLE, True, "hold_expired"),
)
_HTTP_STATUS: Final = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.UNIMPLEMENTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_OURS: Final = Verdict(Code.UNAVAILABLE, True, "internal", "try again later")


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
