"""The real otel-collector as a subprocess: OTLP in, its queue, OTLP out to otlpg."""

from __future__ import annotations

import asyncio
import os
import urllib.request
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path
from urllib.error import URLError

from prometheus_client.parser import text_string_to_metric_families

from collector.rows import Signal
from tests.interop.waiting import free_port, wait_until

SAMPLE = Path(__file__).parents[2] / "deploy" / "otel-collector" / "config.yaml"
"""What operators are told to use is what these tests run."""
QUICK = Path(__file__).with_name("quick.yaml")
BATCHING = Path(__file__).with_name("batching.yaml")
UNCOMPRESSED = Path(__file__).with_name("uncompressed.yaml")
HTTP = Path(__file__).with_name("http.yaml")
JSON = Path(__file__).with_name("json.yaml")
DEFAULTS = Path(__file__).with_name("defaults.yaml")
"""Stands alone: what an exporter does that nobody has told anything."""

ITEMS = {Signal.TRACES: "spans", Signal.METRICS: "metric_points", Signal.LOGS: "log_records"}
"""What the collector's own metrics call the items of a signal."""
START_S_MAX = 15.0
STOP_S_MAX = 30.0


class OtelCollector:
    """One otel-collector on loopback; started again it keeps its ports and its queue on disk."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        *,
        forward_to: int,
        forward_http_to: int,
        overlays: tuple[Path, ...] = (),
        base: tuple[Path, ...] = (SAMPLE, QUICK),
    ) -> None:
        self.port = free_port()
        self.http_port = free_port()
        self._telemetry_port = free_port()
        self._command = [str(binary)]
        for config in (*base, *overlays):
            self._command += ["--config", str(config)]
        self._environment = {
            **os.environ,
            "RECEIVE_AT": f"127.0.0.1:{self.port}",
            "RECEIVE_HTTP_AT": f"127.0.0.1:{self.http_port}",
            "HEALTH_AT": f"127.0.0.1:{free_port()}",
            "FORWARD_TO": f"127.0.0.1:{forward_to}",
            "FORWARD_HTTP_TO": f"http://127.0.0.1:{forward_http_to}",
            "QUEUE_FOLDER": str(folder / "queue"),
            "TELEMETRY_PORT": str(self._telemetry_port),
        }
        self._log = folder / "otelcol.log"
        self._process: Process | None = None

    async def start(self) -> None:
        """Start it and return when it takes OTLP."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log
            )
        try:
            await wait_until(self._ready, what="otel-collector is ready", within_s=START_S_MAX)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """End it as an operator does: it sends what waits in memory, or leaves it on disk."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            async with asyncio.timeout(STOP_S_MAX):
                await self._process.wait()

    async def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def metrics(self) -> Counter[str]:
        """Return its own metrics by name, each summed over labels; 0 for what it never counted."""
        text = await asyncio.to_thread(self._scrape)
        totals: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                totals[sample.name.removesuffix("_total")] += int(sample.value)
        return totals

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise RuntimeError(f"otel-collector ended:\n{self._log.read_text()[-2_000:]}")
        try:
            await asyncio.to_thread(self._scrape)
        except URLError:
            return False
        return b"Everything is ready" in self._log.read_bytes()

    def _scrape(self) -> str:
        url = f"http://127.0.0.1:{self._telemetry_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.read().decode()
