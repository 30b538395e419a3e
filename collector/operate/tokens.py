"""``otlpg token``: make, list and revoke API keys.

The key itself exists in the output of ``create`` and nowhere else of ours: the table holds its hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.errors import NotFoundError, UsageError
from collector.receive.token import Scope, Token
from collector.store.api_keys import ApiKey, find_keys, insert_key, revoke_key
from collector.store.migrate import check_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store.pool import Connection

NAME_CHARS_MAX = 200
EXPIRES_S_MIN, EXPIRES_S_MAX = 60.0, 100 * 365 * 86_400.0


async def create(
    connection: Connection, *, name: str, scopes: Sequence[Scope], expires_s: float | None
) -> tuple[Token, ApiKey]:
    """Make a key that works within a second, and return it with its row.

    Units: ``expires_s`` in seconds from now; None: it never expires.

    Raises:
        UsageError: the name is empty or long, or the time is out of bounds.
        SchemaError: there is no table of keys yet.
        StoreError: it was not written.
    """
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise UsageError(f"--name must have 1 to {NAME_CHARS_MAX} printable characters")
    if expires_s is not None and not EXPIRES_S_MIN <= expires_s <= EXPIRES_S_MAX:
        raise UsageError("--expires must lie between 1 minute and 100 years")
    await check_schema(connection)
    token = Token.new()
    key = await insert_key(
        connection,
        id=token.id,
        name=name,
        scopes=sorted({str(scope) for scope in scopes}),
        hash=token.hash,
        expires_s=expires_s,
    )
    return token, key


async def find(connection: Connection) -> list[ApiKey]:
    """Return every key, the newest first.

    Raises:
        SchemaError: there is no table of keys yet.
        StoreError: this role may not read it.
    """
    await check_schema(connection)
    return await find_keys(connection)


async def revoke(connection: Connection, text: str) -> ApiKey:
    """Revoke the key with this id, or this very key, and return its row.

    Whoever finds a key that leaked has all of it, so that is understood too.

    Raises:
        NotFoundError: there is none.
        SchemaError: there is no table of keys yet.
        StoreError: it was not written.
    """
    await check_schema(connection)
    id_ = text.removeprefix("otlpg_").partition("_")[0]
    key = await revoke_key(connection, id_)
    if key is None:
        raise NotFoundError("there is no such key; `otlpg token list` shows them all")
    return key
