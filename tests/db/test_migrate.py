"""Migrations: up, down and up again, alone among many, and never over a changed file."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.errors import SchemaError, StoreError, UsageError
from collector.settings import DatabaseSettings
from collector.store import migrate, migration_files
from collector.store.embedded import ROLE, EmbeddedPostgres
from collector.store.pool import Connection, connect, resolve_dsn

pytestmark = pytest.mark.postgres_versions

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def empty(empty_database: DatabaseSettings) -> AsyncGenerator[Connection]:
    """A connection to a database with nothing in it."""
    opened = await connect(empty_database)
    yield opened
    opened.terminate()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the SQL files that a test may change; migrate reads them instead."""
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder)
    monkeypatch.setattr(migration_files, "_folder", lambda: folder)
    return folder


def add(files: Path, name: str, up: str, down: str = "") -> str:
    """Add a migration after the last one and return its label."""
    label = f"{migration_files.required_version() + 1:04d}_{name}"
    (files / f"{label}.up.sql").write_text(up)
    (files / f"{label}.down.sql").write_text(down)
    return label


def remove(files: Path, label: str) -> None:
    """Take a migration away, as if this otlpg were older."""
    (files / f"{label}.up.sql").unlink()
    (files / f"{label}.down.sql").unlink()


def last_label() -> str:
    """Return the label of the newest migration of the main track."""
    return next(m.label for m in reversed(migration_files.known_migrations()) if m.track == "main")


def role_labels() -> list[str]:
    """Return the labels of the optional track, in the order of applying."""
    return [m.label for m in migration_files.known_migrations() if m.track == "roles"]


