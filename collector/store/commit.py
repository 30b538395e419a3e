"""COMMIT: sent with the time that its client waits for it, and believed only if vouched for.

While a COMMIT waits for a synchronous standby, no timeout of the server counts. Whether its client
still waits, only the client knows: a giant may wait for minutes where others wait for seconds. So
the statement says it, ``reaper`` reads it in ``pg_stat_activity``, and nothing else is needed.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from collector.errors import CommitUnknownError, RetryableStoreError

if TYPE_CHECKING:
    from asyncpg import PostgresLogMessage

    from collector.store.pool import Connection

GRACE_S: Final = 2.0
"""The server's own statement_timeout speaks first; this much later the client gives up too."""

PATIENCE_PATTERN: Final = r"^COMMIT /\* waits ([0-9]+) s \*/$"
"""Finds, as a regular expression of PostgreSQL, the seconds in what ``commit`` sends."""


async def commit(connection: Connection, *, timeout_s: float) -> None:
    """COMMIT, and return only if the server vouches for it.

    A warning during COMMIT says that it did not wait for its synchronous standby, or that there was
    no transaction: either way nobody vouches. Its text is translated and its code shared with
    others, so any warning counts.

    Raises:
        CommitUnknownError: no answer within ``timeout_s``, or one that does not vouch; the connection
            must not be used again.
        RetryableStoreError: it was no COMMIT but a rollback.
    """
    warnings: list[str] = []

    def hear(_connection: object, message: PostgresLogMessage) -> None:
        if getattr(message, "severity_en", None) == "WARNING":
            warnings.append(getattr(message, "sqlstate", None) or "01000")

    connection.add_log_listener(hear)
    try:
        status = await connection.execute(
            f"COMMIT /* waits {ceil(timeout_s)} s */", timeout=timeout_s
        )
    except Exception as error:
        code = getattr(error, "sqlstate", None)
        raise CommitUnknownError(
            f"no answer to COMMIT: {type(error).__name__}", sqlstate=code or ""
        ) from error
    finally:
        if not connection.is_closed():
            connection.remove_log_listener(hear)
    if warnings:
        raise CommitUnknownError("the server does not vouch for COMMIT", sqlstate=warnings[0])
    if status != "COMMIT":
        raise RetryableStoreError(f"the server answered COMMIT with {status}")
