"""The table of API keys: what a daemon has to know of them, and what operators do to them.

The daemon's role may read it and no more. Times are the server's own, so that a key expires when it
says, whoever's clock is wrong, up to the worker that compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from collector.store.failures import translated
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collector.store.pool import Connection, Database

KEYS_MAX: Final = 10_000
"""Keys that a process keeps: some 4 MB, and 15 ms of its loop at each reading. A key per team or
service is far less; a table that somebody filled by mistake must not stall every worker."""

_LIVE = """
SELECT id, scopes, hash, expires_at FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC, id LIMIT $1
"""
_SHOWN = """
id, name, scopes,
to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS expires_at,
to_char(revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS revoked_at,
CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
     WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END AS state
"""
_ALL = f"SELECT {_SHOWN} FROM api_keys ORDER BY api_keys.created_at DESC, id"  # noqa: S608 -- our own
_INSERT = f"""
INSERT INTO api_keys (id, name, scopes, hash, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5)) RETURNING {_SHOWN}
"""  # noqa: S608 -- our own
_REVOKE = f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING {_SHOWN}
"""  # noqa: S608 -- our own


class LiveKey(NamedTuple):
    """A key that is taken now.

    Units: ``expires_us`` in microseconds since 2000-01-01 UTC; None: never.
    """

    id: str
    scopes: frozenset[str]
    hash: bytes
    expires_us: int | None


class ApiKey(NamedTuple):
    """A key as an operator sees it, times as UTC text. Never its hash."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    state: str
    """valid, expired or revoked."""


async def read_live_keys(database: Database) -> list[LiveKey]:
    """Return the keys that are neither revoked nor expired, the newest first.

    Bounded: of more than ``KEYS_MAX`` it gives ``KEYS_MAX + 1``, by which the caller sees that the
    reading was cut.

    Raises:
        StoreError: PostgreSQL is away, slower than a connection may be, or this role may not read.
    """
    with translated():
        async with database.acquire() as connection:
            rows = await connection.fetch(
                _LIVE, KEYS_MAX + 1, timeout=database.settings.connect_s_max
            )
    return [LiveKey(row[0], frozenset(row[1]), row[2], row[3]) for row in rows]


async def insert_key(
    connection: Connection,
    *,
    id: str,  # noqa: A002 -- the column's name
    name: str,
    scopes: list[str],
    hash: bytes,  # noqa: A002 -- the column's name
    expires_s: float | None,
) -> ApiKey:
    """Write a new key, which works from now on, and return it.

    Units: ``expires_s`` in seconds from now; None: it never expires.

    Raises:
        StoreError: there is such an id already, or this role may not write.
    """
    with translated(only=DRIVER_ERRORS):
        row = await connection.fetchrow(_INSERT, id, name, scopes, hash, expires_s)
    assert row is not None, "RETURNING gives the row that was written"
    return ApiKey(*row)


async def find_keys(connection: Connection) -> list[ApiKey]:
    """Return every key, the newest first.

    Raises:
        StoreError: this role may not read them.
    """
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(_ALL)
    return [ApiKey(*row) for row in rows]


async def revoke_key(connection: Connection, id: str) -> ApiKey | None:  # noqa: A002
    """Revoke a key for good and return it; None when there is none. Safe twice: the first counts.

    Raises:
        StoreError: this role may not write.
    """
    with translated(only=DRIVER_ERRORS):
        row = await connection.fetchrow(_REVOKE, id)
    return ApiKey(*row) if row is not None else None
