"""A pgbouncer in transaction mode stands before PostgreSQL, and is restarted, under load."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from collector.settings import DatabaseSettings
from collector.store.embedded import ROLE
from collector.store.embedded_host import as_user, server_user
from collector.store.pool import connect
from tests.e2e.daemon import POLL_S, Daemon
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, run_under, serves_again

pytestmark = pytest.mark.pgbouncer

ACKNOWLEDGED_BETWEEN_RESTARTS_MAX = 150
WAYS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
"""Killed; stopped at once; stopped when it has served every transaction."""
START_S_MAX = STOP_S_MAX = 10.0
RUNS = 3

CONFIGURATION = """
[databases]
* = host={folder} port={server_port} user={role}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 200
"""
"""Fewer connections to the server than otlpg opens, so that transactions do share them."""


class PgBouncer:
    """One pgbouncer on a port of loopback, which ends when it is told to."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
        program = shutil.which("pgbouncer", path=path)
        assert program is not None, "pgbouncer is not installed: apt install pgbouncer"
        self._command = [program, str(folder / "pgbouncer.ini")]
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        """Return once it listens."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, **as_user(server_user()), stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                said = (self.folder / "log").read_text()
                assert self._process.poll() is None, f"pgbouncer did not start:\n{said}"
                assert time.monotonic() < deadline, f"pgbouncer does not listen:\n{said}"
                time.sleep(POLL_S)
            else:
                return

    def stop(self, how: signal.Signals) -> None:
        """Return once it has ended, by force if it does not obey."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def configured(server_folder: str, server_port: str) -> PgBouncer:
    """Return a pgbouncer, not started yet, that leads to this server."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-bouncer-"))
    folder.chmod(0o755)
    bouncer = PgBouncer(folder)
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            folder=server_folder, server_port=server_port, role=ROLE, port=bouncer.port
        )
    )
    return bouncer


@pytest.fixture
async def bouncer(durable_database: DatabaseSettings) -> AsyncGenerator[PgBouncer]:
    """A running pgbouncer before the server of ``durable_database``."""
    connection = await connect(durable_database)
    folder = await connection.fetchval("SHOW unix_socket_directories")
    server_port = await connection.fetchval("SHOW port")
    await connection.close()
    running = await asyncio.to_thread(configured, folder, server_port)
    running.start()
    yield running
    running.stop(signal.SIGKILL)
    shutil.rmtree(running.folder)


@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(1600, 1600 + RUNS))
async def test_restarts_of_pgbouncer_lose_and_repeat_nothing(
    bouncer: PgBouncer, durable_database: DatabaseSettings, seed: int
) -> None:
    """Nothing of otlpg outlives a transaction, and a lost bouncer is a lost connection."""
    direct = await connect(durable_database)
    name = await direct.fetchval("SELECT current_database()")
    await direct.close()
    dsn = SecretStr(f"postgresql://{ROLE}@127.0.0.1:{bouncer.port}/{name}?sslmode=disable")

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for way in rng.sample(WAYS, len(WAYS)):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_RESTARTS_MAX))
            await asyncio.to_thread(bouncer.stop, way)
            await asyncio.to_thread(bouncer.start)
            await serves_again(sender)

    through = durable_database.model_copy(update={"dsn": dsn})
    verdict = await run_under(fault, through, seed=seed, judged=durable_database)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > len(WAYS)
