"""Dead letters read, marked and deleted, for the commands that an operator gives.

What makes letters is in ``dead_letters``. A letter never changes but for ``reason`` and
``attempts``; it goes with the transaction that stores it, or with a purge.

Everything but ``read`` leaves payloads on the server, so its memory does not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from collector.errors import RetryableStoreError
from collector.store.commit import commit
from collector.store.failures import translated
from collector.store.pool import DRIVER_ERRORS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from collector.store.pool import Connection


class Selection(NamedTuple):
    """Which letters are meant; all of them by default.

    Units: ``since`` and ``until`` are microseconds since 2000-01-01 UTC; ``until`` itself is out.
    """

    signal: str | None = None
    reason: str | None = None
    outcomes: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None
    ids: tuple[int, ...] | None = None


class LetterHead(NamedTuple):
    """A letter without its payload."""

    id: int
    signal: str
    received_at: int
    outcome: str
    reason: str
    attempts: int
    payload_bytes: int


class Letter(NamedTuple):
    """A whole letter."""

    head: LetterHead
    payload: bytes


class Group(NamedTuple):
    """Letters that are alike: how many, their bytes, and when the first and the last came."""

    signal: str
    outcome: str
    reason: str
    letters: int
    payload_bytes: int
    oldest: int
    newest: int


_HEAD = "id, signal, received_at, outcome, reason, attempts, octet_length(payload)"

_CHOSEN = """
    ($1::text IS NULL OR signal = $1) AND ($2::text IS NULL OR reason = $2)
    AND ($3::text[] IS NULL OR outcome = ANY($3))
    AND ($4::timestamptz IS NULL OR received_at >= $4)
    AND ($5::timestamptz IS NULL OR received_at < $5)
    AND ($6::bigint[] IS NULL OR id = ANY($6))"""
"""Of the parameters of a ``Selection``, in the order of its fields."""

_STATUS = """
SELECT CASE WHEN $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())
            THEN pg_xact_status($1::text::xid8) END"""
"""NULL for a transaction that this server has never seen."""


async def newest_first(
    connection: Connection, selection: Selection, *, before: int | None, limit: int
) -> list[LetterHead]:
    """Return the last ``limit`` letters whose id is below ``before``; None: of all.

    Raises:
        StoreError: PostgreSQL did not answer; this role may not read.
    """
    return await _heads(
        connection,
        f"SELECT {_HEAD} FROM dead_letters WHERE {_CHOSEN}"  # noqa: S608 -- our own text
        " AND ($7::bigint IS NULL OR id < $7) ORDER BY id DESC LIMIT $8",
        selection,
        before,
        limit,
    )


async def oldest_first(
    connection: Connection, selection: Selection, *, after: int, last: int, limit: int
) -> list[LetterHead]:
    """Return the first ``limit`` letters whose id is above ``after`` and not above ``last``.

    Raises:
        StoreError: as ``newest_first``.
    """
    return await _heads(
        connection,
        f"SELECT {_HEAD} FROM dead_letters WHERE {_CHOSEN}"  # noqa: S608 -- our own text
        " AND id > $7 AND id <= $8 ORDER BY id LIMIT $9",
        selection,
        after,
        last,
        limit,
    )


async def last_id(connection: Connection) -> int:
    """Return the highest id; 0 when there is no letter."""
    with translated(only=DRIVER_ERRORS):
        found: int = await connection.fetchval("SELECT coalesce(max(id), 0) FROM dead_letters")
    return found


async def groups(connection: Connection, selection: Selection, *, last: int) -> list[Group]:
    """Return the letters up to id ``last``, added up by signal, outcome and reason."""
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(
            "SELECT signal, outcome, reason, count(*), sum(octet_length(payload))::bigint,"  # noqa: S608 -- our own text
            f" min(received_at), max(received_at) FROM dead_letters WHERE {_CHOSEN}"
            " AND id <= $7 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            *selection,
            last,
        )
    return [Group(*row) for row in rows]


async def read(connection: Connection, ids: Collection[int]) -> list[Letter]:
    """Return whole letters, sorted by id; those that do not exist are left out."""
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(
            f"SELECT {_HEAD}, payload FROM dead_letters WHERE id = ANY($1::bigint[]) ORDER BY id",  # noqa: S608 -- our own text
            list(ids),
        )
    return [Letter(LetterHead(*row[:-1]), row[-1]) for row in rows]


async def note_attempts(
    connection: Connection, reasons: Mapping[int, str], *, timeout_s: float
) -> None:
    """Count one more attempt of each letter, and say why it failed; one that is gone stays gone.

    Args:
        connection: not inside a transaction.
        reasons: why, by id.
        timeout_s: of the statement.

    Raises:
        StoreError: PostgreSQL did not do it, or did not say so.
    """
    with translated(only=DRIVER_ERRORS):
        await connection.execute(
            "UPDATE dead_letters AS d SET attempts = d.attempts + 1, reason = n.reason"
            " FROM unnest($1::bigint[], $2::text[]) AS n (id, reason) WHERE d.id = n.id",
            list(reasons),
            list(reasons.values()),
            timeout=timeout_s,
        )


async def taken_by(
    connection: Connection,
    transaction: str,
    ids: Sequence[int],
    *,
    lock_s: float,
    timeout_s: float,
) -> bool:
    """Return whether ``transaction``, whose COMMIT had no good answer, has stored and taken ``ids``.

    True is vouched for like any COMMIT: after it was looked at, something small is written and
    committed, so that whoever has to keep that has the letters' transaction, too. That a letter is
    not there would tell nothing: somebody may have deleted it. Nor would the id alone after a
    failover, which gives the number of a lost transaction to another one.

    Raises:
        CommitUnknownError: it has, but nobody vouches for it; ask again.
        StoreError: PostgreSQL did not answer, or somebody works on a letter for longer than
            ``lock_s``; ask again.
    """
    with translated(connection, only=DRIVER_ERRORS):
        await connection.execute(
            f"BEGIN; SET LOCAL lock_timeout = {max(1, round(lock_s * 1000))}"
            f"; SET LOCAL statement_timeout = {max(1, round(timeout_s * 1000))}",
            timeout=timeout_s,
        )
        there = await connection.fetchval(
            "SELECT count(*) FROM (SELECT FROM dead_letters WHERE id = ANY($1::bigint[])"
            " ORDER BY id FOR UPDATE) AS locked",  # so that whoever works on one is done
            ids,
            timeout=timeout_s,
        )
        status = await connection.fetchval(_STATUS, transaction, timeout=timeout_s)
        if status == "in progress":
            raise RetryableStoreError("the transaction that took the letters is not over")
        if there or status != "committed":
            await connection.execute("ROLLBACK", timeout=timeout_s)
            return False
        await connection.execute(
            "SELECT pg_logical_emit_message(true, 'otlpg', '')", timeout=timeout_s
        )
        await commit(connection, timeout_s=timeout_s)
        return True


async def delete_listed(
    connection: Connection, selection: Selection, ids: Sequence[int]
) -> tuple[int, int]:
    """Delete those of ``ids`` that are still chosen; return how many went, and how many are left.

    One that a replay works on is passed over, and is left; one whose reason a replay changed, too.

    Raises:
        StoreError: PostgreSQL did not do it; this role may not.
    """
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(
            f"WITH chosen AS MATERIALIZED (SELECT id FROM dead_letters WHERE {_CHOSEN}"  # noqa: S608 -- our own text
            " AND id = ANY($7::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED)"
            " DELETE FROM dead_letters AS d USING chosen AS c WHERE d.id = c.id RETURNING d.id",
            *selection,
            ids,
        )
        left: int = await connection.fetchval(
            "SELECT count(*) FROM dead_letters WHERE id = ANY($1::bigint[])", ids
        )
    return len(rows), left


async def _heads(
    connection: Connection, query: str, selection: Selection, *arguments: int | None
) -> list[LetterHead]:
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(query, *selection, *arguments)
    return [LetterHead(*row) for row in rows]
