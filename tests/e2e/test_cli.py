"""Commands as processes: exit codes, what goes to which output, and a quick start."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import grpc
import grpc.aio
import pytest

from collector.settings import DatabaseSettings
from collector.store.embedded import ROLE
from collector.store.migration_files import known_migrations
from collector.store.pool import Connection, resolve_dsn
from tests.certificates import ServerFiles
from tests.e2e.commands import otlpg
from tests.e2e.daemon import Daemon
from tests.e2e.senders import METHODS

SLOW = (
    "asyncpg",
    "grpc",
    "pydantic_settings",
    "rich",
    "opentelemetry",
    "uvicorn",
    "yaml",
    "orjson",
)
"""Packages that no one who only asks for help should wait for."""


@pytest.mark.parametrize(
    "command",
    [
        "",
        "dev",
        "serve",
        "migrate",
        "check",
        "send-test",
        "dead-letters",
        "token",
        "verify",
        "bench",
        "sql",
        "export",
        "logs",
        "services",
        "metrics",
    ],
)
def test_help_imports_nothing_slow(command: str) -> None:
    """Help and shell completion start no database driver and no gRPC."""
    code = (
        "import sys; from collector.cli import run; "
        f"code = run([*{command.split()!r}, '--help']); "
        f"print([name for name in {SLOW!r} if name in sys.modules], code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.splitlines()[-1] == "[] 0"
    assert done.stderr == ""


async def test_the_life_of_a_schema(empty_database: DatabaseSettings) -> None:
    """status, up, up again, down: data on standard output, the rest on standard error."""
    labels = [m.label for m in known_migrations() if m.track == "main"]

    code, out, _ = await otlpg("migrate", "status", "--json", database=empty_database)
    assert code == 0
    assert [s["applied_at"] for s in json.loads(out) if s["migration"] in labels] == [None] * len(
        labels
    )

    code, out, err = await otlpg("migrate", "up", database=empty_database)
    assert (code, out) == (0, "")
    assert err.splitlines() == [f"applied {label}" for label in labels]

    code, _, err = await otlpg("migrate", "up", database=empty_database)
    assert (code, err) == (0, "the schema is up to date\n")

    code, out, _ = await otlpg("migrate", "status", database=empty_database)
    assert code == 0
    assert "pending" not in out

    code, out, err = await otlpg(
        "migrate", "down", "--steps", str(len(labels)), database=empty_database
    )
    assert (code, out) == (2, "")
    assert "--yes" in err

    code, _, err = await otlpg(
        "migrate", "down", "--steps", str(len(labels)), "--yes", database=empty_database
    )
    assert code == 0
    assert err.splitlines() == [f"took back {label}" for label in reversed(labels)]


async def test_sql_is_what_up_would_run(empty_database: DatabaseSettings) -> None:
    """The script is data, and names each migration; nothing is changed."""
    code, out, err = await otlpg("migrate", "sql", database=empty_database)

    assert (code, err) == (0, "")
    assert [m.label for m in known_migrations() if m.track == "main" and m.label not in out] == []
    assert "pending" in (await otlpg("migrate", "status", database=empty_database))[1]


@pytest.mark.parametrize(
    "command",
    [
        "migrate status",
        "migrate up",
        "check",
        "send-test --endpoint http://127.0.0.1:1",
        "verify --endpoint http://127.0.0.1:1 --rounds 1 --deadline 0.2",
    ],
)
async def test_unreachable_is_exit_5_in_plain_words(command: str) -> None:
    """No traceback, no password, and what to do next."""
    away = DatabaseSettings.model_validate({"dsn": "postgresql://u:hunter2@127.0.0.1:1/d"})

    code, out, err = await otlpg(*command.split(), database=away)

    assert code == 5
    assert "Traceback" not in err
    assert "hunter2" not in out + err
    assert "otlpg " in err or "DATABASE_URL" in out


async def test_check_of_a_database_without_schema_is_exit_6(
    empty_database: DatabaseSettings,
) -> None:
    """The exit code is that of the first failing class."""
    code, out, _ = await otlpg("check", database=empty_database)

    assert code == 6
    assert "otlpg migrate up" in out.splitlines()[-1]


async def test_check_as_json_is_one_line(database_settings: DatabaseSettings) -> None:
    """Every step with its result, for scripts."""
    code, out, err = await otlpg("check", "--json", database=database_settings)

    assert (code, err) == (0, "")
    steps = json.loads(out)
    assert [step["step"] for step in steps][:3] == ["settings", "redis", "postgres"]
    assert {step["result"] for step in steps} <= {"ok", "warning"}


async def test_sample_goes_through_a_served_daemon(
    daemon: Daemon, database_settings: DatabaseSettings
) -> None:
    """send-test works against `serve` with the settings that serve has."""
    code, out, err = await otlpg(
        "send-test", "--endpoint", daemon.endpoint, database=database_settings
    )

    assert code == 0, err
    assert "POST /checkout" in out
    assert "sent to" in err
    assert daemon.items("traces")["stored"] == 10
    assert daemon.items("metrics")["stored"] == 8
    assert daemon.items("logs")["stored"] == 4


async def test_sample_in_another_database_is_told(
    daemon: Daemon, empty_database: DatabaseSettings
) -> None:
    """Acknowledged but not here: the operator learns that two databases are in play."""
    await otlpg("migrate", "up", database=empty_database)

    code, _, err = await otlpg("send-test", "--endpoint", daemon.endpoint, database=empty_database)

    assert code == 1
    assert "does the daemon at" in err


async def test_send_test_without_an_ack_says_where_to_look() -> None:
    """PostgreSQL is away: the SDK speaks of a deadline, the line of the daemon; exit 5."""
    away = DatabaseSettings.model_validate({"dsn": "postgresql://u@127.0.0.1:1/d"})
    daemon = Daemon(away, await_store=False)
    try:
        await asyncio.to_thread(daemon.start)

        code, out, err = await otlpg(
            "send-test", "--no-read", "--timeout", "1", "--endpoint", daemon.endpoint
        )
    finally:
        await asyncio.to_thread(daemon.kill)

    assert (code, out) == (5, "")
    assert "did not acknowledge" in err
    assert "/health/ready" in err
    assert len(err.splitlines()) == 1


async def test_a_role_that_may_only_write_is_told_that_it_was_acknowledged(
    daemon: Daemon, database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The daemon's own role need not read: sending went well, exit 1 says reading did not."""
    role = f"writer_{await connection.fetchval('SELECT current_database()')}"
    await connection.execute(
        f"CREATE ROLE {role} LOGIN; GRANT SELECT ON otlpg_migrations TO {role}"
    )
    dsn = resolve_dsn(database_settings).replace(f"{ROLE}@", f"{role}@")
    writer = DatabaseSettings.model_validate({"dsn": dsn})

    code, out, err = await otlpg("send-test", "--endpoint", daemon.endpoint, database=writer)

    assert (code, out) == (1, "")
    sent, refused = err.splitlines()
    assert "acknowledged" in sent
    assert "may not read" in refused
    assert "--no-read" in refused

    code, out, err = await otlpg(
        "send-test", "--no-read", "--endpoint", daemon.endpoint, database=writer
    )
    assert (code, out) == (0, "")


