"""api.errors: what a reader hears when PostgreSQL does not answer."""

from __future__ import annotations

import orjson
import pytest

from collector.api.errors import Failures
from collector.errors import RetryableStoreError, StoreError, StoreUnavailableError
from tests.clocks import HandClock


@pytest.mark.parametrize(
    ("error", "cause", "detail"),
    [
        (
            StoreUnavailableError("cannot connect to 10.0.0.7:5432/otlpg"),
            "postgres_away",
            "PostgreSQL is away",
        ),
        (
            RetryableStoreError("InsufficientPrivilegeError (42501)", sqlstate="42501"),
            "no_right",
            "PostgreSQL does not let us read: see api.dsn",
        ),
    ],
)
def test_a_database_that_does_not_answer_is_no_fault_of_ours(
    error: StoreError, cause: str, detail: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Come again later; where it is, and what it said, stands in the log alone."""
    answer = Failures(HandClock()).answer(error)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["content-type"] == "application/problem+json"
    assert orjson.loads(answer.body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": detail,
        "code": 14,
        "cause": cause,
    }
    logged = capsys.readouterr()
    assert "own fault" not in logged.out + logged.err
    assert str(error) in logged.out + logged.err
