"""The HTTP API of a real daemon: it is what it says of itself, and forgets who has left."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import orjson
import pytest

from collector.api.errors import PROBLEM_SCHEMA
from collector.operate import tokens
from collector.receive.token import Scope
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import logs_request, metrics_request, trace_request
from tests.server_activity import until_counted

WAIT_S = 20.0
FOLDER = Path(__file__).parent / "described"
RUN_S_MAX = 600
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'active' AND wait_event_type = 'Lock' AND query LIKE '%FROM resources%'"
)


class Stand(NamedTuple):
    """A daemon that asks for keys, and a key to read."""

    daemon: Daemon
    database: DatabaseSettings
    key: str


@pytest.fixture(scope="module")
def stand(module_database: DatabaseSettings) -> Generator[Stand]:
    """It stored items of every signal, a minute ago."""
    keys = asyncio.run(make_keys(module_database))
    start = time.time_ns() - 60 * 10**9
    requests = {
        Signal.TRACES: trace_request(items=40, seed=1, base_unix_nano=start),
        Signal.METRICS: metrics_request(items=40, base_unix_nano=start),
        Signal.LOGS: logs_request(items=40, base_unix_nano=start),
    }
    metadata = [("x-api-key", keys[Scope.INGEST])]
    settings: dict[str, Any] = {"OTLPG_AUTH__KEYS": "true", "OTLPG_API__STATEMENT_S_MAX": "60"}
    with Daemon(module_database, OTLPG_API__ENABLED="true", **settings) as daemon:
        with Caller(daemon.grpc_port) as caller:
            for signal, request in requests.items():
                assert caller.send(signal, request.SerializeToString(), metadata=metadata) == b""
        yield Stand(daemon, module_database, keys[Scope.QUERY])
        assert daemon.stop() == 0, daemon.log_text()
        assert not [line for line in daemon.log() if line.get("level") == "error"]


async def make_keys(database: DatabaseSettings) -> dict[Scope, str]:
    """Return a key to send and a key to read."""
    connection = await connect(database)
    made = {
        scope: (await tokens.create(connection, name=scope, scopes=[scope], expires_s=None))[0].text
        for scope in (Scope.INGEST, Scope.QUERY)
    }
    await connection.close()
    return made


def described(stand: Stand, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask everything that the API says of itself, and more that it should refuse."""
    return subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "--no-color", "run",
            f"http://127.0.0.1:{stand.daemon.api_port}/openapi.json",
            "--header", f"x-api-key: {stand.key}", "--seed", "1", *words,
        ],
        cwd=FOLDER, capture_output=True, text=True, timeout=RUN_S_MAX, check=False,
    )  # fmt: skip


def answer(stand: Stand, path: str) -> Any:
    """Return the JSON of an answer of 200."""
    url = f"http://127.0.0.1:{stand.daemon.api_port}{path}"
    request = urllib.request.Request(url, headers={"x-api-key": stand.key})
    with urllib.request.urlopen(request, timeout=30) as said:
        return orjson.loads(said.read())


def test_what_is_stored_is_answered_as_it_is_described(stand: Stand) -> None:
    """Every operation but the endless one has an answer that is not empty, and its schema holds."""
    document = answer(stand, "/openapi.json")
    [span] = answer(stand, "/api/v1/spans?limit=1")["items"]
    records = answer(stand, "/api/v1/logs")["items"]
    record = next(one for one in records if one["trace_id"])
    real = {
        "{trace_id}": span["trace_id"],
        "{service}": span["service"],
        "{name}": "http.server.request.duration",
    }
    queries = {"/api/v1/logs/context": f"?key={record['key']}"}
    empty: list[str] = []
    for path, operations in document["paths"].items():
        if path == "/api/v1/tail":
            continue
        place = path.replace("{trace_id}/logs", f"{record['trace_id']}/logs")
        for name, value in real.items():
            place = place.replace(name, value)
        found = answer(stand, place + queries.get(path, ""))
        content = operations["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(
            found
        )
        is_page = isinstance(found, dict) and "next" in found
        if not (found["items"] if is_page else found):
            empty.append(path)

    assert not empty


async def test_the_api_is_as_it_says(stand: Stand) -> None:
    """What its document allows is answered as it says, and everything else is refused as it says."""
    run = await asyncio.to_thread(described, stand, "--phases", "fuzzing", "-n", "6")

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_the_api_is_as_it_says_for_long(stand: Stand) -> None:
    """The same for two minutes and a half, and at every bound."""
    run = await asyncio.to_thread(described, stand, "--max-time", "150")

    assert run.returncode == 0, run.stdout + run.stderr


async def test_a_reader_who_hangs_up_ends_its_question(stand: Stand) -> None:
    """Its statement is gone from PostgreSQL, long before its time is up."""
    connection, bystander = await connect(stand.database), await connect(stand.database)
    await bystander.execute("BEGIN; LOCK TABLE resources IN ACCESS EXCLUSIVE MODE")
    _, writer = await asyncio.open_connection("127.0.0.1", stand.daemon.api_port)
    writer.write(
        f"GET /api/v1/services?since=7h HTTP/1.1\r\nhost: x\r\nx-api-key: {stand.key}\r\n\r\n".encode()
    )
    await until_counted(connection, WAITING, 1)
    writer.close()
    await until_counted(connection, WAITING, 0)

    assert (await bystander.fetchval("SELECT count(*) FROM resources")) > 0, "it holds its lock yet"
    await bystander.close()
    await connection.close()


async def test_what_is_no_http_is_told_as_any_other_bad_call(stand: Stand) -> None:
    """A problem document, and the connection is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.daemon.api_port)
    writer.write(b"GET /api/v1/services SPDY/9\r\n\r\n")

    head, _, body = (await asyncio.wait_for(reader.read(), WAIT_S)).partition(b"\r\n\r\n")
    writer.close()

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head.lower()
    said = orjson.loads(body)
    assert (said["status"], said["code"], said["cause"]) == (400, 3, "malformed_call")
    assert jsonschema_rs.validator_for(dict(PROBLEM_SCHEMA)).is_valid(said)
