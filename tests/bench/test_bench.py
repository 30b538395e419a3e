"""The benchmark itself works: a tiny run measures everything, and its books balance."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from collector.operate.bench import BenchOptions, run
from collector.operate.bench.cell import Cell, measure
from collector.operate.bench.connect import open_lines
from collector.operate.bench.orders import Crew
from collector.operate.bench.processes import listeners, serving_pids
from collector.operate.bench.sender import Order
from collector.operate.bench.sender import main as sender_main
from collector.operate.bench.server import BenchServer
from collector.operate.verify.options import Protocol
from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.redis_server import find_program


@pytest.mark.long
def test_local_bench_measures_and_balances() -> None:
    """Every figure of a quick run is a number, and each acknowledged item is in the tables."""
    steps: list[str] = []

    report = run(
        BenchOptions(
            quick=True,
            parts=("ingest", "outage"),
            signals=(Signal.LOGS,),
            seconds=0.5,
            outage_seconds=2.0,
        ),
        steps.append,
    )

    assert report["books_balance"], report
    assert orjson.loads(orjson.dumps(report)) == report
    assert {limit["rows_per_s"] > 0 for limit in report["limits"]} == {True}
    last = main_cells(report)[-1]
    assert last["ratio_to_limit"] > 0
    assert last["replayed_items"] > 0
    assert last["replay_new_rows"] == 0
    assert last["bytes_per_item"]["facts"] > 50
    assert last["daemon_cpu_s_per_million"] > 0
    assert last["postgres_cpu_s_per_million"] > 0
    assert set(last["ack_ms"]) == {"full", "half", "idle"}
    assert any("limit" in step for step in steps)


def test_bench_of_a_running_daemon(database_settings: DatabaseSettings) -> None:
    """With an endpoint only that daemon gets the load, and it stores all of it."""
    with Daemon(database_settings, workers=1) as daemon:
        options = BenchOptions(
            endpoint=f"127.0.0.1:{daemon.grpc_port}",
            quick=True,
            signals=(Signal.LOGS,),
            seconds=0.5,
        )

        report = run(options, lambda _: None)

        stored = daemon.items("logs")["stored"]

    assert report["books_balance"]
    assert stored == report["cells"][0]["acknowledged_items"] > 0


def test_a_guarded_cell_sends_through_tls_with_a_key(tmp_path: Path) -> None:
    """Everything that is acknowledged there is stored, and nothing fails."""
    crew = Crew[Order](sender_main)
    try:
        with BenchServer(tmp_path) as server:
            found = measure(
                Cell(Signal.LOGS, 1, 10, guarded=True), server, crew,
                seed=1, seconds=0.5, connections=2, latencies=False,
            )  # fmt: skip
    finally:
        crew.stop()

    assert found["guarded"]
    assert found["items_per_s"] > 0
    assert (found["missing_rows"], found["failed"]) == (0, 0)


@pytest.mark.parametrize(
    "protocol", [pytest.param(Protocol.HTTP_PROTOBUF, marks=pytest.mark.long), Protocol.HTTP_JSON]
)
def test_a_cell_over_http_stores_what_is_acknowledged(tmp_path: Path, protocol: Protocol) -> None:
    """Each item is stored once, also when all of them are sent again, and nothing fails."""
    crew = Crew[Order](sender_main)
    try:
        with BenchServer(tmp_path) as server:
            found = measure(
                Cell(Signal.TRACES, 2, 10, protocol=protocol), server, crew,
                seed=1, seconds=0.5, connections=2, replay=True,
            )  # fmt: skip
    finally:
        crew.stop()

    assert found["protocol"] == protocol
    assert found["items_per_s"] > 0
    assert set(found["ack_ms"]) == {"full", "half", "idle"}
    assert found["replayed_items"] > 0
    assert (found["missing_rows"], found["replay_new_rows"], found["failed"]) == (0, 0, 0)


def test_connections_are_shared_out_evenly(database_settings: DatabaseSettings) -> None:
    """Chance gives one of two workers more than half of many connections; here each has half."""

    async def served(port: int, pids: list[int], protocol: Protocol) -> Counter[int]:
        lines = await open_lines(f"127.0.0.1:{port}", 30, pids, protocol=protocol)
        workers = serving_pids(pids)
        try:
            return Counter([workers[(await line.open()).local_port] for line in lines])
        finally:
            for line in lines:
                line.close()

    with Daemon(database_settings, workers=2) as daemon:
        for protocol in Protocol:
            port = daemon.grpc_port if protocol is Protocol.GRPC else daemon.http_port
            pids = [worker.pid for worker in listeners(psutil.Process(daemon.pid), port)]

            assert asyncio.run(served(port, pids, protocol)) == dict.fromkeys(pids, 15)


@pytest.mark.long
def test_live_tails_are_measured_and_account_for_every_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In each state there is a figure, and readers know what became of all that was committed."""
    folder = Path(find_program()).parent
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    report = run(BenchOptions(parts=("tails",), tail_seconds=0.5, tail_rounds=1), lambda _: None)

    tails = report["tails"]
    assert report["books_balance"], report
    assert orjson.loads(orjson.dumps(report)) == report
    assert {turn["kind"] for turn in tails["turns"]} == {
        "alone", "nobody", "tails", "stuck", "frozen",
    }  # fmt: skip
    assert all(turn["items_per_s"] > 0 for turn in tails["turns"])
    assert all(turn["shown"] > 0 for turn in tails["turns"] if turn["kind"] in ("tails", "stuck"))
    assert tails["unaccounted"] == 0
    assert 0 < tails["commit_to_screen_ms"]["p50"] <= tails["commit_to_screen_ms"]["p99"]
    assert [f["name"] for f in report["summary"] if f["value"] is None] == []


def main_cells(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells of two workers and 512 items per request, with a ledger."""
    return [
        cell
        for cell in report["cells"]
        if (cell["workers"], cell["items_per_request"], cell["ledger"]) == (2, 512, True)
    ]