async def dump(server: EmbeddedPostgres, connection: Connection) -> str:
    """Return the schema as ``pg_dump`` writes it, without its random keys."""
    database = await connection.fetchval("SELECT current_database()")
    assert server.binaries is not None
    process = await asyncio.create_subprocess_exec(
        server.binaries / "pg_dump", "--schema-only", server.dsn(database),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    lines = output.decode().splitlines()
    return "\n".join(line for line in lines if "restrict " not in line)


async def everything_down(connection: Connection) -> list[migration_files.Migration]:
    """Take back all that there is."""
    return await migrate.down(connection, steps=migration_files.required_version(), yes=True)


async def test_up_down_up_leaves_the_same_schema(
    empty: Connection, server_under_test: EmbeddedPostgres
) -> None:
    """Each down undoes its up wholly: nothing is left, and the next up finds its way."""
    first = await migrate.up(empty, roles=True)
    schema = await dump(server_under_test, empty)
    assert "CREATE TABLE public.trace_spans" in schema

    taken_back = await everything_down(empty)
    bare = await dump(server_under_test, empty)
    assert "otlpg_migrations" in bare
    assert "trace_spans" not in bare
    assert "FUNCTION" not in bare

    again = await migrate.up(empty, roles=True)
    assert await dump(server_under_test, empty) == schema
    assert again == first
    assert {m.label for m in taken_back} == {m.label for m in first}


async def test_up_goes_one_step_at_a_time_both_ways(empty: Connection) -> None:
    """Every version on the way down is one that up can start from."""
    await migrate.up(empty)
    for step in range(migration_files.required_version()):
        await migrate.down(empty, steps=step + 1, yes=True)
        assert len(await migrate.up(empty)) == step + 1

    await migrate.check_schema(empty)


async def test_up_with_nothing_to_do_changes_nothing(connection: Connection) -> None:
    """A second up is safe and says that there was nothing."""
    assert await migrate.up(connection) == []


async def test_many_ups_at_once_apply_each_file_once(empty_database: DatabaseSettings) -> None:
    """Ten pods that start together migrate once; the others wait and find it done."""

    async def up() -> int:
        opened = await connect(empty_database)
        try:
            return len(await migrate.up(opened))
        finally:
            await opened.close()

    applied = await asyncio.gather(*(up() for _ in range(10)))

    assert sorted(applied) == [0] * 9 + [migration_files.required_version()]


async def test_down_refuses_to_lose_telemetry(connection: Connection) -> None:
    """Without yes a down that would drop facts does nothing at all, not even its harmless part."""
    with pytest.raises(UsageError, match=r"0001_facts would drop stored telemetry.*--yes"):
        await migrate.down(connection, steps=migration_files.required_version())

    await migrate.check_schema(connection)
    assert [m.label for m in await migrate.down(connection)] == [last_label()]


async def test_a_changed_file_is_named(connection: Connection, files: Path) -> None:
    """A file that is not what was applied stops up and down, and status shows it."""
    changed = files / "0002_dimensions.up.sql"
    changed.write_text(changed.read_text() + "-- a harmless remark\n")

    with pytest.raises(SchemaError, match="0002_dimensions is not the file"):
        await migrate.up(connection)
    with pytest.raises(SchemaError, match="0002_dimensions is not the file"):
        await migrate.down(connection)
    assert [s.migration.name for s in await migrate.status(connection) if s.changed] == [
        "dimensions"
    ]


async def test_status_tells_what_is_applied_and_what_waits(
    connection: Connection, files: Path
) -> None:
    """Applied ones have a time, a new file and the roles that nobody asked for do not."""
    label = add(files, "later", "SELECT 1;")

    found = await migrate.status(connection)

    waiting = [s.migration.label for s in found if s.applied_at is None]
    assert waiting == [label, *role_labels()]
    assert all(s.applied_at.endswith("Z") for s in found if s.applied_at)


async def test_status_of_an_empty_database(empty: Connection) -> None:
    """Nothing is applied, and asking makes no table."""
    found = await migrate.status(empty)

    assert all(s.applied_at is None for s in found)
    assert await empty.fetchval("SELECT to_regclass('otlpg_migrations')") is None


async def test_the_script_does_what_up_does(
    empty: Connection, server_under_test: EmbeddedPostgres
) -> None:
    """What sql prints, run by hand, leaves the schema and the records of up; likewise down."""
    script = await migrate.sql()
    assert await migrate.sql(empty) == script

    await empty.execute(script)

    await migrate.check_schema(empty)
    by_hand = await dump(server_under_test, empty)
    assert await migrate.up(empty) == []
    await empty.execute(await migrate.sql(empty, direction="down", steps=99))
    await migrate.up(empty)
    assert await dump(server_under_test, empty) == by_hand


async def test_a_failing_file_leaves_no_trace(empty: Connection, files: Path) -> None:
    """The error names the file; those before it stay, nothing of its own does, and it can go on."""
    label = add(files, "broken", "CREATE TABLE half (a integer);\nSELECT 1/0;")

    with pytest.raises(StoreError, match=rf"{label}\.up\.sql.*22012.*division by zero"):
        await migrate.up(empty)

    assert await empty.fetchval("SELECT to_regclass('half')") is None
    assert [s.migration.label for s in await migrate.status(empty) if s.applied_at is None] == [
        label,
        *role_labels(),
    ]
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert await empty.fetchval(locks) == 0
    (files / f"{label}.up.sql").write_text("CREATE TABLE whole (a integer);")
    assert [m.label for m in await migrate.up(empty)] == [label]


async def test_a_file_may_refuse_a_transaction(connection: Connection, files: Path) -> None:
    """With the marker a statement runs by itself, and is recorded all the same."""
    index = "CREATE INDEX CONCURRENTLY extra ON dead_letters (received_at);"
    label = add(files, "index", f"-- otlpg: no-transaction\n{index}", "DROP INDEX extra;")

    assert [m.label for m in await migrate.up(connection)] == [label]

    assert await connection.fetchval("SELECT to_regclass('extra') IS NOT NULL")
    assert [m.label for m in await migrate.down(connection)] == [label]
    assert await connection.fetchval("SELECT to_regclass('extra') IS NULL")


async def test_without_the_marker_that_file_fails(connection: Connection, files: Path) -> None:
    """The control of the test above."""
    add(files, "index", "CREATE INDEX CONCURRENTLY extra ON dead_letters (received_at);")

    with pytest.raises(StoreError) as caught:
        await migrate.up(connection)

    assert caught.value.sqlstate == "25001"


async def test_ddl_does_not_queue_for_ever(
    connection: Connection,
    other_connection: Connection,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A migration that cannot have its lock gives up instead of holding up all who come after."""
    monkeypatch.setattr(migration_files, "LOCK_S_MAX", 0.05)
    label = add(files, "column", "ALTER TABLE dead_letters ADD COLUMN more text;")
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters")

        with pytest.raises(StoreError) as caught:
            await migrate.up(connection)

    assert caught.value.sqlstate == "55P03"
    assert [m.label for m in await migrate.up(connection)] == [label]


async def test_down_takes_back_all_its_steps_or_none(connection: Connection, files: Path) -> None:
    """The ledger must not go before the facts: repeated requests would be stored again."""
    first = add(files, "first", "CREATE TABLE first ();", "SELECT 1 / 0;")
    second = add(files, "second", "CREATE TABLE second ();", "DROP TABLE second;")
    await migrate.up(connection)

    with pytest.raises(StoreError, match=f"{first}.down.sql.*22012"):
        await migrate.down(connection, steps=2)

    assert await connection.fetchval("SELECT to_regclass('second') IS NOT NULL")
    applied = [s.migration.label for s in await migrate.status(connection) if s.applied_at]
    assert applied[-2:] == [first, second]


async def test_down_tries_again_while_somebody_holds_a_lock(
    connection: Connection,
    other_connection: Connection,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flush under way is no reason to stop half-way, nor to hold up all who come after."""
    monkeypatch.setattr(migration_files, "LOCK_S_MAX", 0.05)
    label = add(files, "column", "", "ALTER TABLE dead_letters ALTER payload DROP NOT NULL;")
    await migrate.up(connection)
    reading = other_connection.transaction()
    await reading.start()
    await other_connection.execute("SELECT FROM dead_letters")
    pauses: list[float] = []

    async def until_it_is_read(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 2:
            await reading.rollback()

    monkeypatch.setattr(migrate, "_pause", until_it_is_read)

    assert [m.label for m in await migrate.down(connection)] == [label]
    assert len(pauses) == 2


async def test_down_gives_up_on_a_lock_that_stays(
    connection: Connection,
    other_connection: Connection,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a bounded number of tries the operator reads why; nothing is changed."""
    monkeypatch.setattr(migration_files, "LOCK_S_MAX", 0.05)
    monkeypatch.setattr(migrate, "DOWN_PAUSE_S", 0.0)
    label = add(files, "column", "", "ALTER TABLE dead_letters ALTER payload DROP NOT NULL;")
    await migrate.up(connection)
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters")

        with pytest.raises(StoreError, match="55P03"):
            await migrate.down(connection)

    assert [m.label for m in await migrate.down(connection)] == [label]


async def test_the_schema_has_to_be_there(empty: Connection) -> None:
    """An empty database is not served; the text holds the command."""
    with pytest.raises(SchemaError, match="no otlpg schema yet; run `otlpg migrate up`"):
        await migrate.check_schema(empty)


async def test_an_older_schema_is_not_served(connection: Connection) -> None:
    """The text says which version there is, which is needed, and the command."""
    needed = migration_files.required_version()
    await migrate.down(connection, steps=2)

    text = f"at version {needed - 2}, this otlpg needs {needed}; run `otlpg migrate up`"
    with pytest.raises(SchemaError, match=text):
        await migrate.check_schema(connection)


async def test_a_newer_schema_is_served_but_not_migrated(
    connection: Connection, files: Path
) -> None:
    """In a rollout the newer release migrates first; what it made, only it can take back."""
    known = migration_files.required_version()
    label = add(files, "later", "CREATE TABLE later (a integer);", "DROP TABLE later;")
    await migrate.up(connection)
    assert await migrate.check_schema(connection) == known + 1
    remove(files, label)

    assert await migrate.check_schema(connection) == known + 1
    for attempt in (migrate.up, migrate.down):
        with pytest.raises(SchemaError, match=f"newer than this otlpg: it has {label}"):
            await attempt(connection)


async def test_a_newer_schema_with_a_gap_is_not_served(connection: Connection, files: Path) -> None:
    """What this otlpg needs must be there, whatever else is."""
    label = add(files, "later", "SELECT 1;")
    await migrate.up(connection)
    remove(files, label)
    await connection.execute("DELETE FROM otlpg_migrations WHERE track = 'main' AND version = 2")

    with pytest.raises(SchemaError, match="this otlpg needs"):
        await migrate.check_schema(connection)


async def test_a_role_that_may_not_look_is_told_so(
    connection: Connection, other_connection: Connection
) -> None:
    """A user without any grant learns which one is missing, not that the schema is."""
    name = await connection.fetchval("SELECT 'stranger_' || current_database()")
    await connection.execute(f"CREATE ROLE {name}; GRANT {name} TO otlpg")
    await other_connection.execute(f"SET ROLE {name}")

    with pytest.raises(SchemaError, match="grant it otlpg_ingest or otlpg_read"):
        await migrate.check_schema(other_connection)

    await connection.execute(f"DROP ROLE {name}")


async def test_up_as_a_role_that_only_looks_is_nothing_where_nothing_is_pending(
    connection: Connection, other_connection: Connection
) -> None:
    """Units and init containers run it with the daemon's own role, at every start."""
    name = await connection.fetchval("SELECT 'looker_' || current_database()")
    await connection.execute(
        f"CREATE ROLE {name}; GRANT SELECT ON otlpg_migrations TO {name}; GRANT {name} TO otlpg"
    )
    await other_connection.execute(f"SET ROLE {name}")

    assert await migrate.up(other_connection) == []

    await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_up_tells_each_migration_before_the_next_one_fails(
    empty: Connection, files: Path
) -> None:
    """What stays applied is known, whatever comes after; a missing right has a hint."""
    name = await empty.fetchval("SELECT 'maker_' || current_database()")
    main = [m.label for m in migration_files.known_migrations() if m.track == "main"]
    (files / "roles" / "0001_roles.up.sql").write_text(f"CREATE ROLE {name}_made;")
    await empty.execute(
        f"CREATE ROLE {name}; GRANT {name} TO otlpg; GRANT CREATE ON SCHEMA public TO {name};"
        f"SET ROLE {name}"
    )
    told: list[str] = []

    with pytest.raises(StoreError, match="42501") as caught:
        await migrate.up(empty, roles=True, tell=lambda m: told.append(m.label))

    assert told == main
    assert "CREATEROLE" in caught.value.hint
    await empty.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")


async def test_roles_stay_up_to_date_once_asked_for(connection: Connection, files: Path) -> None:
    """After ``roles=True`` a plain up applies new files of that track too; down begins with it."""
    known = role_labels()
    assert [m.label for m in await migrate.up(connection, roles=True)] == known
    more = f"{len(known) + 1:04d}_more"
    for direction in ("up", "down"):
        (files / "roles" / f"{more}.{direction}.sql").write_text("SELECT 1;")

    assert [m.label for m in await migrate.up(connection)] == [f"roles/{more}"]
    assert [m.label for m in await migrate.down(connection)] == [
        f"roles/{more}",
        *reversed(known),
        last_label(),
    ]


async def test_role_that_may_not_see_the_state_is_told_so(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """``migrate status`` ends with words and exit 6, not with a traceback of the driver."""
    role = f"blind_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(f"CREATE ROLE {role} LOGIN")
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")
    blind = await connect(DatabaseSettings(dsn=SecretStr(dsn)))

    with pytest.raises(SchemaError, match="may not read otlpg_migrations"):
        await migrate.status(blind)

    blind.terminate()


def test_an_installed_wheel_brings_the_files(tmp_path: Path) -> None:
    """The wheel holds every SQL file where migrate looks for it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = {name.removeprefix("collector/migrations/") for name in wheel.namelist()}

    ours = ROOT / "migrations"
    assert {str(file.relative_to(ours)) for file in ours.rglob("*.sql")} <= inside
