"""`otlpg dev` as a newcomer meets it: banner, sample, counts, Ctrl-C, and the data next time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from collector.operate.dev import FILE_NAME
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from tests.e2e.daemon import FOREIGN_SETTINGS

WAITING = "waiting for the first item"
STEP_S_MAX = 60.0
"""The first start makes a cluster; machines that run tests are slow now and then."""

ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)},
    "OTLPG_API__PORT": "0",
    "OTLPG_API__JAEGER_GRPC_PORT": "0",
}


class Dev:
    """A running `otlpg dev` and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.printed: list[str] = []

    async def until(self, text: str) -> None:
        """Read what it prints up to the line that holds ``text``."""
        assert self.process.stdout is not None
        async with asyncio.timeout(STEP_S_MAX):
            while not any(text in line for line in self.printed):
                line = await self.process.stdout.readline()
                assert line, f"it ended before {text!r}:\n{''.join(self.printed)}"
                self.printed.append(line.decode())

    async def interrupt(self) -> int:
        """Do what Ctrl-C does, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None
        async with asyncio.timeout(STEP_S_MAX):
            self.printed.append((await self.process.stdout.read()).decode())
            return await self.process.wait()

    def found(self, pattern: str) -> str:
        """Return what the group of a pattern stands for in the banner."""
        match = re.search(pattern, "".join(self.printed))
        assert match is not None, "".join(self.printed)
        return match[1]


@asynccontextmanager
async def running(folder: Path, *arguments: str, **environment: str) -> AsyncGenerator[Dev]:
    """Start `otlpg dev` on this folder, wait for its banner, and see that it is gone after."""
    process = await otlpg(
        "dev", "--data-dir", str(folder), "--grpc-port", "0", "--telemetry-port", "0", *arguments,
        **environment,
    )  # fmt: skip
    dev = Dev(process, folder)
    try:
        await dev.until(WAITING)
        yield dev
    finally:
        if process.returncode is None:
            await dev.interrupt()


async def otlpg(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a command with nothing of the tester's own settings; both outputs in one pipe."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "collector", *arguments,
        env={**ENVIRONMENT, **environment}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def ended(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it printed."""
    process = await otlpg(*arguments, **environment)
    async with asyncio.timeout(STEP_S_MAX):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.fixture
def folder() -> Generator[Path]:
    """A data folder that does not exist yet, at a path that any user of the machine may pass."""
    parent = Path(tempfile.mkdtemp(prefix="otlpg-dev-"))
    yield parent / "data"
    shutil.rmtree(parent)


async def test_a_newcomers_first_minutes(folder: Path) -> None:
    """Start, send the sample, see it counted, stop, start again: it is still there."""
    async with running(folder) as dev:
        endpoint = dev.found(r"OTEL_EXPORTER_OTLP_ENDPOINT=(\S+)")
        assert dev.found(r"OTEL_EXPORTER_OTLP_PROTOCOL=(\S+)") == "grpc"
        assert dev.found(r"psql \"?(postgresql://\S+?)\"?\n").startswith("postgresql://otlpg@")

        code, said = await ended("send-test", "--data-dir", str(folder))
        assert code == 0, said
        assert f"sent to {endpoint} and acknowledged: 10 spans, 8 data points" in said
        trace_id = re.search(r"^trace ([0-9a-f]{32})$", said, re.MULTILINE)
        assert trace_id is not None

        await dev.until("stored 10 spans, 8 data points, 4 log records")
        code, said = await ended("check", "--data-dir", str(folder))
        assert code == 0, said
        assert "failed" not in said
        assert await dev.interrupt() == 0, dev.printed
    assert not (folder / FILE_NAME).exists()
    assert not (folder / "pgdata" / "postmaster.pid").exists()

    async with running(folder) as dev:
        assert await stored_spans(dev, bytes.fromhex(trace_id[1])) == 9
        assert await dev.interrupt() == 0, dev.printed


async def stored_spans(dev: Dev, trace_id: bytes) -> int:
    """Count the spans of a trace, connecting as the banner's psql line does."""
    dsn = dev.found(r"psql \"(postgresql://[^\"]+)\"")
    connection = await connect(DatabaseSettings(dsn=SecretStr(dsn)))
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM trace_spans WHERE trace_id = $1", trace_id
        )
    finally:
        await connection.close()


async def test_beside_other_databases_devs_and_listeners(folder: Path) -> None:
    """A DATABASE_URL is left alone; a second dev and a taken port end in plain words.

    One story in one test, because making a cluster is what takes its time.
    """
    async with running(folder, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d") as dev:
        said = "".join(dev.printed)
        assert "dev brings its own PostgreSQL" in said
        assert "hunter2" not in said
        await send_for_scripts(folder, dev.found(r"OTEL_EXPORTER_OTLP_ENDPOINT=(\S+)"))

        code, said = await ended("dev", "--data-dir", str(folder), "--grpc-port", "0")
        assert code == 5
        assert str(dev.process.pid) in said
        assert "--data-dir" in said
        assert "Traceback" not in said
        assert (folder / "pgdata" / "postmaster.pid").exists(), "the first one's server is gone"

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = await ended(
            "dev", "--data-dir", str(folder), "--grpc-port", port, "--telemetry-port", "0"
        )
    assert code == 4
    assert port in said.splitlines()[-1]
    assert "Traceback" not in said
    assert not (folder / "pgdata" / "postmaster.pid").exists(), "PostgreSQL is left running"


async def send_for_scripts(folder: Path, endpoint: str) -> None:
    """Scripts get one line of JSON; --no-read needs no database."""
    code, said = await ended("send-test", "--json", "--data-dir", str(folder))
    assert code == 0, said
    report: dict[str, Any] = json.loads(said)
    assert report["sent"] == {"spans": 10, "points": 8, "log_records": 4}
    types = {point["type"] for point in report["found"]["points"]}
    assert types == {"sum", "gauge", "histogram", "exponential_histogram", "summary"}

    code, said = await ended("send-test", "--no-read", "--endpoint", endpoint)
    assert code == 0, said


async def test_a_taken_port_is_told_before_a_cluster_is_made(folder: Path) -> None:
    """A newcomer with a collector on 4317 waits for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = await ended("dev", "--data-dir", str(folder), "--grpc-port", port)

    assert code == 4
    assert port in said
    assert len(said.splitlines()) == 1
    assert not (folder / "pgdata").exists()


async def test_a_postgres_that_dies_is_started_again_and_said_once(folder: Path) -> None:
    """Whatever killed it, the sample of a newcomer is stored afterwards."""
    async with running(folder) as dev:
        postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().splitlines()[0])

        os.kill(postmaster, signal.SIGKILL)

        await dev.until("PostgreSQL has died")
        await dev.until("PostgreSQL is back")
        code, said = await ended("send-test", "--data-dir", str(folder))
        assert code == 0, said
        assert await dev.interrupt() == 0, dev.printed
    assert "".join(dev.printed).count("has died") == 1
    assert "Traceback" not in "".join(dev.printed)
