"""A Redis of the benchmark's own, which can be frozen."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from collector.errors import CommandError
from collector.operate.bench.daemon import free_port
from collector.operate.bench.processes import end

COMMAND = "redis-server"
READY_S_MAX = 10.0
STOP_S_MAX = 5.0
POLL_S = 0.02


def is_installed() -> bool:
    """Return whether there is one to start."""
    return shutil.which(COMMAND) is not None


class RedisServer:
    """``redis-server`` on a free port of loopback, keeping nothing; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            CommandError: it is not installed, ended, or did not answer in time.
        """
        path = shutil.which(COMMAND)
        if path is None:
            raise CommandError(f"live tails are measured with {COMMAND}, which is not on PATH")
        command = [
            path, "--port", str(self._port), "--bind", "127.0.0.1",
            "--save", "", "--appendonly", "no", "--dir", str(self._folder),
        ]  # fmt: skip
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- what PATH names
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, frozen or not."""
        self.resume()
        end(self._process, STOP_S_MAX)

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; nothing when it was not frozen."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _await_ready(self) -> None:
        process, end = self._process, monotonic() + READY_S_MAX
        while process is not None and process.poll() is None and monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self._port), READY_S_MAX) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(16).startswith(b"+PONG"):
                        return
            except OSError:  # not yet; asked again until its time is up
                sleep(POLL_S)
        raise CommandError(f"{COMMAND} did not start: see {self._folder / 'redis.log'}")
