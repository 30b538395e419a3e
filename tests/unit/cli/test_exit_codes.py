"""cli.exit_codes: one table from errors to exit codes."""

from __future__ import annotations

import inspect

import pytest

from collector import errors
from collector.cli.exit_codes import exit_code, report
from collector.errors import (
    BadParameterError,
    CommandError,
    FilterError,
    NotFoundError,
    OtlpgError,
    RetryableStoreError,
    SchemaError,
    SettingsError,
    StoreError,
    StoreUnavailableError,
    UnreachableError,
    UsageError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("x"), 1),
        (StoreError("x"), 1),
        (UsageError("x"), 2),
        (FilterError("x", position=0), 2),
        (BadParameterError("cursor", "must be one"), 2),
        (NotFoundError("x"), 3),
        (SettingsError("x"), 4),
        (UnreachableError("x"), 5),
        (RetryableStoreError("x"), 5),
        (StoreUnavailableError("x"), 5),
        (SchemaError("x"), 6),
    ],
)
def test_each_class_has_its_exit_code(error: OtlpgError, code: int) -> None:
    """The codes are those that scripts may rely on."""
    assert exit_code(error) == code


def test_no_error_of_ours_is_without_an_exit_code() -> None:
    """Whatever class is added to errors.py, a command that meets it ends in order."""
    classes = [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, OtlpgError)
    ]

    codes = {exit_code(found.__new__(found)) for found in classes}

    assert codes == {1, 2, 3, 4, 5, 6}


def test_report_is_plain_text_with_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Two lines on standard error, nothing on standard output, no traceback."""
    report(StoreUnavailableError("cannot connect to PostgreSQL at db:5432/otlpg: refused"))

    shown = capsys.readouterr()
    first, second = shown.err.splitlines()
    assert first == "otlpg: cannot connect to PostgreSQL at db:5432/otlpg: refused"
    assert "otlpg check" in second
    assert shown.out == ""


def test_words_of_others_are_no_commands_for_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Lines of ours stay lines; what a server said within them is escaped."""
    report(CommandError("the daemon said:\n\x1b[2J\x1b]0;owned\x07 \u202egood\x9b1m\r"))

    assert capsys.readouterr().err == (
        "otlpg: the daemon said:\n\\x1b[2J\\x1b]0;owned\\x07 \\u202egood\\x9b1m\\r\n"
    )
