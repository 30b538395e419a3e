"""A real otlpg in a process of its own, as end-to-end, fault and interop tests and benches need it.

>>> with Daemon(database_settings, workers=2) as daemon:
...     send_to(daemon.endpoint)
...     assert daemon.items("traces")["stored"] == 3
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

from collector.settings import DatabaseSettings
from collector.store.pool import resolve_dsn

START_S_MAX = 30.0
STOP_S_MAX = 40.0
METRIC_S_MAX = 120.0
POLL_S = 0.02
"""Between two looks at the health of another process; nobody could tell us there."""

ENDS: tuple[str, ...] = (
    "received", "stored", "duplicate", "quarantined", "rejected", "refused",
)  # fmt: skip

FOREIGN_SETTINGS = ("OTLPG_", "OTEL_", "DATABASE_URL", "DB_", "PG", "REDIS_")
"""Variables of whoever runs the tests that must not reach the daemon."""


class Daemon:
    """``otlpg serve`` on free ports of loopback; inside ``with`` it is up and its store is reached.

    ``environment`` adds settings by their variables, ``OTLPG_INGEST__FLUSHERS="1"``.
    """

    def __init__(
        self,
        database: DatabaseSettings,
        *,
        workers: int = 1,
        await_store: bool = True,
        **environment: str,
    ) -> None:
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)},
            "OTLPG_DATABASE__DSN": resolve_dsn(database),
            "OTLPG_WORKERS": str(workers),
            "OTLPG_RECEIVE__GRPC_PORT": "0",
            "OTLPG_RECEIVE__HTTP_PORT": "0",
            "OTLPG_TELEMETRY__PORT": "0",
            "OTLPG_TELEMETRY__LOG_FORMAT": "json",
            "OTLPG_API__ENABLED": "false",
            "OTLPG_API__PORT": "0",
            "OTLPG_API__JAEGER_GRPC_PORT": "0",
            **environment,
        }
        self._await_store = await_store
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._log: list[dict[str, Any]] = []
        self._raw_log: list[str] = []
        self._logged = threading.Condition()
        self._log_ended = False
        self.grpc_port = 0
        self.http_port = 0
        self.telemetry_port = 0
        self.api_port = 0
        self.jaeger_port = 0

    # -- life --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self.is_alive():
                self.stop()
        finally:
            self.kill()
            if kind is not None:
                sys.stderr.write(self.log_text())

    def start(self) -> None:
        """Start, and return when every worker listens and, unless told otherwise, is ready."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        self._log, self._raw_log, self._log_ended = [], [], False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "collector", "serve"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        listening = self.wait_for_log("listening", START_S_MAX)
        self.grpc_port, self.http_port, self.telemetry_port = (
            int(listening[name].rpartition(":")[2]) for name in ("grpc", "http", "telemetry")
        )
        self.api_port, self.jaeger_port = (
            int(listening.get(name, ":0").rpartition(":")[2]) for name in ("api", "jaeger")
        )
        if self._await_store:
            self.wait_until_ready()

    def keep_ports(self) -> None:
        """Let the next start use the ports of this one, where senders go on looking for it."""
        self._environment |= {
            "OTLPG_RECEIVE__GRPC_PORT": str(self.grpc_port),
            "OTLPG_RECEIVE__HTTP_PORT": str(self.http_port),
            "OTLPG_TELEMETRY__PORT": str(self.telemetry_port),
            "OTLPG_API__PORT": str(self.api_port),
            "OTLPG_API__JAEGER_GRPC_PORT": str(self.jaeger_port),
        }

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = STOP_S_MAX) -> int:
        """Return the exit code once the supervisor has ended."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        if self._reader is not None:
            self._reader.join(STOP_S_MAX)
        return code

    def kill(self) -> None:
        """Kill the supervisor with SIGKILL and wait until its workers are gone as well."""
        if self._process is None:
            return
        workers = self.workers()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive, f"orphans: {alive}"
        if self._reader is not None:
            self._reader.join(STOP_S_MAX)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        assert self._process is not None
        self._process.send_signal(number)

    def is_alive(self) -> bool:
        """Tell whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    # -- what it says ------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> str:
        """What goes into OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.grpc_port}"

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that run."""
        return self._children("collector.worker")

    def api(self) -> psutil.Process:
        """Return the process of the API."""
        [process] = self._children("collector.reader")
        return process

    def _children(self, module: str) -> list[psutil.Process]:
        try:
            children = psutil.Process(self.pid).children()
            return [child for child in children if module in child.cmdline()]
        except psutil.NoSuchProcess:
            return []

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of ``/metrics``, ``/health/live`` or ``/health/ready``."""
        url = f"http://127.0.0.1:{self.telemetry_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_until_ready(self, *, ready: bool = True, timeout_s: float = START_S_MAX) -> None:
        """Return when ``/health/ready`` says so (or, with ``ready=False``, no longer says so)."""
        deadline = time.monotonic() + timeout_s
        while (self.get("/health/ready")[0] == 200) is not ready:
            assert self.is_alive(), f"it ended: {self.log_text()}"
            assert time.monotonic() < deadline, f"not ready={ready} in time: {self.log_text()}"
            time.sleep(POLL_S)

    def wait_until_workers(self, count: int, timeout_s: float = START_S_MAX) -> None:
        """Return when ``count`` workers run and the daemon is ready."""
        deadline = time.monotonic() + timeout_s
        while self.metric("otlpg_workers") != count:
            assert time.monotonic() < deadline, f"not {count} workers in time: {self.log_text()}"
            time.sleep(POLL_S)
        self.wait_until_ready(timeout_s=timeout_s)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a metric that carry these labels; 0 without any."""
        _, text = self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until_metric(self, name: str, value: float | None = None, **labels: str) -> None:
        """Return once a metric has this value; without one, once it is no longer 0.

        A metric tells nobody that it has changed, so it is scraped over and over.

        Raises:
            TimeoutError: it does not come to that.
        """
        async with asyncio.timeout(METRIC_S_MAX):
            while True:
                now = await asyncio.to_thread(self.metric, name, **labels)
                if now == value or (value is None and now):
                    return
                await asyncio.sleep(POLL_S)

    def items(self, signal_name: str) -> dict[str, int]:
        """Return the books of a signal: how many items met each end, and how many came in."""
        _, text = self.get("/metrics")
        ends: dict[str, int] = dict.fromkeys(ENDS, 0)
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                if sample.name == "otlpg_items_total" and sample.labels["signal"] == signal_name:
                    ends[sample.labels["end"]] = int(sample.value)
        return ends

    # -- its log -----------------------------------------------------------------------------------

    def wait_for_log(
        self, event: str, timeout_s: float = START_S_MAX, **fields: Any
    ) -> dict[str, Any]:
        """Return the first line of the log with this event and these fields, waiting for it.

        The event of another library may go on after ``event``; its line need not be JSON.
        """

        def found() -> dict[str, Any] | None:
            for line in self._log:
                said = str(line.get("event", line.get("text", "")))
                if said.startswith(event) and fields.items() <= line.items():
                    return line
            return None

        with self._logged:
            self._logged.wait_for(lambda: found() or self._log_ended, timeout_s)
            line = found()
        assert line is not None, f"no {event!r} {fields} in the log:\n{self.log_text()}"
        return line

    def log(self) -> list[dict[str, Any]]:
        """Return the lines so far; one that is not JSON stands under ``text``."""
        with self._logged:
            return list(self._log)

    def raw_log(self) -> list[str]:
        """Return the lines so far as they were written."""
        with self._logged:
            return list(self._raw_log)

    def log_text(self) -> str:
        """Return the log for a human."""
        return "".join(json.dumps(line) + "\n" for line in self.log())

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for raw in lines:
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = {"text": raw.decode(errors="replace").rstrip()}
                with self._logged:
                    self._log.append(line)
                    self._raw_log.append(raw.decode(errors="replace").removesuffix("\n"))
                    self._logged.notify_all()
        with self._logged:
            self._log_ended = True
            self._logged.notify_all()
