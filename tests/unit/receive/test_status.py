"""What a sender hears for each error, and that it can act on it."""

from __future__ import annotations

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from collector import errors
from collector.receive.refusal import retry_delay_s, to_trailers
from collector.receive.status import Code, is_expected, to_verdict

REFUSED: list[errors.OtlpgError] = [
    errors.QueueFullError(offered_items=1, offered_bytes=2, free_items=0, free_bytes=0),
    errors.NoSlotError(16),
    errors.NoBodyRoomError(2**26, 2**28),
    errors.ReadTimeoutError(10.0),
    errors.SeriesLimitError(1_000_000),
    errors.DrainingError(),
    errors.KeysAwayError(),
    errors.ApiAwayError("the API is off"),
    errors.HoldExpiredError(8.5),
]
REJECTED: list[tuple[errors.OtlpgError, Code]] = [
    (errors.UndecodableError("traces"), Code.INVALID_ARGUMENT),
    (errors.WrongSignalError("logs", 3), Code.INVALID_ARGUMENT),
    (errors.MalformedCallError("the call holds no message"), Code.INVALID_ARGUMENT),
    (errors.BadParameterError("n", "must be a number"), Code.INVALID_ARGUMENT),
    (errors.UnsupportedMediaError("no such form"), Code.UNIMPLEMENTED),
    (errors.TooLargeError(64), Code.RESOURCE_EXHAUSTED),
    (errors.TooManyValuesError(1_000_000), Code.RESOURCE_EXHAUSTED),
    (errors.TooManyItemsError(200_000), Code.RESOURCE_EXHAUSTED),
    (errors.UnauthenticatedError(), Code.UNAUTHENTICATED),
    (errors.ForbiddenError("not yours"), Code.PERMISSION_DENIED),
]


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: type(error).__name__)
def test_a_refusal_is_unavailable_with_retry_info_in_both_trailers(
    error: errors.OtlpgError,
) -> None:
    """Every SDK finds the same delay, wherever it looks."""
    verdict = to_verdict(error)
    trailers = dict(to_trailers(verdict, left_s=2.0))

    info = error_details_pb2.RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    packed = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(packed)
    assert verdict.code is Code.UNAVAILABLE
    assert info.retry_delay.ToMilliseconds() == 1000
    assert packed == info
    assert status.code == Code.UNAVAILABLE
    assert status.message == str(error)


@pytest.mark.parametrize(("error", "code"), REJECTED, ids=lambda part: type(part).__name__)
def test_a_rejection_carries_its_code_and_no_retry_info(
    error: errors.OtlpgError, code: Code
) -> None:
    """RetryInfo beside RESOURCE_EXHAUSTED would mean "again": a body too large would come for ever."""
    verdict = to_verdict(error)

    assert verdict.code is code
    assert to_trailers(verdict, left_s=10.0) == ()


def test_our_codes_are_those_of_grpc() -> None:
    """By name and number, so that a code means the same over HTTP."""
    theirs = {code.name: code.value[0] for code in grpc.StatusCode}

    assert {code.name: code.value for code in Code}.items() <= theirs.items()


def test_every_request_error_stands_in_the_table() -> None:
    """A new error of the tree cannot be forgotten."""
    told = {type(error) for error in REFUSED} | {type(error) for error, _ in REJECTED}
    leaves = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, (errors.RejectedRequestError, errors.RefusedRequestError))
    } - {errors.RejectedRequestError, errors.RefusedRequestError}

    assert told == leaves
    assert all(is_expected(error) for error in REFUSED)
    assert all(is_expected(error) for error, _ in REJECTED)


def test_a_bug_of_ours_is_retryable_and_tells_nothing() -> None:
    """The sender's data may be good, and an exception's text may hold a DSN."""
    bug = KeyError("postgresql://otlpg:hunter2@db/otlpg")

    verdict = to_verdict(bug)

    assert not is_expected(bug)
    assert verdict.code is Code.UNAVAILABLE
    assert verdict.retryable
    assert "hunter2" not in str(to_trailers(verdict, None)) + verdict.text


@pytest.mark.parametrize(
    ("left_s", "delay_s"), [(None, 1.6), (10.0, 1.6), (1.0, 0.5), (0.0, 0.0), (-3.0, 0.0)]
)
def test_the_delay_leaves_the_sender_time_for_one_more_try(
    left_s: float | None, delay_s: float
) -> None:
    """Half of what is left, 1.6 s at most, never negative."""
    assert retry_delay_s(left_s) == delay_s
