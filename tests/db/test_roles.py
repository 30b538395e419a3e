"""The optional role split: each role can do its work, and nothing beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from collector.maintain.ledger import LedgerRetirement
from collector.maintain.partitions import Partitions
from collector.rows import ConvertedRequest, Signal
from collector.settings import DatabaseSettings, PartitionSettings
from collector.settings.dsn import Address
from collector.store import migrate, migration_files
from collector.store.api_keys import read_live_keys
from collector.store.ledger import LedgerKey, claim
from collector.store.pool import Connection, Database, connect, resolve_dsn
from collector.store.pulse import obstacle
from collector.store.transaction import write_batch
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe
from tests.clocks import HandClock
from tests.converted import day_of, digest_of, request, span_row
from tests.db.writing import NOW, context

pytestmark = pytest.mark.postgres_versions

FORBIDDEN_TO_INGEST = [
    "SELECT name FROM trace_spans",
    "SELECT * FROM logs",
    "SELECT * FROM trace_events",
    "DELETE FROM trace_spans",
    "UPDATE metric_data_points SET value = 0",
    "TRUNCATE logs",
    "DROP TABLE logs",
    "CREATE TABLE mine (a integer)",
    "ALTER TABLE logs DISABLE TRIGGER ALL",
    "UPDATE resources SET attributes = '{}'",
    "DELETE FROM metric_series",
    (
        "INSERT INTO api_keys (id, name, scopes, hash)"
        " VALUES (repeat('0', 16), 'mine', '{admin}', decode(repeat('00', 32), 'hex'))"
    ),
    "UPDATE api_keys SET revoked_at = NULL",
    "DELETE FROM api_keys",
    "INSERT INTO otlpg_migrations (track, version, name, checksum) VALUES ('main', 99, '', '')",
]
FORBIDDEN_TO_READ = [
    "INSERT INTO scopes (scope_id, attributes, digest) VALUES (1, '{}', '')",
    "DELETE FROM dead_letters",
    "SELECT id, hash FROM api_keys",
    "UPDATE ingest_ledger SET seen = 0",
    "SELECT otlpg_make_leaf('logs', now(), 24)",
]


def as_user(settings: DatabaseSettings, user: str) -> DatabaseSettings:
    """Return settings for the same database and another user."""
    address = Address.from_dsn(resolve_dsn(settings))
    address.change({"user": user})
    return settings.model_copy(update={"dsn": SecretStr(address.to_dsn())})


@pytest.fixture
async def users(
    connection: Connection, database_settings: DatabaseSettings
) -> AsyncGenerator[dict[str, DatabaseSettings]]:
    """One user in each of the two roles, by the name of the role."""
    await migrate.up(connection, roles=True)
    database = await connection.fetchval("SELECT current_database()")
    names = {role: f"{role}_{database}" for role in ("otlpg_ingest", "otlpg_read")}
    for role, name in names.items():
        await connection.execute(f"CREATE ROLE {name} LOGIN IN ROLE {role}")
    yield {role: as_user(database_settings, name) for role, name in names.items()}
    for name in names.values():
        await connection.execute(f"DROP ROLE {name}")


@pytest.fixture
async def ingest(users: dict[str, DatabaseSettings]) -> AsyncGenerator[Connection]:
    """A connection of a user who may only write telemetry."""
    opened = await connect(users["otlpg_ingest"])
    yield opened
    opened.terminate()


@pytest.fixture
async def reader(users: dict[str, DatabaseSettings]) -> AsyncGenerator[Connection]:
    """A connection of a user who may only read."""
    opened = await connect(users["otlpg_read"])
    yield opened
    opened.terminate()


def spans() -> ConvertedRequest:
    """Return a request that touches facts, dimensions, ledger and traces."""
    return request("roles", signal=Signal.TRACES, rows=[span_row(1, time=NOW, root=True)])


async def test_a_plain_up_brings_roles_of_an_earlier_release_to_the_keys(
    ingest: Connection, connection: Connection
) -> None:
    """The owner need not say --roles again: the database knows that the track is on."""
    second = next(m for m in migration_files.known_migrations() if m.label == "roles/0002_api_keys")
    await connection.execute(second.down)
    await connection.execute(
        "DELETE FROM otlpg_migrations WHERE track = 'roles' AND version >= $1", second.version
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ingest.fetch("SELECT id, hash FROM api_keys")

    assert await migrate.up(connection) == [second]

    assert await ingest.fetch("SELECT id, hash FROM api_keys") == []


async def test_ingest_can_do_all_that_serve_does(
    users: dict[str, DatabaseSettings], ingest: Connection, connection: Connection
) -> None:
    """Schema check, leaves, a whole transaction twice, dead letters, the ledger's old rows."""
    settings = users["otlpg_ingest"]
    database = Database(settings)
    clock = SystemClock()
    await migrate.check_schema(ingest)
    partitions = Partitions(PartitionSettings(), database, clock, Metrics())
    await partitions.prepare()

    stored = (await write_batch(ingest, [spans()], context(settings, Signal.TRACES))).stored
    again = (await write_batch(ingest, [spans()], context(settings, Signal.TRACES))).stored
    await ingest.execute(
        "INSERT INTO dead_letters (signal, received_at, reason, outcome, payload)"
        " VALUES ('logs', now(), 'nul', 'repaired', '')"
    )
    await ingest.execute(
        "INSERT INTO ingest_ledger (day, digest, received_at, items)"
        " VALUES ('1970-01-01', 'old', now() - interval '25 hours', 1)"
    )
    await LedgerRetirement(24, database, clock, probe=Probe()).retire()
    assert await read_live_keys(database) == []
    await database.stop()

    assert (stored, again) == ([True], [False])
    assert await connection.fetchval("SELECT count(*) FROM trace_spans") == 1
    assert await connection.fetchval("SELECT count(*) FROM resources") == 1
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 1
    assert await connection.fetch("SELECT digest FROM ingest_ledger") == [(digest_of("roles"),)]
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relispartition"
    assert await connection.fetch(owners) == [("otlpg",)]


