"""The end of every transaction that somebody is told about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.errors import CommitUnknownError, RetryableStoreError

if TYPE_CHECKING:
    from asyncpg import PostgresLogMessage

    from collector.store.pool import Connection


async def commit(connection: Connection, *, timeout_s: float) -> None:
    """COMMIT, and return only if the server vouches for it.

    A warning during COMMIT says that it did not wait for its synchronous standby, or that there was
    no transaction: either way nobody vouches. Its text is translated and its code shared with
    others, so any warning counts.

    Raises:
        CommitUnknownError: nobody vouches; the connection must not be used again.
        RetryableStoreError: the server rolled back instead.
    """
    warnings: list[str] = []

    def hear(_connection: object, message: PostgresLogMessage) -> None:
        if getattr(message, "severity_en", None) == "WARNING":
            warnings.append(getattr(message, "sqlstate", None) or "01000")

    connection.add_log_listener(hear)
    try:
        status = await connection.execute("COMMIT", timeout=timeout_s)
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
