"""The table that decides what a failure of the driver means."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from collector.errors import (
    MissingLeafError,
    PoisonRowError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
    UnlistedStoreError,
)
from collector.store.failures import culprit, translate, translated


def server_error(code: str, **fields: str) -> asyncpg.PostgresError:
    """Return what asyncpg raises for a message of the server."""
    letters = {"constraint_name": "n", "context": "W"}
    message = {"C": code, "M": "text of a sender", "S": "ERROR"}
    message |= {letters[name]: value for name, value in fields.items()}
    error: Any = asyncpg.PostgresError.new(message)  # pyright: ignore[reportUnknownMemberType]
    return error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("08000", StoreUnavailableError),
        ("08006", StoreUnavailableError),
        ("08P01", StoreUnavailableError),
        ("25006", StoreUnavailableError),
        ("25P03", StoreUnavailableError),
        ("28000", StoreUnavailableError),
        ("28P01", StoreUnavailableError),
        ("53100", StoreUnavailableError),
        ("53300", StoreUnavailableError),
        ("57P01", StoreUnavailableError),
        ("57P03", StoreUnavailableError),
        ("58030", StoreUnavailableError),
        ("53200", RetryableStoreError),
        ("57014", RetryableStoreError),
        ("25P04", RetryableStoreError),
        ("25P02", RetryableStoreError),
        ("40001", RetryableStoreError),
        ("40P01", RetryableStoreError),
        ("55P03", RetryableStoreError),
        ("42P01", RetryableStoreError),
        ("42501", RetryableStoreError),
        ("0A000", RetryableStoreError),
        ("22P03", RetryableStoreError),
        ("22P02", PoisonRowError),
        ("22P05", PoisonRowError),
        ("22021", PoisonRowError),
        ("22003", PoisonRowError),
        ("23502", PoisonRowError),
        ("23505", PoisonRowError),
        ("54000", PoisonRowError),
        ("XX000", UnlistedStoreError),
        ("25001", UnlistedStoreError),
        ("99999", UnlistedStoreError),
    ],
)
def test_code_of_the_server(code: str, expected: type[StoreError]) -> None:
    """Each listed code has its class; whatever is not listed is retried, with an alert."""
    error = translate(server_error(code))

    assert type(error) is expected
    assert error.sqlstate == code


def test_check_violation_without_a_constraint_is_a_missing_leaf() -> None:
    """A row that finds no partition breaks no constraint that has a name."""
    assert type(translate(server_error("23514"))) is MissingLeafError
    named = translate(server_error("23514", constraint_name="positive"))
    assert type(named) is PoisonRowError


@pytest.mark.parametrize(
    "error",
    [
        OverflowError("value out of int64 range"),
        TypeError("a bytes-like object is required"),
        ValueError("bad"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        asyncpg.exceptions._base.DataError("invalid input for query argument"),  # pyright: ignore
    ],
    ids=lambda error: type(error).__name__,
)
def test_value_that_python_cannot_encode_is_a_rows_fault(error: Exception) -> None:
    """The codec was at a known row of a known table."""
    poison = translate(error, table="logs", row=7)

    assert isinstance(poison, PoisonRowError)
    assert (poison.table, poison.row) == ("logs", 7)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        FileNotFoundError(),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 11"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.ClientConfigurationError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_on_the_way_to_the_server(error: Exception) -> None:
    """No row is suspected while the connection is."""
    assert type(translate(error, table="logs", row=7)) is StoreUnavailableError


def test_our_own_errors_pass_unchanged() -> None:
    """What is translated once stays as it is."""
    error = MissingLeafError("x")
    assert translate(error) is error


def test_bug_of_ours_is_retried_with_an_alert() -> None:
    """Nothing is given up for a reason that nobody understood."""
    assert type(translate(KeyError("x"))) is UnlistedStoreError


def test_no_text_of_the_server_gets_into_our_errors() -> None:
    """PostgreSQL quotes rows in its messages; they are a sender's."""
    error = translate(server_error("22P02", context="COPY logs, line 3: secret"), table="logs")
    assert "sender" not in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("context", "row"),
    [
        ("COPY logs, line 1, column body", 0),
        ("COPY logs, line 4711, column body", 4710),
        ("COPY logs, Zeile 3, Spalte body", 2),
        ("COPY logs, 行 3, 列 body", 2),
        ('JSON data, line 1: {"a":\nCOPY logs, line 20, column attributes', 19),
        ("JSON data, line 1: COPY logs, line 5\nCOPY logs, line 20, column attributes\n", 19),
        ("COPY logs, line 5\nsomething else", None),
        ("COPY logs_other, line 5", None),
        ("COPY other, line 5", None),
        ("while COPY logs, line 5", None),
        ("COPY logs", None),
        ("", None),
    ],
)
def test_culprit_is_named_by_the_last_line_only(context: str, row: int | None) -> None:
    """Anchored at its beginning, in any language, whatever a sender wrote before it."""
    assert culprit(context, "logs") == row
    error = translate(server_error("22P02", context=context), table="logs")
    assert isinstance(error, PoisonRowError)
    assert error.row == row


def test_our_own_error_keeps_its_cause_on_the_way_out() -> None:
    """Raised from itself it would lose what the driver said, and make a circle of causes."""
    said = server_error("22P02")
    with pytest.raises(PoisonRowError) as caught, translated(), translated():
        raise said

    assert caught.value.__cause__ is said


def test_a_bug_is_no_error_of_the_driver() -> None:
    """Where only the driver can fail, everything else stays what it is."""
    with pytest.raises(KeyError), translated(only=(OSError,)):
        raise KeyError
