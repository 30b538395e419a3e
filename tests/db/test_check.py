"""operate.check against real servers: each step, its failure, and that nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from collector.cli.exit_codes import exit_code
from collector.errors import SettingsError
from collector.operate.check import Step, check
from collector.settings import AuthSettings, DatabaseSettings, RedisSettings, Settings
from collector.settings.load import Loaded
from collector.store import migrate, migration_files
from collector.store.embedded import ROLE, EmbeddedPostgres
from collector.store.pool import Connection, resolve_dsn
from tests.conftest import settings_of
from tests.redis_server import RedisServer

NAMES = ["settings", "redis", "postgres", "durability", "schema", "partitions", "sample", "pool"]


async def steps_of(settings: Settings) -> dict[str, Step]:
    """Run the check and return its steps by name."""
    return {step.name: step async for step in check(lambda: Loaded(settings, {}))}


def failed(steps: dict[str, Step]) -> Step:
    """Return the only failed step, which is the last one."""
    last = list(steps.values())[-1]
    assert [step for step in steps.values() if step.error is not None] == [last]
    return last


def code(step: Step) -> int:
    """Return the exit code that the command would end with."""
    assert step.error is not None
    return exit_code(step.error)


@pytest.mark.postgres_versions
async def test_a_healthy_database_passes_every_step(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """All steps are there, in order, none failed, and the sample is gone again."""
    steps = await steps_of(Settings(database=database_settings))

    assert list(steps) == NAMES
    assert [step for step in steps.values() if step.error is not None] == []
    assert "those of this daemon" in steps["redis"].found
    assert "written, read and rolled back" in steps["sample"].found
    for table in ("trace_spans", "metric_data_points", "logs"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM otlpg_leaves() WHERE parent = $1", table
            )
            == 0
        )


async def test_missing_leaves_are_a_warning(database_settings: DatabaseSettings) -> None:
    """A migrated database that no daemon has met yet is not broken."""
    steps = await steps_of(Settings(database=database_settings))

    assert steps["partitions"].warning
    assert "logs" in steps["partitions"].found


async def test_leaves_ahead_are_told_by_the_table_that_has_least(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The hours are those of the table that runs out first."""
    for table in ("trace_spans", "metric_data_points", "traces", "ingest_ledger", "logs"):
        for hours in (0, 24) if table != "logs" else (0,):
            await connection.fetchval(
                "SELECT otlpg_make_leaf($1, now() + make_interval(hours => $2), 24)", table, hours
            )

    step = (await steps_of(Settings(database=database_settings)))["partitions"]

    assert not step.warning
    assert step.found.endswith("(logs)")
    assert int(step.found.split()[1]) <= 24


async def test_unsafe_server_is_a_warning(database_settings: DatabaseSettings) -> None:
    """The servers of these tests run without fsync, and the check says what that means."""
    step = (await steps_of(Settings(database=database_settings)))["durability"]

    assert step.warning
    assert "fsync" in step.found


async def test_empty_database_lacks_the_schema(empty_database: DatabaseSettings) -> None:
    """The error names the command to run; exit 6."""
    step = failed(await steps_of(Settings(database=empty_database)))

    assert step.name == "schema"
    assert "otlpg migrate up" in step.found
    assert code(step) == 6


