"""The daemon under measurement: ``otlpg serve`` as its users start it, in processes of its own.

This side uses no gRPC: it starts processes, also as another user, and children of a process in
which gRPC runs may crash.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from typing import Self
from urllib.request import urlopen

import psutil

from collector.errors import CommandError
from collector.operate.bench.processes import end, listeners, peak_rss_bytes
from collector.operate.verify.options import Protocol

READY_S_MAX = 30.0
STOP_S_MAX = 30.0
CHECK_S_MAX = 2.0
POLL_S = 0.05
FOREIGN_SETTINGS = ("OTLPG_", "DATABASE_URL", "DB_", "PG", "REDIS_")
"""Variables that must not reach the daemon: the load would go into a database of somebody's."""
LOG_TAIL_BYTES = 2_000


class ServedDaemon:
    """One ``otlpg serve``; a context manager that waits until every worker answers."""

    def __init__(
        self, *, workers: int, dsn: str, log: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._workers = workers
        self._log = log
        self._port = free_port()
        self._http_port = free_port()
        telemetry_port = free_port()
        self._telemetry_url = f"http://127.0.0.1:{telemetry_port}"
        self._environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)},
            "OTLPG_DATABASE__DSN": dsn,
            "OTLPG_RECEIVE__GRPC_PORT": str(self._port),
            "OTLPG_RECEIVE__HTTP_PORT": str(self._http_port),
            "OTLPG_TELEMETRY__PORT": str(telemetry_port),
            "OTLPG_API__ENABLED": "false",
            "OTLPG_API__JAEGER_GRPC": "false",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.worker_pids: list[int] = []

    def endpoint(self, protocol: Protocol = Protocol.GRPC) -> str:
        """Return where it listens."""
        port = self._port if protocol is Protocol.GRPC else self._http_port
        return f"127.0.0.1:{port}"

    @property
    def process(self) -> psutil.Process:
        """Its first process, the root of its tree."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def peaks_mib(self) -> list[float]:
        """Return the most memory that each worker ever held."""
        return [peak_rss_bytes(psutil.Process(pid)) / 2**20 for pid in self.worker_pids]

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels; 0 when it has none yet.

        Raises:
            OSError: the daemon does not answer.
        """
        url = f"{self._telemetry_url}/metrics"
        with urlopen(url, timeout=CHECK_S_MAX) as reply:  # noqa: S310 -- our own URL
            for line in reply.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        return 0.0

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            CommandError: it ended, or did not answer in time; the text holds the end of its log.
        """
        command = [sys.executable, "-m", "collector", "serve", "--workers", str(self._workers)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command
                command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Drain and stop it."""
        end(self._process, STOP_S_MAX)

    def _await_ready(self) -> None:
        """Return once every worker listens and the daemon calls itself ready."""
        process, end = self._process, monotonic() + READY_S_MAX
        while process is not None and process.poll() is None and monotonic() < end:
            self.worker_pids = [p.pid for p in listeners(self.process, self._port)]
            if len(self.worker_pids) >= self._workers and self._is_ready():
                return
            sleep(POLL_S)
        raise CommandError(f"the daemon did not start:\n{self._tail()}")

    def _is_ready(self) -> bool:
        try:
            url = f"{self._telemetry_url}/health/ready"
            with urlopen(url, timeout=CHECK_S_MAX) as reply:  # noqa: S310 -- our own URL
                return reply.status == HTTPStatus.OK
        except OSError:  # not yet; the caller asks again until its time is up
            return False

    def _tail(self) -> str:
        return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
