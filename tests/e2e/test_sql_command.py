"""``otlpg sql`` as people and scripts type it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.operate.dev import Publication
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, resolve_dsn
from tests.e2e.commands import otlpg
from tests.server_activity import until_counted
from tests.terminal import CTRL_C, Terminal, environment

SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'active' AND query LIKE '%FROM otlpg_user%' AND pid <> pg_backend_pid()"
)


async def test_a_pipe_gets_json_lines(database_settings: DatabaseSettings) -> None:
    """In ASCII, whatever is in them; nothing else on standard output."""
    code, out, err = await otlpg(
        "sql", "SELECT n, E'\x1b[31mé\u202e' AS t FROM generate_series(1, 3) AS n",
        database=database_settings,
    )  # fmt: skip

    assert (code, err) == (0, "")
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"n": n, "t": "\x1b[31mé\u202e"} for n in (1, 2, 3)
    ]


def test_a_terminal_gets_a_table(database_settings: DatabaseSettings) -> None:
    """Nothing in it is a command to the terminal; NULL is no text, and a wide line is cut."""
    statement = (
        "SELECT * FROM (VALUES (1, E'\\x1b[31m', NULL), (20, 'NULL', repeat('x', 200)))"
        " AS v(number, text, more)"
    )
    with Terminal(["sql", statement], DATABASE_URL=resolve_dsn(database_settings)) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("20")

        assert terminal.lines() == [
            "number  text      more",
            "     1  \\x1b[31m  NULL",
            "    20  NULL      " + "x" * 81 + "…",
        ]
        assert terminal.cell("NULL      x").fg == "default"


async def test_the_limit_is_told(database_settings: DatabaseSettings) -> None:
    """Rows up to it, and a word if there are more; none if there are not."""
    statement = "SELECT n FROM generate_series(1, 3) AS n"

    _, some, told = await otlpg("sql", statement, "-n", "2", database=database_settings)
    _, every, untold = await otlpg("sql", statement, "-n", "3", database=database_settings)

    assert (len(some.splitlines()), len(every.splitlines())) == (2, 3)
    assert told == "there are more than 2 rows: --limit\n"
    assert untold == ""


async def test_a_mistake_is_shown_where_it_is(database_settings: DatabaseSettings) -> None:
    """The line, and a mark below the place, also behind what the terminal gets escaped."""
    code, out, err = await otlpg(
        "sql", "SELECT 1,\n  '\\' AS \"東\", nam\nFROM logs", database=database_settings
    )
    lines = err.splitlines()

    assert (code, out) == (1, "")
    assert lines[0] == 'otlpg: column "nam" does not exist (42703)'
    assert lines[1] == "LINE 2:   '\\\\' AS \"東\", nam"
    assert (
        lines[2] == " " * (lines[1].index("nam") + 1) + "^"
    )  # the sign before it is two cells wide


def typed(words: list[str], stdin: bytes, **variables: str) -> tuple[int, str]:
    """Run a command with this standard input; return exit code and both outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "collector", *words],
        input=stdin, env=environment(**variables),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize(
    ("stdin", "code", "text"),
    [
        (b"SELECT 'a' AS b\n", 0, '{"b":"a"}\n'),
        (b"", 2, "otlpg: the statement is empty\n"),
        (b"SELECT '\0'", 2, "otlpg: the statement holds the character NUL\n"),
        (b"SELECT '\xff'", 2, "otlpg: the statement is not UTF-8\n"),
        (b"-" * (2**20 + 1), 2, "otlpg: the statement is longer than 1,048,576 bytes\n"),
    ],
)
def test_a_statement_may_come_from_standard_input(
    database_settings: DatabaseSettings, stdin: bytes, code: int, text: str
) -> None:
    """With all that can be wrong with it."""
    url = resolve_dsn(database_settings)

    assert typed(["sql", "-"], stdin, DATABASE_URL=url) == (code, text)


async def test_a_statement_has_so_much_time(database_settings: DatabaseSettings) -> None:
    """That of ``--timeout``, or of the setting."""
    ended = "otlpg: no answer within 0.05 s: ask for a shorter time range, or for less\n"
    statement = "SELECT pg_sleep(600)"

    by_option = await otlpg("sql", statement, "--timeout", "50ms", database=database_settings)
    by_setting = await otlpg(
        "sql", statement, database=database_settings, OTLPG_API__STATEMENT_S_MAX="0.1"
    )

    assert by_option == (1, "", ended)
    assert by_setting == (1, "", ended.replace("0.05", "0.1"))


async def test_ctrl_c_ends_the_statement_too(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """PostgreSQL does not go on with what nobody waits for."""
    url = resolve_dsn(database_settings)
    words = ["sql", "SELECT pg_sleep(600)", "--timeout", "10m"]
    with Terminal(words, DATABASE_URL=url) as terminal:
        await until_counted(connection, SLEEPING, 1)
        terminal.press(CTRL_C)
        code = await asyncio.to_thread(terminal.wait)
        await until_counted(connection, SLEEPING, 0)

    assert code == 130


async def test_the_database_is_found_without_a_word(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """Beside a running `otlpg dev`, and told so; a reader's own address wins."""
    with Publication(tmp_path) as dev:
        dev.publish(resolve_dsn(database_settings), {"grpc": 1, "http": 1, "telemetry": 1})
        beside = await otlpg("sql", "SELECT 1 AS a", OTLPG_DATA_DIR=str(tmp_path))
        other = await otlpg(
            "sql", "SELECT current_setting('application_name') AS a",
            OTLPG_DATA_DIR=str(tmp_path),
            OTLPG_API__DSN=resolve_dsn(database_settings), DB_APP_NAME="theirs",
        )  # fmt: skip

    assert beside == (0, '{"a":1}\n', "the database is that of the running `otlpg dev`\n")
    assert other == (0, '{"a":"theirs"}\n', "")


async def test_what_is_not_there_has_its_exit_code(
    database_settings: DatabaseSettings, empty_database: DatabaseSettings, connection: Connection
) -> None:
    """Away, not migrated, not allowed to read: each with the next step."""
    await connection.execute("CREATE ROLE sql_reader LOGIN")
    reader = resolve_dsn(database_settings).replace("//otlpg@", "//sql_reader@")
    try:
        away = await otlpg("sql", "SELECT 1", DATABASE_URL="postgresql://x@127.0.0.1:1/x")
        bare = await otlpg("sql", "SELECT 1", database=empty_database)
        closed = await otlpg("sql", "SELECT 1", DATABASE_URL=reader)
    finally:
        await connection.execute("DROP ROLE sql_reader")

    assert away[0] == 5
    assert "otlpg check" in away[2]
    assert bare[0] == 6
    assert "otlpg migrate up" in bare[2]
    assert closed[0] == 6
    assert "otlpg_read" in closed[2]


def test_a_reader_that_has_seen_enough_is_no_failure(database_settings: DatabaseSettings) -> None:
    """As ``| head -1`` in a script that minds every exit code."""
    writing = subprocess.Popen(
        [sys.executable, "-m", "collector", "sql", "-n", "100000",
         "SELECT repeat('x', 100) AS x FROM generate_series(1, 100000)"],
        env=environment(DATABASE_URL=resolve_dsn(database_settings)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert writing.stdout is not None
    assert writing.stderr is not None
    first = writing.stdout.readline()
    writing.stdout.close()
    words = writing.stderr.read()
    writing.stderr.close()

    assert json.loads(first) == {"x": "x" * 100}
    assert (writing.wait(60), words) == (0, b"")
