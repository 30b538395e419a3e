"""api.errors: what a reader hears when PostgreSQL does not answer."""

from __future__ import annotations

import orjson
import pytest

from collector.api.errors import Failures
from collector.errors import RetryableStoreError, StoreError, StoreUnavailableError
from tests.clocks import HandClock


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StoreUnavailableError("cannot connect to 10.0.0.7:5432/otlpg"), "PostgreSQL is away"),
        (
            RetryableStoreError("InsufficientPrivilegeError (42501)", sqlstate="42501"),
            "PostgreSQL does not let us read: see api.dsn",
        ),
    ],
)
def test_a_database_that_does_not_answer_is_no_fault_of_ours(
    error: StoreError, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Come again later; where it is, and what it said, stands in the log alone."""
    answer = Failures(HandClock()).answer(error)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert orjson.loads(answer.body) == {"code": 14, "message": message}
    logged = capsys.readouterr()
    assert "own fault" not in logged.out + logged.err
    assert str(error) in logged.out + logged.err