@pytest.mark.parametrize("statement", FORBIDDEN_TO_INGEST)
async def test_ingest_can_do_nothing_else(ingest: Connection, statement: str) -> None:
    """A stolen password of the daemon reads and changes no telemetry."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ingest.execute(statement)


@pytest.mark.parametrize("statement", FORBIDDEN_TO_READ)
async def test_read_can_write_nothing_and_see_no_key(reader: Connection, statement: str) -> None:
    """A dashboard's password changes nothing."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute(statement)


async def test_read_can_read_everything(reader: Connection) -> None:
    """Every table and view of ours but the keys is readable, and the schema check passes."""
    await migrate.check_schema(reader)
    unreadable = await reader.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND NOT has_table_privilege(oid, 'SELECT')"
    )

    assert [row["relname"] for row in unreadable] == ["api_keys"]


async def test_the_maker_of_leaves_cannot_be_tricked(
    ingest: Connection, connection: Connection
) -> None:
    """The function runs as the owner, but not what a caller puts into its search_path."""
    await ingest.execute(
        "CREATE TEMP TABLE logs (time timestamptz) PARTITION BY RANGE (time);"
        "SET search_path = pg_temp, public"
    )

    leaf = await ingest.fetchval("SELECT public.otlpg_make_leaf('logs', now(), 24)")

    await ingest.execute("DROP TABLE pg_temp.logs")

    parent = "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = $1::text::regclass"
    assert await connection.fetchval(parent, leaf) == "logs"
    assert await connection.fetchval(
        "SELECT prosecdef FROM pg_proc WHERE proname = 'otlpg_make_leaf'"
    )


async def test_a_later_maker_of_leaves_runs_as_the_owner_too(
    ingest: Connection, connection: Connection
) -> None:
    """A migration that replaces the function keeps what the role split made of it."""
    for migration in migration_files.known_migrations():
        if migration.track == "main" and "REPLACE FUNCTION otlpg_make_leaf" in migration.up:
            for text in (migration.down, migration.up):
                await connection.execute(f"BEGIN;{text};COMMIT")

                await ingest.execute("SELECT otlpg_make_leaf('logs', now(), 24)")
                assert await connection.fetchval(
                    "SELECT prosecdef FROM pg_proc WHERE proname = 'otlpg_make_leaf'"
                )


async def test_ingest_takes_a_detached_leaf_of_the_ledger_back(
    ingest: Connection, connection: Connection
) -> None:
    """The owner's otlpg died while it let the leaf go; the rows are back in the owner's table."""
    day, digest = day_of(NOW), digest_of("a")
    leaf = await ingest.fetchval("SELECT otlpg_make_leaf('ingest_ledger', $1, 24)", NOW)
    await claim(ingest, [LedgerKey(day, digest, 1, day)], timeout_s=5)
    await connection.execute(f"ALTER TABLE ingest_ledger DETACH PARTITION {leaf} CONCURRENTLY")

    again = await ingest.fetchval("SELECT otlpg_make_leaf('ingest_ledger', $1, 24)", NOW)

    assert again == leaf
    assert (await claim(ingest, [LedgerKey(day, digest, 1, day)], timeout_s=5)).before == {digest}


async def test_ingest_with_a_clock_ahead_deletes_nothing_young(
    users: dict[str, DatabaseSettings], ingest: Connection
) -> None:
    """Who deletes rows instead of leaves goes by the server's clock as well."""
    day, digest = day_of(NOW), digest_of("a")
    await ingest.fetchval("SELECT otlpg_make_leaf('ingest_ledger', $1, 24)", NOW)
    await claim(ingest, [LedgerKey(day, digest, 1, day)], timeout_s=5)
    database = Database(users["otlpg_ingest"])
    ahead = HandClock(datetime.now(UTC) + timedelta(days=2))

    await LedgerRetirement(24, database, ahead, probe=Probe()).retire()

    await database.stop()
    assert (await claim(ingest, [LedgerKey(day, digest, 1, day)], timeout_s=5)).before == {digest}


async def test_the_pulse_knows_who_may_write(ingest: Connection, reader: Connection) -> None:
    """The ingest role lacks nothing that a flush needs; a role that only reads is told what."""
    assert await obstacle(ingest, timeout_s=10.0) == ("", "")

    reason, sqlstate = await obstacle(reader, timeout_s=10.0)

    assert "INSERT on trace_spans" in reason
    assert sqlstate == "42501"