async def test_the_life_of_a_key(database_settings: DatabaseSettings) -> None:
    """Create prints it once and alone on standard output; list never; revoke is for good."""
    code, out, said = await otlpg(
        "token", "create", "--name", "shop", "--scope", "ingest", "--scope", "query",
        "--expires", "90d", database=database_settings,
    )  # fmt: skip
    token = out.removesuffix("\n")
    key_id = token.split("_")[1]

    assert code == 0
    assert re.fullmatch("otlpg_[0-9a-f]{16}_[0-9a-f]{64}", token)
    assert token not in said
    code, out, _ = await otlpg("token", "list", database=database_settings)
    listed = json.loads(out)
    assert code == 0
    assert (listed["id"], listed["name"], listed["scopes"], listed["state"]) == (
        key_id, "shop", ["ingest", "query"], "valid",
    )  # fmt: skip
    assert listed["expires_at"] > listed["created_at"]
    assert token.rpartition("_")[2] not in out
    assert "hash" not in out

    for _ in range(2):  # the second changes nothing
        code, out, said = await otlpg("token", "revoke", key_id, database=database_settings)
        assert (code, out) == (0, "")
        assert key_id in said
    _, out, _ = await otlpg("token", "list", "--json", database=database_settings)
    assert [key["state"] for key in json.loads(out)] == ["revoked"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("token revoke 0123456789abcdef", 3),
        ("token create --name x", 2),
        ("token create --name x --scope root", 2),
        ("token create --name x --scope ingest --expires soon", 2),
        ("token create --name x --scope ingest --expires 1s", 2),
    ],
)
async def test_a_wrong_word_about_keys_has_its_exit_code(
    database_settings: DatabaseSettings, words: str, code: int
) -> None:
    """Nothing is printed that a script could take for a key."""
    found, out, said = await otlpg(*words.split(), database=database_settings)

    assert (found, out) == (code, "")
    assert "Traceback" not in said


async def test_keys_need_a_schema(empty_database: DatabaseSettings) -> None:
    """Exit 6, with the command to run."""
    code, _, said = await otlpg("token", "list", database=empty_database)

    assert code == 6
    assert "otlpg migrate up" in said


async def test_what_an_endpoint_says_is_no_command_for_the_terminal() -> None:
    """Escapes are shown as text, and a line break makes no line of ours."""

    async def refuse(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, "\x1b[2J\x1b]0;owned\x07\notlpg: fine"
        )
        raise AssertionError

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                method.split("/")[1], {"Export": grpc.unary_unary_rpc_method_handler(refuse)}
            )
            for method in METHODS.values()
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        code, out, err = await otlpg(
            "send-test", "--no-read", "--endpoint", f"http://127.0.0.1:{port}"
        )
    finally:
        await server.stop(0)

    assert (code, out) == (1, "")
    assert err.replace("\n", "").isprintable()
    assert "\\x1b[2J\\x1b]0;owned\\x07 otlpg: fine" in err


async def test_send_test_gets_in_with_tls_and_a_key(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """The key comes from the environment, as SDKs take it; without it the daemon's words are told."""
    files = ServerFiles.make(tmp_path)
    _, out, _ = await otlpg(
        "token", "create", "--name", "s", "--scope", "ingest", database=database_settings
    )
    with Daemon(database_settings, OTLPG_AUTH__KEYS="true", **files.environment) as daemon:
        words = [
            "send-test", "--endpoint", f"https://localhost:{daemon.grpc_port}",
            "--ca-file", str(files.ca),
        ]  # fmt: skip
        with_key, shown, _ = await otlpg(
            *words, database=database_settings,
            OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{out.strip()}",
        )  # fmt: skip
        without, _, said = await otlpg(*words, database=database_settings)

    assert with_key == 0
    assert "read back from PostgreSQL" in shown
    assert without == 1
    assert "no valid API key" in said
