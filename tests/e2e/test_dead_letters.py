"""``otlpg dead-letters`` on what a real daemon set aside."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, resolve_dsn
from tests.db.lettering import put
from tests.e2e.commands import otlpg
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import logs_request, trace_request
from tests.unit.convert.converting import logs_of


@pytest.fixture
async def letters(
    daemon: Daemon, connection: Connection, database_settings: DatabaseSettings
) -> dict[str, int]:
    """A letter of each outcome, by outcome; only the quarantined one is replaced, by a mended one."""
    traces = trace_request(items=22, base_unix_nano=time.time_ns())
    traces.resource_spans[0].scope_spans[0].spans.add(name="no \x1b[31mids\u202e")
    nul = LogRecord(time_unix_nano=time.time_ns())
    nul.body.string_value = "a\0b"
    wrong = logs_request(items=10, base_unix_nano=time.time_ns())

    def send() -> None:
        with Caller(daemon.grpc_port) as caller:
            caller.send(Signal.TRACES, traces.SerializeToString())
            caller.send(Signal.LOGS, logs_of(nul).SerializeToString())
            caller.send(Signal.TRACES, wrong.SerializeToString())

    await asyncio.to_thread(send)
    rows = await connection.fetch("SELECT outcome, id FROM dead_letters")
    assert len(rows) == 3
    return dict(map(tuple, rows))


def lines(out: str) -> list[dict[str, Any]]:
    """Return JSON lines."""
    return [json.loads(line) for line in out.splitlines()]


async def test_list_filters_pages_and_counts(
    letters: dict[str, int], database_settings: DatabaseSettings
) -> None:
    """JSON lines in a pipe, newest first; the next page begins below the last id."""
    newest = sorted(letters.values(), reverse=True)

    async def listed(*words: str) -> list[int]:
        code, out, _ = await otlpg("dead-letters", "list", *words, database=database_settings)
        assert code == 0
        return [line["id"] for line in lines(out)]

    assert await listed() == newest
    assert await listed("--limit", "2") == newest[:2]
    assert await listed("--before", str(newest[1])) == newest[2:]
    assert await listed("--outcome", "repaired", "--signal", "logs") == [letters["repaired"]]
    assert await listed("--until", "1h") == []
    assert await listed("--since", "1h", "--reason", "wrong_signal") == [letters["rejected"]]

    _, out, _ = await otlpg("dead-letters", "list", "--count", database=database_settings)
    assert [(g["outcome"], g["letters"]) for g in lines(out)] == [
        ("repaired", 1),
        ("quarantined", 1),
        ("rejected", 1),
    ]


async def test_show_is_exact_and_harmless(
    letters: dict[str, int],
    connection: Connection,
    database_settings: DatabaseSettings,
    tmp_path: Path,
) -> None:
    """The payload byte for byte, what it says in ASCII, and what a replay would do."""
    letter = str(letters["quarantined"])
    payload = await connection.fetchval(
        "SELECT payload FROM dead_letters WHERE id = $1", int(letter)
    )
    file = tmp_path / "letter.bin"

    code, out, _ = await otlpg("dead-letters", "show", letter, database=database_settings)
    [shown] = lines(out)
    written = await otlpg(
        "dead-letters", "show", letter, "--output", str(file), database=database_settings
    )
    again = await otlpg(
        "dead-letters", "show", letter, "--output", str(file), database=database_settings
    )
    _, rejected, _ = await otlpg(
        "dead-letters", "show", str(letters["rejected"]), database=database_settings
    )
    nobody = await otlpg("dead-letters", "show", "999999", database=database_settings)

    assert code == 0
    assert out.isascii()
    assert base64.b64decode(shown["payload"]) == payload
    [span] = shown["decoded"]["resource_spans"][0]["scope_spans"][0]["spans"]
    assert span["name"] == "no \x1b[31mids\u202e"
    assert (shown["reason"], shown["replayable"]) == ("invalid_trace_id", False)
    assert "--as logs: 10 of 10 items" in lines(rejected)[0]["outlook"]
    assert (written[0], again[0], nobody[0]) == (0, 1, 3)
    assert file.read_bytes() == payload
    assert file.stat().st_mode & 0o077 == 0


async def test_replay_stores_what_can_be_stored(
    letters: dict[str, int],
    daemon: Daemon,
    connection: Connection,
    database_settings: DatabaseSettings,
) -> None:
    """By id, all, and as another signal; the exit code tells whether something is left."""
    good = logs_request(items=1, base_unix_nano=time.time_ns()).SerializeToString()
    mended = await put(connection, good, Signal.LOGS)

    kept = await otlpg("dead-letters", "replay", "--all", database=database_settings)
    rejected = await otlpg(
        "dead-letters", "replay", "--all", "--as", "logs", database=database_settings
    )
    nobody = await otlpg("dead-letters", "replay", str(mended), database=database_settings)

    assert [(line["letter"], line["end"]) for line in lines(kept[1])] == [
        (mended, "stored"),
        (letters["quarantined"], "kept"),
    ]
    assert (kept[0], rejected[0], nobody[0]) == (1, 0, 3)
    assert "10 items stored" in rejected[2]
    assert await connection.fetchval("SELECT count(*) FROM logs") == 12
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 2


async def test_purge_asks_before_it_deletes_what_exists_nowhere_else(
    letters: dict[str, int], connection: Connection, database_settings: DatabaseSettings
) -> None:
    """Repaired letters go at once; others only with --yes, where nobody can be asked."""

    async def purge(*words: str) -> tuple[int, int]:
        code, _, err = await otlpg("dead-letters", "purge", *words, database=database_settings)
        assert "Traceback" not in err
        return code, await connection.fetchval("SELECT count(*) FROM dead_letters")

    assert await purge() == (2, 3)
    assert await purge("--older-than", "1h") == (0, 3)
    assert await purge("--outcome", "repaired") == (0, 2)
    assert await purge(str(letters["quarantined"])) == (2, 2)
    assert await purge(str(letters["quarantined"]), "--yes") == (0, 1)
    assert await purge(str(letters["quarantined"]), "--yes") == (3, 1)
    assert await purge("--all", "--yes") == (0, 0)


async def test_purge_asks_while_no_connection_is_open(
    connection: Connection, database_settings: DatabaseSettings
) -> None:
    """Whoever thinks about the question costs the server nothing; what he confirms is deleted."""
    await put(connection, b"")
    mine, typed = os.openpty()
    environment = dict(os.environ, DATABASE_URL=resolve_dsn(database_settings))
    purge = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector", "dead-letters", "purge", "--all",
        env=environment, stdin=typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert purge.stderr is not None
    async with asyncio.timeout(30):
        asked = await purge.stderr.readuntil(b"Delete them?")
        await nobody_else(connection)
        os.write(mine, b"y\n")
        out, err = await purge.communicate()
    os.close(mine)
    os.close(typed)

    assert b"1 of these letters hold what exists nowhere else" in asked
    assert (purge.returncode, lines(out.decode())) == (0, [{"deleted": 1}]), err
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 0


async def nobody_else(connection: Connection) -> None:
    """Return once the server has no other session of this database; one that left takes a moment."""
    while await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ):
        pass  # each look is a round trip


async def test_what_a_replay_holds_is_left_and_the_exit_code_says_so(
    connection: Connection, other_connection: Connection, database_settings: DatabaseSettings
) -> None:
    """Code 1 of a replay, and of a purge."""
    payload = logs_request(items=1, base_unix_nano=time.time_ns()).SerializeToString()
    letter = await put(connection, payload)
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters WHERE id = $1 FOR UPDATE", letter)
        replay = await otlpg("dead-letters", "replay", "--all", database=database_settings)
        purge = await otlpg("dead-letters", "purge", "--all", "--yes", database=database_settings)

    assert (replay[0], [line["end"] for line in lines(replay[1])]) == (1, ["busy"])
    assert (purge[0], lines(purge[1])) == (1, [{"deleted": 0}])
    assert "1 are left" in purge[2]


async def test_a_database_without_a_schema_says_what_to_run(
    empty_database: DatabaseSettings,
) -> None:
    """Exit code 6, for each command."""
    for words in (["list"], ["show", "1"], ["replay", "--all"], ["purge", "--all", "--yes"]):
        code, out, err = await otlpg("dead-letters", *words, database=empty_database)

        assert (code, out) == (6, ""), err
        assert "otlpg migrate up" in err
