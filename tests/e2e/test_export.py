"""``otlpg export``: what one otlpg stored, another one holds afterwards, and so does a file."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from collector.restore.equality import item_texts
from collector.restore.requests import restore
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import connect, resolve_dsn
from collector.store.read import snapshot
from tests.conftest import TEMPLATE, fresh_database
from tests.e2e.commands import otlpg
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import items_in, logs_request, metrics_request, trace_request
from tests.terminal import Terminal, environment

ITEMS = 700
"""Of each signal: more than one chunk."""
HOUR_NS = 3_600 * 10**9


def requests(now_ns: int) -> dict[Signal, Any]:
    """Return telemetry of this hour and of the one before."""
    found: dict[Signal, Any] = {}
    for signal, make in (
        (Signal.TRACES, trace_request),
        (Signal.METRICS, metrics_request),
        (Signal.LOGS, logs_request),
    ):
        found[signal] = make(items=ITEMS, base_unix_nano=now_ns - HOUR_NS)
        found[signal].MergeFrom(make(items=ITEMS, base_unix_nano=now_ns - HOUR_NS // 60))
    return found


async def stored(database: DatabaseSettings) -> dict[Signal, Counter[str]]:
    """Return the items that a database holds, with all that surrounds each."""
    connection = await connect(database)
    try:
        found: dict[Signal, Counter[str]] = {signal: Counter() for signal in Signal}
        async with snapshot(connection) as frozen:
            for signal in Signal:
                async for chunk in frozen.chunks(signal):
                    found[signal].update(item_texts(restore(signal, chunk.rows, chunk.dimensions)))
        return found
    finally:
        connection.terminate()


@pytest.fixture(scope="module")
def filled(module_database: DatabaseSettings) -> dict[Signal, Any]:
    """What a daemon was sent and has stored in ``module_database``, by signal; nothing changes it."""
    sent = requests(time.time_ns())
    with Daemon(module_database) as daemon, Caller(daemon.grpc_port) as caller:
        for signal, request in sent.items():
            assert caller.send(signal, request.SerializeToString()) == b""
    return sent


@pytest.fixture
async def other_database(server_under_test: EmbeddedPostgres) -> AsyncGenerator[DatabaseSettings]:
    """A second migrated database."""
    async with contextlib.aclosing(fresh_database(server_under_test, TEMPLATE)) as databases:
        async for settings in databases:
            yield settings


@pytest.fixture
async def other(other_database: DatabaseSettings) -> AsyncGenerator[Daemon]:
    """A second daemon, on a database of its own."""
    running = Daemon(other_database)
    try:
        await asyncio.to_thread(running.start)
        yield running
    finally:
        await asyncio.to_thread(running.kill)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
async def test_another_otlpg_holds_the_same_afterwards(
    filled: dict[Signal, Any],
    module_database: DatabaseSettings,
    other_database: DatabaseSettings,
    other: Daemon,
    protocol: str,
) -> None:
    """Every item with its resource, scope and schema URLs, and each as often."""
    port = other.grpc_port if protocol == "grpc" else other.http_port

    code, out, err = await otlpg(
        "export", "--endpoint", f"http://127.0.0.1:{port}", "--protocol", protocol,
        database=module_database,
    )  # fmt: skip

    assert (code, out) == (0, ""), err
    before, after = await stored(module_database), await stored(other_database)
    assert before == after
    assert {signal: each.total() for signal, each in after.items()} == {
        signal: items_in(request) for signal, request in filled.items()
    }
    assert all(after[s] == Counter(item_texts(request)) for s, request in filled.items())
    assert f"{items_in(filled[Signal.TRACES]):,} spans" in err


async def test_a_file_is_read_by_whoever_reads_otlp_json(
    filled: dict[Signal, Any],
    module_database: DatabaseSettings,
    other_database: DatabaseSettings,
    other: Daemon,
    tmp_path: Path,
) -> None:
    """Each line is a request of its signal that a receiver takes as it is."""
    path = tmp_path / "all.jsonl.gz"
    code, out, err = await otlpg("export", str(path), database=module_database)
    assert (code, out) == (0, ""), err

    def send() -> None:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            [name] = json.loads(line)
            signal = {"resourceSpans": "traces", "resourceLogs": "logs"}.get(name, "metrics")
            request = urllib.request.Request(
                f"http://127.0.0.1:{other.http_port}/v1/{signal}",
                data=line, headers={"content-type": "application/json"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=30) as reply:
                assert reply.status == 200

    await asyncio.to_thread(send)

    assert await stored(module_database) == await stored(other_database)
    again = await otlpg("export", str(path), database=module_database)
    assert again[0] == 1
    assert "--overwrite" in again[2]


async def test_signal_service_and_time_narrow_it(
    filled: dict[Signal, Any], module_database: DatabaseSettings, tmp_path: Path
) -> None:
    """Metrics of one service, from half an hour ago on, as protobuf."""
    path = tmp_path / "some.pb"
    service = "payment"
    expected = Counter(
        text
        for text in item_texts(filled[Signal.METRICS])
        if json.loads(text)["resource"]["attributes"]["service.name"][1] == service
        and int(json.loads(text)["item"]["time_unix_nano"]) > time.time_ns() - HOUR_NS // 2
    )

    code, _, err = await otlpg(
        "export", str(path), "--signal", "metrics", "-s", service, "--from", "30m",
        "--to", "2099-01-01",
        database=module_database,
    )  # fmt: skip

    assert code == 0, err
    wire, found = path.read_bytes(), Counter[str]()
    while wire:
        (length,) = struct.unpack(">I", wire[:4])
        found.update(item_texts(ExportMetricsServiceRequest.FromString(wire[4 : 4 + length])))
        wire = wire[4 + length :]
    assert expected
    assert found == expected


async def test_a_receiver_that_refuses_says_where_to_go_on(
    filled: dict[Signal, Any], module_database: DatabaseSettings, other_database: DatabaseSettings
) -> None:
    """A key that is wrong ends it at once; what was taken need not be sent again."""
    keyed = Daemon(other_database, OTLPG_AUTH__KEYS="true")
    with keyed:
        code, _, err = await otlpg("export", "--endpoint", keyed.endpoint, database=module_database)

    assert code == 1
    assert "UNAUTHENTICATED" in err
    assert "goes on" in err


def test_standard_output_is_for_a_pipe(
    filled: dict[Signal, Any], module_database: DatabaseSettings
) -> None:
    """JSON lines; a reader that has enough ends it well."""
    words = [sys.executable, "-m", "collector", "export", "-", "--signal", "logs"]
    variables = environment(DATABASE_URL=resolve_dsn(module_database))
    every = subprocess.run(words, env=variables, capture_output=True, timeout=60, check=True)
    lines = [json.loads(line) for line in every.stdout.splitlines()]

    assert len(lines) > 1
    assert all(line.keys() == {"resourceLogs"} for line in lines)

    leaving = subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert leaving.stdout is not None
    assert leaving.stderr is not None
    leaving.stdout.read(1)
    leaving.stdout.close()
    said = leaving.stderr.read()
    leaving.stderr.close()
    assert (leaving.wait(60), said) == (0, b"")


def test_a_terminal_sees_how_far_it_is(
    filled: dict[Signal, Any], module_database: DatabaseSettings, tmp_path: Path
) -> None:
    """And what it came to; the bar is gone then."""
    words = ["export", str(tmp_path / "a.json"), "--signal", "traces"]
    with Terminal(words, DATABASE_URL=resolve_dsn(module_database)) as terminal:
        assert terminal.wait() == 0
        terminal.wait_for("before compression")

        assert terminal.lines() == [
            line for line in terminal.lines() if line.startswith(f"{2 * ITEMS:,} spans in ")
        ]
    assert b"exporting" in terminal.raw


async def test_nothing_stored_is_an_empty_file(
    database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    """And no failure."""
    path = tmp_path / "a.json"

    code, _, err = await otlpg("export", str(path), database=database_settings)

    assert (code, err) == (0, "nothing in 0 requests, 0.0 MiB before compression\n")
    assert path.stat().st_size == 0


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a.json", "--endpoint", "http://h:1"],
        ["a.pb"],
        ["a.json", "--protocol", "grpc"],
        ["--endpoint", "http://h:1", "--overwrite"],
        ["--endpoint", "nonsense"],
        ["a.json", "--signal", "pictures"],
        ["a.json", "--since", "1h", "--from", "2h"],
    ],
)
async def test_words_that_do_not_go_together_are_refused(words: list[str]) -> None:
    """Before anything is read or written."""
    code, out, _ = await otlpg("export", *words)

    assert (code, out) == (2, "")
