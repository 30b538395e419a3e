"""``otlpg verify`` as a process: its reports as they come, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self

from collector.settings import DatabaseSettings
from collector.store.pool import resolve_dsn
from tests.e2e.daemon import FOREIGN_SETTINGS, Daemon

REPORT_S_MAX = 60.0
END_S_MAX = 60.0


class Verifying:
    """A canary of quick rounds beside ``daemon``; inside ``with`` it runs, after it, it does not."""

    def __init__(
        self, daemon: Daemon, database: DatabaseSettings, *options: str, **environment: str
    ) -> None:
        self._command = [
            sys.executable, "-m", "collector", "verify",
            "--endpoint", daemon.endpoint,
            "--http-endpoint", f"http://127.0.0.1:{daemon.http_port}",
            "--every", "50ms", "--report-every", "100ms", "--log-format", "json", *options,
        ]  # fmt: skip
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)},
            "DATABASE_URL": resolve_dsn(database),
            **environment,
        }
        self._lines = threading.Condition()
        self._reports: list[dict[str, Any]] = []
        self._log: list[str] = []
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for read in (self._read_reports, self._read_log):
            self._readers.append(threading.Thread(target=read, daemon=True))
            self._readers[-1].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(END_S_MAX)
        for reader in self._readers:
            reader.join(END_S_MAX)
        if kind is not None:
            sys.stderr.write(self.log_text())

    def end(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code once its rounds are over."""
        code = self._process.wait(END_S_MAX)
        for reader in self._readers:
            reader.join(END_S_MAX)
        return code

    # -- what it says ------------------------------------------------------------------------------

    def wait_for(self, kind: str, name: str, more: int = 1) -> None:
        """Return once so many further ``rounds`` or ``items`` met the end ``name``."""
        with self._lines:
            goal = self._count(kind, name) + more
            done = self._lines.wait_for(
                lambda: self._count(kind, name) >= goal or self._process.poll() is not None,
                REPORT_S_MAX,
            )
            assert done, f"{name}: {self._count(kind, name)} of {goal}\n{self.log_text()}"
            assert self._count(kind, name) >= goal, f"it ended:\n{self.log_text()}"

    def wait_for_log(self, event: str) -> dict[str, Any]:
        """Return the first line of the log with this event, waiting for it."""

        def found() -> dict[str, Any] | None:
            lines = (json.loads(line) for line in self._log if line.startswith("{"))
            return next((line for line in lines if line["event"] == event), None)

        with self._lines:
            self._lines.wait_for(found, REPORT_S_MAX)
            line = found()
        assert line is not None, self.log_text()
        return line

    @property
    def summary(self) -> dict[str, Any]:
        """The last report, of the whole run."""
        last = self._reports[-1]
        assert last["report"] == "summary", last
        return last

    def ends(self) -> dict[str, int]:
        """Return how many items met each end, without those that none met."""
        return {end: count for end, count in self.summary["items"].items() if count}

    def log_text(self) -> str:
        """Return its log."""
        return "".join(self._log)

    def _count(self, kind: str, name: str) -> int:
        return sum(line[kind][name] for line in self._reports if line["report"] == "interval")

    def _read_reports(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._lines:
                    self._reports.append(json.loads(line))
                    self._lines.notify_all()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                with self._lines:
                    self._log.append(line)
                    self._lines.notify_all()