async def test_schema_of_a_later_release_is_a_warning(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """It names both versions, and the rest is still checked."""
    known = migration_files.required_version()
    await connection.execute(
        "INSERT INTO otlpg_migrations (track, version, name, checksum)"
        " VALUES ('main', $1, 'of_a_later_release', '')",
        known + 1,
    )

    steps = await steps_of(Settings(database=database_settings))

    assert steps["schema"].warning
    assert steps["schema"].found == f"version {known + 1}, newer than the {known} of this otlpg"
    assert list(steps) == NAMES


async def test_unknown_database_is_told_at_once(postgres_server: EmbeddedPostgres) -> None:
    """A wrong name gets no better by waiting; exit 5."""
    database = settings_of(postgres_server, "nowhere")

    async with asyncio.timeout(2):
        step = failed(await steps_of(Settings(database=database)))

    assert step.name == "postgres"
    assert "nowhere" in step.found
    assert code(step) == 5


async def test_unreachable_server_fails_after_some_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several attempts are made, then it is exit 5 with what to correct."""
    monkeypatch.setattr("collector.operate.check.RETRY_AFTER_S", (0.0, 0.0))
    database = DatabaseSettings(dsn=SecretStr("postgresql://u:hunter2@127.0.0.1:1/d"))

    step = failed(await steps_of(Settings(database=database)))

    assert step.name == "postgres"
    assert "127.0.0.1:1/d" in step.found
    assert "hunter2" not in step.found
    assert "DATABASE_URL" in step.hint
    assert code(step) == 5


async def test_wrong_settings_are_the_only_step() -> None:
    """Nothing can be checked with settings that are not known; exit 4."""

    def load() -> Loaded:
        raise SettingsError("OTLPG_WORKERS must be ..")

    steps = {step.name: step async for step in check(load)}

    assert list(steps) == ["settings"]
    assert code(failed(steps)) == 4


async def test_role_without_rights_fails_at_the_sample(
    database_settings: DatabaseSettings, postgres_server: EmbeddedPostgres, connection: Connection
) -> None:
    """A role that may look but not write is found out before any sender is."""
    role = f"reader_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    for table in ("trace_spans", "metric_data_points", "logs"):
        await connection.fetchval("SELECT otlpg_make_leaf($1, now(), 24)", table)
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")

    step = failed(await steps_of(Settings(database=DatabaseSettings(dsn=SecretStr(dsn)))))

    assert step.name == "sample"
    assert "otlpg_ingest" in step.hint
    assert code(step) == 1


@pytest.mark.postgres_versions
async def test_role_that_only_inserts_passes_every_step(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """What README tells to give to `serve` is enough for `check`; the COPY's count is the proof."""
    await migrate.up(connection, roles=True)
    role = f"collector_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(f"CREATE ROLE {role} LOGIN IN ROLE otlpg_ingest")
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")

    steps = await steps_of(Settings(database=DatabaseSettings(dsn=SecretStr(dsn))))

    assert list(steps) == NAMES
    assert [step for step in steps.values() if step.error is not None] == []
    assert "written and rolled back" in steps["sample"].found
    assert await connection.fetchval("SELECT count(*) FROM logs") == 0
    await connection.execute(f"DROP ROLE {role}")


async def test_role_that_may_not_ask_is_a_failed_step(
    database_settings: DatabaseSettings, postgres_server: EmbeddedPostgres, connection: Connection
) -> None:
    """A question that PostgreSQL refuses is a result with a hint, never a traceback."""
    role = f"stranger_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT ON otlpg_migrations TO {role};"
        "REVOKE EXECUTE ON FUNCTION otlpg_leaves FROM PUBLIC"
    )
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")

    step = failed(await steps_of(Settings(database=DatabaseSettings(dsn=SecretStr(dsn)))))

    assert "otlpg_leaves" in step.found
    assert "otlpg_read" in step.hint
    assert code(step) == 1


@pytest.mark.postgres_versions
async def test_a_role_that_may_not_see_the_keys_is_told_which_right_it_lacks(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """As after an update without `migrate up` by the owner; with the right the step is fine."""
    await migrate.up(connection, roles=True)
    role = f"keyless_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN IN ROLE otlpg_ingest; REVOKE ALL ON api_keys FROM otlpg_ingest"
    )
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")
    settings = Settings(auth=AuthSettings(keys=True), database=DatabaseSettings(dsn=SecretStr(dsn)))

    step = failed(await steps_of(settings))
    await connection.execute("GRANT SELECT ON api_keys TO otlpg_ingest")
    steps = await steps_of(settings)

    assert step.name == "keys"
    assert code(step) == 1
    assert f"GRANT SELECT ON api_keys TO {role}" in step.hint
    assert "otlpg migrate up" in step.hint
    assert steps["keys"].warning  # there is none yet
    assert [step for step in steps.values() if step.error is not None] == []
    await connection.execute(f"DROP ROLE {role}")


async def test_bound_above_the_servers_room_is_a_warning(
    database_settings: DatabaseSettings,
) -> None:
    """The server of these tests takes 60 connections."""
    wide = database_settings.model_copy(update={"connections_max": 500})

    step = (await steps_of(Settings(database=wide)))["pool"]

    assert step.warning
    assert "DB_MAX_CONNECTIONS" in step.hint


# -- Redis ---------------------------------------------------------------------------------------


async def test_redis_that_answers_is_fine(
    database_settings: DatabaseSettings, redis: RedisServer
) -> None:
    """The step tells how long the answer took."""
    settings = RedisSettings(url=SecretStr(redis.url))

    step = (await steps_of(Settings(database=database_settings, redis=settings)))["redis"]

    assert step.error is None
    assert step.found.startswith("answers in")


async def test_redis_that_is_away_fails_and_the_rest_is_still_checked(
    database_settings: DatabaseSettings,
) -> None:
    """Ingest does not need Redis, so its absence hides nothing else; exit 5."""
    redis = RedisSettings(url=SecretStr("redis://:hunter2@127.0.0.1:1/0"))

    steps = await steps_of(Settings(database=database_settings, redis=redis))

    assert list(steps) == NAMES
    assert code(steps["redis"]) == 5
    assert "hunter2" not in steps["redis"].found
    assert steps["pool"].error is None
