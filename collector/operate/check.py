"""``otlpg check``: what must hold before senders are pointed here, step by step.

A step that fails ends the check when the ones after it cannot work without it, so the first failure
is the cause and names what to do. Nothing is changed: the sample is rolled back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from collector.errors import (
    CommandError,
    LinkError,
    OtlpgError,
    SettingsError,
    StoreError,
    UnreachableError,
)
from collector.flush.poison import sample
from collector.receive.certificates import read_in_time
from collector.rows import FACT_COLUMNS, FACT_TABLES, PG_EPOCH_UNIX_US, TIME_INDEX, Signal
from collector.store.copy import copy_rows
from collector.store.failures import translate
from collector.store.migrate import check_schema
from collector.store.migration_files import required_version
from collector.store.pool import DRIVER_ERRORS, Connection, Database, connect, describe
from collector.tail.redis_link import ping

if TYPE_CHECKING:
    from collector.settings import Settings
    from collector.settings.load import Loaded

POSTGRES_MIN = 150_000
RETRY_AFTER_S = (0.2, 0.6, 1.5)
"""A server that is just starting, or a name that is just being published, gets this long."""


class Step(NamedTuple):
    """One thing that was looked at: fine, fine with a warning, or failed."""

    name: str
    found: str
    error: OtlpgError | None = None
    hint: str = ""
    warning: bool = False


async def check(load: Callable[[], Loaded]) -> AsyncGenerator[Step]:
    """Yield each step as soon as its result is known; stops at a failure that others rest on."""
    try:
        settings, origins = load()
    except CommandError as error:
        yield Step("settings", str(error), error, "see the table of settings in README")
        return
    yield _settings(origins)
    if settings.tls.on:
        yield await _certificate(settings)
    yield await _redis(settings)
    try:
        connection = await connect_patiently(settings)
    except OtlpgError as error:
        yield Step("postgres", str(error), error, _way_in(error))
        return
    try:
        async for step in _on_server(settings, connection):
            yield step
            if step.error is not None:
                return
    except DRIVER_ERRORS as error:
        text = f"a question was not answered: {error}"
        hint = "does this role have the rights of otlpg_read? see `otlpg migrate up --roles`"
        yield Step("server", text, CommandError(text), hint)
        return
    finally:
        connection.terminate()
    yield await _pool(settings)


def _way_in(error: OtlpgError) -> str:
    """Return what to do about a connection that was not made."""
    if isinstance(error, SettingsError):
        return "correct DATABASE_URL"
    own = error.hint if isinstance(error, StoreError) else ""
    return own or "start PostgreSQL, or correct DATABASE_URL or DB_HOST, DB_PORT"


def _settings(origins: dict[str, str]) -> Step:
    names = ", ".join(sorted(set(origins.values())))
    return Step("settings", f"valid; given: {names}" if names else "valid; all defaults")


async def _certificate(settings: Settings) -> Step:
    """Read the certificate, as `serve` would, and tell when it ends."""
    try:
        material = await read_in_time(settings.tls)
    except SettingsError as error:
        return Step("tls", str(error), error, "correct the files, or OTLPG_TLS__*")
    days = (material.expires_unix_s - time.time()) / 86_400
    if days < 0:
        return Step(
            "tls", f"the certificate ended {-days:.0f} days ago", warning=True,
            hint="renew it: senders refuse it",
        )  # fmt: skip
    return Step(
        "tls", f"the certificate is good for {days:.0f} days", warning=days < 14,
        hint="renew it" if days < 14 else "",
    )  # fmt: skip


async def _redis(settings: Settings) -> Step:
    """Ping Redis, where one is named; without it live tails stay inside the process."""
    url = settings.redis.url
    if url is None:
        return Step("redis", "not configured: live tails are those of this daemon")
    started_s = time.monotonic()
    try:
        await ping(settings.redis)
    except LinkError as error:
        return Step(
            "redis", str(error), UnreachableError(str(error)), "start Redis, or correct REDIS_URL"
        )
    return Step("redis", f"answers in {_ms_since(started_s)}")


async def connect_patiently(settings: Settings) -> Connection:
    """Return a connection; a server that is only just starting is asked again.

    Raises:
        StoreError: the last attempt failed as well.
        SettingsError: the address cannot be read.
    """
    for pause_s in RETRY_AFTER_S:
        try:
            return await connect(settings.database)
        except StoreError as error:
            if error.sqlstate.startswith(("28", "3D")):  # wrong password, role or database
                raise
            await asyncio.sleep(pause_s)
    return await connect(settings.database)


async def _on_server(settings: Settings, connection: Connection) -> AsyncGenerator[Step]:
    """Yield the steps that need one connection, in the order in which each rests on the last."""
    yield await _server(settings, connection)
    yield await _durability(connection)
    try:
        version = await check_schema(connection)
    except OtlpgError as error:
        yield Step("schema", str(error), error)
        return
    yield _schema(version)
    if settings.auth.keys:
        yield await _keys(connection)
    yield await _partitions(connection)
    yield await _sample(settings, connection)


async def _server(settings: Settings, connection: Connection) -> Step:
    started_s = time.monotonic()
    row = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int AS number, pg_is_in_recovery() AS standby,"
        " current_setting('server_version') AS version, current_user AS role"
    )
    assert row is not None
    answered = _ms_since(started_s)
    found = f"{row['version']} at {describe(settings.database)} as {row['role']}, {answered}"
    if row["number"] < POSTGRES_MIN:
        error = CommandError(f"PostgreSQL {row['version']} is too old")
        return Step("postgres", found, error, "otlpg needs PostgreSQL 15 or newer")
    if row["standby"]:
        error = CommandError("the server is a read-only standby")
        hint = "name the primary; with several hosts add target_session_attrs=read-write to the URL"
        return Step("postgres", f"{found}; a read-only standby", error, hint)
    return Step("postgres", found)


async def _durability(connection: Connection) -> Step:
    """Warn of server settings under which a committed item can still be lost."""
    rows = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE current_setting(name) = 'off'",
        ["fsync", "synchronous_commit", "full_page_writes"],
    )
    unsafe = [row["name"] for row in rows]
    if unsafe:
        return Step(
            "durability", f"{', '.join(unsafe)} is off", warning=True,
            hint="a crash of the server can lose what was acknowledged; switch it on",
        )  # fmt: skip
    return Step("durability", "a commit is on disk when it is answered")


def _schema(version: int) -> Step:
    """Tell the version; a newer one is served, but not for ever."""
    needed = required_version()
    if version > needed:
        return Step(
            "schema", f"version {version}, newer than the {needed} of this otlpg", warning=True,
            hint="a newer release has migrated it; `serve` works, update this otlpg soon",
        )  # fmt: skip
    return Step("schema", f"version {version}, as this otlpg needs")


async def _keys(connection: Connection) -> Step:
    """Count the keys by which senders come in."""
    allowed, role = await connection.fetchrow(
        "SELECT has_table_privilege('api_keys', 'SELECT'), quote_ident(current_user)"
    ) or (False, "")
    if not allowed:
        text = f"{role} may not read api_keys: nobody could send"
        hint = (
            "as the owner of the tables: `otlpg migrate up` where the roles of `--roles` are in use, "
            f"else GRANT SELECT ON api_keys TO {role}"
        )
        return Step("keys", text, CommandError(text), hint)
    count = await connection.fetchval(
        "SELECT count(*) FROM api_keys WHERE 'ingest' = ANY (scopes)"
        " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
    )
    if not count:
        return Step(
            "keys", "no key to ingest: nobody can send", warning=True,
            hint="`otlpg token create --name .. --scope ingest`",
        )  # fmt: skip
    return Step("keys", f"{count} to ingest")


async def _partitions(connection: Connection) -> Step:
    """Tell how far ahead of the clock every table has leaves; `serve` makes them at its start."""
    rows = await connection.fetch(
        "SELECT p.parent, max(CASE WHEN isfinite(l.ends_at) THEN l.ends_at - now() END) AS ahead"
        " FROM unnest($1::text[]) AS p (parent)"
        " LEFT JOIN otlpg_leaves() AS l ON l.parent = p.parent AND l.ends_at > now()"
        " GROUP BY p.parent ORDER BY ahead NULLS FIRST, p.parent",
        [*FACT_TABLES.values(), "traces", "ingest_ledger"],
    )
    without = [row["parent"] for row in rows if row["ahead"] is None]
    if without:
        return Step(
            "partitions", f"none for now in {', '.join(without)}", warning=True,
            hint="no daemon has run yet, or none has for long: `otlpg serve` makes them at its start",
        )  # fmt: skip
    nearest = rows[0]
    hours = nearest["ahead"].total_seconds() / 3600
    return Step("partitions", f"reach {hours:.0f} h ahead ({nearest['parent']})")


async def _sample(settings: Settings, connection: Connection) -> Step:
    """Write one row into each fact table, read it back if this role may, and roll it all back."""
    started_s = time.monotonic()
    now_us = time.time_ns() // 1000 - PG_EPOCH_UNIX_US
    try:
        async with _rolled_back(connection, settings):
            read = [await _write_and_read(connection, signal, now_us) for signal in Signal]
    except (StoreError, asyncpg.PostgresError) as error:
        text = f"a row cannot be written and read: {error}"
        hint = "does this role have the rights of otlpg_ingest? see `otlpg migrate up --roles`"
        return Step("sample", text, CommandError(text), hint)
    done = "written, read and rolled back" if all(read) else "written and rolled back"
    return Step("sample", f"{done} in {_ms_since(started_s)}")


@asynccontextmanager
async def _rolled_back(connection: Connection, settings: Settings) -> AsyncGenerator[None]:
    """Run a block in a transaction that leaves nothing behind and waits for nobody for long."""
    lock_ms = round(settings.database.lock_s_max * 1000)
    await connection.execute(f"BEGIN; SET LOCAL lock_timeout = {lock_ms}")
    try:
        yield
    finally:
        await connection.execute("ROLLBACK")


async def _write_and_read(connection: Connection, signal: Signal, now_us: int) -> bool:
    """Write a row and look for it; False when this role may not, as otlpg_ingest.

    Then the server's own count of the rows that its COPY took has to do.
    """
    table = FACT_TABLES[signal]
    await connection.fetchval("SELECT otlpg_make_leaf($1, now(), 1)", table)
    request = sample(signal, now_us)
    found = await copy_rows(connection, signal, [request], timeout_s=10.0)
    readable: bool = await connection.fetchval("SELECT has_table_privilege($1, 'SELECT')", table)
    if readable:
        time_column = FACT_COLUMNS[signal][TIME_INDEX[signal]]
        found = await connection.fetchval(
            f"SELECT count(*) FROM {table} WHERE {time_column} = $1",  # noqa: S608 -- our own names
            request.rows[0][TIME_INDEX[signal]],
        )
    if not found:
        raise StoreError(f"the row written to {table} is not there")
    return readable


async def _pool(settings: Settings) -> Step:
    """Open the connections that the daemon keeps, and compare its bound with the server's room."""
    database = Database(settings.database)
    try:
        await database.start()
        counts = database.statistics()
        async with database.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int AS room,"
                " count(*) FILTER (WHERE application_name <> $1) AS others"
                " FROM pg_stat_activity WHERE backend_type = 'client backend'",
                settings.database.app_name,
            )
    except DRIVER_ERRORS as error:
        failure = translate(error)
        return Step("pool", str(failure), failure)
    except OtlpgError as error:
        return Step("pool", str(error), error, _way_in(error))
    finally:
        await database.stop()
    assert row is not None
    free = row["room"] - row["others"]
    found = (
        f"{counts['idle']} of at most {settings.database.connections_max} open, "
        f"{settings.connections_needed()} needed; the server has room for {free}"
    )
    if free < settings.database.connections_max:
        return Step(
            "pool", found, warning=True,
            hint="raise max_connections of the server, or lower DB_MAX_CONNECTIONS",
        )  # fmt: skip
    return Step("pool", found)


def _ms_since(started_s: float) -> str:
    return f"{(time.monotonic() - started_s) * 1000:.1f} ms"
