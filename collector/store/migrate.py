"""The schema's versions: plain SQL files, applied in order, once, by one process at a time.

``migrations/NNNN_name.up.sql`` and ``.down.sql`` are the schema; ``migrations/roles/`` is a second
track that stays off until it is asked for (``roles=True``) and is kept up to date from then on.
What was applied is written in the table ``otlpg_migrations``, with a checksum: a file that changes
after it was applied is an error, because two databases of one version would differ.

Each file runs in a transaction together with its record: up in one of its own, down in one with the
others that are taken back at the same time. Words in leading comments:

- ``-- otlpg: no-transaction``: for what refuses a transaction, such as ``CREATE INDEX
  CONCURRENTLY``. Such a file holds one statement, and must bear being run again.
- ``-- otlpg: drops-facts`` in a down file: stored telemetry is lost, so ``down`` wants ``yes``.

Connect directly, not through pgbouncer: the advisory lock belongs to the session, because files
without a transaction need it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from collector.errors import SchemaError, StoreError, UsageError
from collector.store.migration_files import (
    Direction,
    Migration,
    known_migrations,
    required_version,
    to_groups,
    to_parts,
    to_script,
    words_of,
)

if TYPE_CHECKING:
    from collector.store.pool import Connection

LOCK_CLASS = 1_869_900_912
"""First key of all our advisory locks ("otlp" in ASCII); also written in 0006_leaves.up.sql."""
MIGRATIONS_KEY = 0
"""Second key: migrations take it alone, makers of leaves share it."""

DOWN_TRIES = 6
DOWN_PAUSE_S = 1.0
_HELD_BY_OTHERS = ("40P01", "55P03")
"""Flushes take the same tables in another order: one of the two must give way, and come again."""

_TABLE = """\
CREATE TABLE IF NOT EXISTS otlpg_migrations (
    track       text        NOT NULL,
    version     integer     NOT NULL,
    name        text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (track, version)
);
COMMENT ON TABLE otlpg_migrations IS 'Which migrations were applied: the version of the schema.';
COMMENT ON COLUMN otlpg_migrations.track IS 'main, or roles where that optional track was asked for.';
COMMENT ON COLUMN otlpg_migrations.version IS 'Number of the migration within its track.';
COMMENT ON COLUMN otlpg_migrations.name IS 'Its name, as in the file NNNN_name.up.sql.';
COMMENT ON COLUMN otlpg_migrations.checksum IS 'SHA-256 of that file as it was applied.';
COMMENT ON COLUMN otlpg_migrations.applied_at IS 'When it was applied.';
"""


class Status(NamedTuple):
    """One migration and what the database knows of it."""

    migration: Migration
    applied_at: str | None
    """UTC time as text, or None while it is pending."""
    changed: bool
    """Whether the file is not what was applied."""


class _Applied(NamedTuple):
    name: str
    checksum: str
    at: str


_Records = dict[tuple[str, int], _Applied]


def _tell_nobody(_: Migration) -> None:
    """Be the listener of a caller who reads what is returned."""


async def status(connection: Connection) -> list[Status]:
    """Return every known migration with what the database says about it; changes nothing."""
    records = await _records(connection)
    found: list[Status] = []
    for migration in known_migrations():
        record = records.get((migration.track, migration.version))
        changed = record is not None and record.checksum != migration.checksum
        found.append(Status(migration, record.at if record else None, changed))
    return found


async def up(
    connection: Connection,
    *,
    roles: bool = False,
    tell: Callable[[Migration], None] = _tell_nobody,
) -> list[Migration]:
    """Apply what is pending, in order, and return it. Safe to run twice and from several places.

    Where nothing is pending it only reads, so the daemon's own role may run it at each start.
    ``tell`` is called with each migration as soon as it stays.

    Raises:
        SchemaError: a file changed after it was applied, or the database is ahead of us.
        StoreError: PostgreSQL refused a file; those before it stay applied.
    """
    async with _alone(connection):
        records = await _records(connection)
        if not records:
            await _run(connection, _TABLE, "otlpg_migrations")
        pending = _pending(records, roles=roles)
        for migration in pending:
            await _apply(connection, [migration], "up")
            tell(migration)
    return pending


async def down(
    connection: Connection,
    *,
    steps: int = 1,
    yes: bool = False,
    tell: Callable[[Migration], None] = _tell_nobody,
) -> list[Migration]:
    """Take back the last ``steps`` migrations of the main track, and return what was taken back.

    The roles track goes first, whole: its grants would silently be gone with the tables. All of it
    is one transaction, as far as the files allow, and is tried again while others hold a lock.
    ``tell`` is called with each migration as soon as it is gone for good.

    Raises:
        UsageError: stored telemetry would be dropped and ``yes`` is not given. Nothing is changed.
        SchemaError: a file changed after it was applied, or the database is ahead of us. Nothing
            is changed.
        StoreError: PostgreSQL refused a file, or others held a lock each time.
    """
    async with _alone(connection):
        doomed = _doomed(await _records(connection), steps)
        losing = [m.label for m in doomed if "drops-facts" in words_of(m.down)]
        if losing and not yes:
            raise UsageError(
                f"{', '.join(losing)} would drop stored telemetry; if that is meant, "
                f"run `otlpg migrate down --steps {steps} --yes`"
            )
        for group in to_groups(doomed, "down"):
            await _apply_patiently(connection, group)
            for migration in group:
                tell(migration)
    return doomed


async def sql(
    connection: Connection | None = None,
    *,
    direction: Direction = "up",
    steps: int = 1,
    roles: bool = False,
) -> str:
    """Return the script that ``up`` or ``down`` would run, for ``psql``; changes nothing.

    Without a connection it is the script for an empty database.
    """
    records: _Records = {} if connection is None else await _records(connection)
    if direction == "down":
        return "\n".join(to_script(_doomed(records, steps), "down"))
    return "\n".join([_TABLE, *to_script(_pending(records, roles=roles), "up")])


async def check_schema(connection: Connection) -> int:
    """Return the version of the schema, when it has all that this otlpg needs.

    It may be a later one than ``required_version``: in a rollout the new release migrates while
    daemons of the one before go on, and those that die start again. Migrations are written so that
    they can (CONTRIBUTING, "How migrations land").

    Raises:
        SchemaError: it has none, or an older one; the text holds the command to run.
    """
    records = await _records(connection)
    needed = required_version()
    versions = {version for track, version in records if track == "main"}
    if not versions:
        raise SchemaError("the database has no otlpg schema yet; run `otlpg migrate up`")
    if not versions.issuperset(range(1, needed + 1)):
        raise SchemaError(
            f"the schema is at version {max(versions)}, this otlpg needs {needed}; "
            "run `otlpg migrate up`"
        )
    return max(versions)


async def _records(connection: Connection) -> _Records:
    """Return what the database says was applied, by track and version.

    Raises:
        SchemaError: this role may not see it.
    """
    if not await connection.fetchval("SELECT to_regclass('otlpg_migrations') IS NOT NULL"):
        return {}
    try:
        rows = await connection.fetch(
            "SELECT track, version, name, checksum,"
            """ to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at"""
            " FROM otlpg_migrations"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaError(
            "this role may not read otlpg_migrations; grant it otlpg_ingest or otlpg_read "
            "(`otlpg migrate up --roles` makes both)"
        ) from error
    return {
        (row["track"], row["version"]): _Applied(row["name"], row["checksum"], row["at"])
        for row in rows
    }


def _pending(records: _Records, *, roles: bool) -> list[Migration]:
    _refuse_changed(records)
    tracks = {"main", *(track for track, _ in records), *(["roles"] if roles else [])}
    return [
        m for m in known_migrations() if m.track in tracks and (m.track, m.version) not in records
    ]


def _doomed(records: _Records, steps: int) -> list[Migration]:
    _refuse_changed(records)
    applied = [m for m in reversed(known_migrations()) if (m.track, m.version) in records]
    roles = [m for m in applied if m.track == "roles"]
    return roles + [m for m in applied if m.track == "main"][:steps]


def _refuse_changed(records: _Records) -> None:
    _refuse_newer(records)
    for migration in known_migrations():
        record = records.get((migration.track, migration.version))
        if record is not None and record.checksum != migration.checksum:
            raise SchemaError(
                f"migration {migration.label} is not the file that was applied on {record.at}; "
                "put the file back as it was, and make a new migration for the change"
            )


def _refuse_newer(records: _Records) -> None:
    known = {(m.track, m.version) for m in known_migrations()}
    newer = sorted(f"{version:04d}_{records[track, version].name}"
                   for track, version in records.keys() - known)  # fmt: skip
    if newer:
        raise SchemaError(
            f"the schema is newer than this otlpg: it has {', '.join(newer)}; run the newer otlpg, "
            "or take them back with it: `otlpg migrate down`"
        )


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncGenerator[None]:
    """Hold the advisory lock of migrations for a block; wait for whoever has it."""
    await connection.execute(f"SELECT pg_advisory_lock({LOCK_CLASS}, {MIGRATIONS_KEY})")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(f"SELECT pg_advisory_unlock({LOCK_CLASS}, {MIGRATIONS_KEY})")


async def _apply(connection: Connection, group: Sequence[Migration], direction: Direction) -> None:
    """Run the files of a group and write or remove their records, all or nothing."""
    for label, text in to_parts(group, direction):
        await _run(connection, text, label)


async def _apply_patiently(connection: Connection, group: Sequence[Migration]) -> None:
    """Take a group back; a lock that others hold is asked for again, a bounded number of times.

    Raises:
        StoreError: PostgreSQL refused a file, or others held a lock each time.
    """
    for _ in range(DOWN_TRIES - 1):
        try:
            await _apply(connection, group, "down")
        except StoreError as error:
            if error.sqlstate not in _HELD_BY_OTHERS:
                raise
        else:
            return
        await _pause(DOWN_PAUSE_S)
    await _apply(connection, group, "down")


async def _pause(pause_s: float) -> None:
    """Let those pass who queue behind our lock."""
    await asyncio.sleep(pause_s)


async def _run(connection: Connection, text: str, label: str) -> None:
    """Send one text; after a failure the session is outside any transaction."""
    try:
        await connection.execute(text)
    except asyncpg.PostgresError as error:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise StoreError(
            f"{label}: PostgreSQL says {error.sqlstate}: {error}",
            sqlstate=error.sqlstate or "",
            hint=_hint(error, label),
        ) from error


def _hint(error: asyncpg.PostgresError, label: str) -> str:
    """Return what to do about a refused file; empty when its own text has to do."""
    if not isinstance(error, asyncpg.InsufficientPrivilegeError):
        return ""
    if label.startswith("roles/"):
        return (
            "making the roles takes CREATEROLE: connect as a role that has it, or have otlpg_ingest "
            "and otlpg_read made beforehand"
        )
    return "connect as the owner of the schema's tables; the daemon's own role need not be it"
