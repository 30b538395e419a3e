"""What a failure of the driver means: retry, the server's fault, a missing leaf, or a row's fault.

One table of SQLSTATEs decides; an unlisted code is retried, with an alert, because giving rows up
for a reason that nobody understood would be losing them.

The culprit of a failed COPY is named only in the last line of the error's context, and only there:
an error of the JSON reader puts the sender's text, which may well say "line 1", before it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from collector.errors import (
    MissingLeafError,
    PoisonRowError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
    UnlistedStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from collector.store.pool import Connection

_INVALID_BINARY = "22P03"  # asyncpg's cached type information is stale, not the row
_CHECK_VIOLATION = "23514"
_READ_ONLY = "25006"
_NOT_SUPPORTED = "0A000"  # to BEGIN .. READ WRITE a standby says this, and not that it is read-only

_SERVER = ("08", _READ_ONLY, "25P03", "28", "53", "57", "58")
"""No row of ours is to blame: lost, starting, read-only, refusing the login, full, stopping; or it
ended the session because this process stood still inside a transaction."""

PERHAPS_ONE_REQUEST = ("53200", "57014", "25P04")
"""Out of memory, cancelled by statement_timeout, ended by a transaction_timeout that somebody set:
a request of another size may well pass."""

_RETRYABLE = ("25P02", "40001", "40P01", "55P03", "42", _NOT_SUPPORTED, _INVALID_BINARY)
"""The next try is on another connection; 25P02 says that this one's transaction had failed."""

_OF_OUR_STATEMENTS = (_READ_ONLY, "3F", "42")
"""The server's text names tables, columns and privileges, and never a value that a sender chose."""

_ROW = ("22", "23", "54")


@contextmanager
def translated(
    connection: Connection | None = None, *, only: tuple[type[Exception], ...] = (Exception,)
) -> Generator[None]:
    """Let what the driver, the system or a codec raises in the block come out as our error.

    Our own errors pass as they are, with the cause that they have, and so does what is not among
    ``only``: a bug where nothing but the driver can fail.
    """
    try:
        yield
    except StoreError:
        raise
    except only as error:
        raise translate(error, connection=connection) from error


def translate(
    error: Exception,
    *,
    connection: Connection | None = None,
    table: str | None = None,
    row: int | None = None,
) -> StoreError:
    """Return our error for one of the driver, the operating system or a codec.

    ``table`` names the COPY that was running, and ``row`` the row that was being encoded, for an
    error that Python raised before the server saw the row. Whatever Python says on a ``connection``
    that is closed by now is a consequence of that.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate == _NOT_SUPPORTED and _is_standby(connection):
            return StoreUnavailableError("the server is a standby", sqlstate=_READ_ONLY)
        return _from_server(error, table)
    if connection is not None and connection.is_closed():
        return StoreUnavailableError(f"the connection was lost: {type(error).__name__}")
    if isinstance(error, OSError | asyncpg.ClientConfigurationError):  # TimeoutError is an OSError
        return StoreUnavailableError(f"no connection: {type(error).__name__}")
    if isinstance(error, OverflowError | TypeError | ValueError):  # UnicodeError is a ValueError
        # Ahead of InterfaceError: asyncpg's DataError, for an argument it cannot encode, is both.
        return PoisonRowError(
            f"a value cannot be encoded: {type(error).__name__}",
            sqlstate="",
            table=table,
            row=row,
        )
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        # The latter: the server said good-bye, and its words arrived before the end of the stream.
        return StoreUnavailableError(f"the connection is unusable: {type(error).__name__}")
    return UnlistedStoreError(f"unexpected {type(error).__name__}")


def _is_standby(connection: Connection | None) -> bool:
    """Tell whether the server has said that it is in recovery; behind pgbouncer it may not."""
    settings = connection.get_settings() if connection is not None else None
    return getattr(settings, "in_hot_standby", None) == "on"


def _from_server(error: asyncpg.PostgresError, table: str | None) -> StoreError:
    code = error.sqlstate or ""
    message = f"{type(error).__name__} ({code})"
    if code.startswith(_OF_OUR_STATEMENTS):
        message += f": {_text(error, 'message')}"
    if code == _CHECK_VIOLATION and not _text(error, "constraint_name"):
        return MissingLeafError(message, sqlstate=code)
    if code == _INVALID_BINARY or code.startswith(PERHAPS_ONE_REQUEST):
        return RetryableStoreError(message, sqlstate=code)
    if code.startswith(_SERVER):
        return StoreUnavailableError(message, sqlstate=code)
    if code.startswith(_RETRYABLE):
        return RetryableStoreError(message, sqlstate=code)
    if code.startswith(_ROW):
        row = None if table is None else culprit(_text(error, "context"), table)
        return PoisonRowError(message, sqlstate=code, table=table, row=row)
    return UnlistedStoreError(message, sqlstate=code)


def culprit(context: str, table: str) -> int | None:
    """Return the zero-based row that a failed COPY into ``table`` names, or None.

    The server counts from 1, in the language of its ``lc_messages``: ``COPY logs, line 3, column
    body: "..."``. So the line must begin with ``COPY <table>`` and the first integer after it is
    the number; everything that a sender can write comes later or on lines before.
    """
    last = context.rstrip("\n").rpartition("\n")[2]
    match = re.match(rf"COPY {re.escape(table)}\b\D*?(\d+)", last)
    return int(match[1]) - 1 if match else None


def _text(error: asyncpg.PostgresError, name: str) -> str:
    """Return a field of the server's message, empty when it was not sent."""
    value: object = getattr(error, name, None)
    return value if isinstance(value, str) else ""
