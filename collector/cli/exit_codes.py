"""The one table from errors to exit codes, and the two lines that an operator reads."""

from __future__ import annotations

import sys

from collector.cli.printing import escaped_lines
from collector.errors import (
    BadParameterError,
    NotFoundError,
    OtlpgError,
    RetryableStoreError,
    SchemaError,
    SettingsError,
    StoreError,
    UnreachableError,
    UsageError,
)

OK = 0
FAILURE = 1
USAGE = 2  # mostly given by typer itself

EXIT_CODES: tuple[tuple[type[OtlpgError], int, str], ...] = (
    (UsageError, USAGE, ""),
    (BadParameterError, USAGE, ""),
    (NotFoundError, 3, ""),
    (SettingsError, 4, ""),
    (UnreachableError, 5, ""),
    (
        RetryableStoreError,
        5,
        (
            "is PostgreSQL running, and does DATABASE_URL or DB_HOST point to it? "
            "`otlpg check` looks closer; `otlpg dev` brings a PostgreSQL of its own"
        ),
    ),
    (SchemaError, 6, ""),
    (OtlpgError, FAILURE, ""),
)
"""Class, exit code, and the next step where the error's own text does not hold one."""


def exit_code(error: OtlpgError) -> int:
    """Return the exit code for an error."""
    return _entry(error)[1]


def report(error: OtlpgError) -> None:
    """Write an error and the next step to standard error, without a traceback.

    An error may quote a server, a file or a variable: whatever a terminal would obey is escaped.
    """
    sys.stderr.write(f"otlpg: {escaped_lines(str(error))}\n")
    next_step = (error.hint if isinstance(error, StoreError) else "") or _entry(error)[2]
    if next_step:
        sys.stderr.write(f"otlpg: {escaped_lines(next_step)}\n")


def _entry(error: OtlpgError) -> tuple[type[OtlpgError], int, str]:
    return next(entry for entry in EXIT_CODES if isinstance(error, entry[0]))
