"""One statement that a user wrote, run so that it can only read.

It becomes ``DECLARE .. CURSOR FOR`` what the user wrote, in the read-only transaction of a view. The
grammar behind those words takes a query and nothing else: no COMMIT, SET, COPY, DO or CALL, and no
INSERT inside a WITH. It goes over the extended protocol, which takes one statement. ``EXPLAIN`` runs
if a cursor takes what it explains: ``EXPLAIN ANALYZE SELECT .. INTO`` would make its table, read-only
or not. ``SHOW`` runs as it is. Whatever ran, the transaction is rolled back.

What is left are functions with effects beyond the transaction, where the role may call them: a
superuser's ``pg_read_file`` and ``pg_terminate_backend``, ``dblink`` where it is installed. Whoever
lets others ask gives them a role that may not: ``otlpg_read`` (README, "SQL").
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from collector.errors import StatementError
from collector.query.sql_values import SqlColumn, set_codecs
from collector.query.statement import Statement

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    from collector.query.view import View

STATEMENT_BYTES_MAX: Final = 2**20
CHUNK_ROWS: Final = 500

_CURSOR: Final = "otlpg_user"
_DECLARE: Final = f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR\n"
_FETCH: Final = f"FETCH FORWARD {CHUNK_ROWS} FROM {_CURSOR}"
_SPACE: Final = r"(?>\s+|--[^\n]*|/\*(?>.*?\*/))*+"
"""White space and comments, each read once: a comment never reaches into what follows it."""
_OPTION: Final = (
    r"\s*(?:analy[sz]e|verbose|costs|settings|generic_plan|buffers|serialize|wal|timing|summary"
    r"|memory|format)(?:\s+\w+)?\s*"
)
_EXPLAIN: Final = re.compile(
    rf"{_SPACE}(explain\b\s*(?:\({_OPTION}(?:,{_OPTION})*\)|(?:analy[sz]e\b)?\s*(?:verbose\b)?))",
    re.IGNORECASE | re.DOTALL,
)
_SHOW: Final = re.compile(rf"{_SPACE}(?=show\b)", re.IGNORECASE | re.DOTALL)

_ABOUT_THE_SERVER: Final = ("08", "53", "57", "58", "XX")
"""SQLSTATEs that tell nothing about the statement: connection, resources, operators, system."""


class Answer(NamedTuple):
    """Rows of a statement, in the forms of ``sql_values``."""

    columns: tuple[SqlColumn, ...]
    rows: AsyncGenerator[list[asyncpg.Record]]
    """Chunks of at most ``CHUNK_ROWS``, none of them empty."""


async def run(view: View, sql: str, *, role: str | None = None) -> Answer:
    """Begin one statement in a view and return its answer, which is read as its rows are asked for.

    ``role`` is what the transaction does ``SET ROLE`` to: it can do less by mistake. It is no wall
    against somebody who means to: a role that may log in is.

    Raises:
        StatementError: PostgreSQL refused it, or it is no query.
    """
    connection = view.connection
    await set_codecs(connection)
    if role is not None:
        with _told(0):
            await view.rows(Statement("SELECT set_config('role', $1::text, true)", (role,)))
    await view.rows(Statement("SELECT set_config('cursor_tuple_fraction', '1', true)"))
    if shown := _SHOW.match(sql):
        return await _answer_at_once(connection, sql[shown.end() :], -shown.end())
    if explained := _EXPLAIN.match(sql):
        explain, query = f"{explained[1]}\n", sql[explained.end() :]
        await _declare(view, query, explained.end())
        return await _answer_at_once(connection, explain + query, len(explain) - explained.end())
    await _declare(view, sql, 0)
    with _told(0):
        prepared = await connection.prepare(_FETCH)
    return Answer(_columns(prepared), _fetched(prepared))


async def _declare(view: View, query: str, begin: int) -> None:
    """Let a cursor be what the user asks; ``begin`` is where in the statement this query stands."""
    with _told(len(_DECLARE) - begin):
        await view.rows(Statement(_DECLARE + query))


async def _answer_at_once(connection: asyncpg.Connection[Any], sql: str, offset: int) -> Answer:
    """Run what no cursor takes, and is short."""
    with _told(offset):
        prepared = await connection.prepare(sql)

    async def rows() -> AsyncGenerator[list[asyncpg.Record]]:
        with _told(offset):
            found = await prepared.fetch()
        if found:
            yield found

    return Answer(_columns(prepared), rows())


async def _fetched(
    prepared: PreparedStatement[asyncpg.Record],
) -> AsyncGenerator[list[asyncpg.Record]]:
    while True:
        with _told(0):
            found = await prepared.fetch()
        if not found:
            return
        yield found


def _columns(prepared: PreparedStatement[asyncpg.Record]) -> tuple[SqlColumn, ...]:
    return tuple(SqlColumn(each.name, each.type.name) for each in prepared.get_attributes())


@contextmanager
def _told(offset: int) -> Generator[None]:
    """Let what PostgreSQL says about the statement come out in its own words.

    ``offset`` is how many characters of ours stand before what the user wrote.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        code = error.sqlstate or ""
        if code.startswith(_ABOUT_THE_SERVER):
            raise
        raise _statement_error(error, offset) from error
    except (asyncpg.UnsupportedClientFeatureError, ValueError, OverflowError) as error:
        raise StatementError(
            f"a value cannot be shown: {str(error).splitlines()[0]}",
            hint="cast it to text, or a row to JSON: to_jsonb(x)",
        ) from error


def _statement_error(error: asyncpg.PostgresError, offset: int) -> StatementError:
    position: Any = getattr(error, "position", None)
    place = int(position) - 1 - offset if position is not None else -1
    return StatementError(
        _field(error, "message"),
        sqlstate=error.sqlstate or "",
        position=place if place >= 0 else None,
        detail=_field(error, "detail"),
        hint=_field(error, "hint"),
    )


def _field(error: asyncpg.PostgresError, name: str) -> str:
    value: object = getattr(error, name, None)
    return value if isinstance(value, str) else ""
