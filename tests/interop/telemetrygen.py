"""telemetrygen, the OpenTelemetry project's own load generator, with loads of a known size."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

from collector.rows import Signal

METRIC_TYPES = {
    "Gauge": "gauge",
    "Sum": "sum",
    "Histogram": "histogram",
    "ExponentialHistogram": "exponential_histogram",
}
"""Every type that telemetrygen knows, and its name in the table ``metrics``."""
SPANS_UNTHROTTLED_MAX = 2_048
"""Its SDK drops spans in silence when more than this wait for export."""
EXPORT_S_MAX = 30
"""Its deadline for one request; otlpg may hold one for 0.85 of it."""
RUN_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """One run of telemetrygen, and how many items it sends."""

    signal: Signal
    items: int
    arguments: tuple[str, ...]


def traces(number: int, *, children: int, rate: int = 0, batch: int = 100) -> Load:
    """Return a load of ``number`` traces: a root span and ``children`` each, ``rate`` spans/s."""
    spans = number * (1 + children)
    assert rate or spans <= SPANS_UNTHROTTLED_MAX
    size = ("--traces", str(number), "--child-spans", str(children))
    return Load(Signal.TRACES, spans, (*size, *_pace(rate, batch)))


def metrics(number: int, metric_type: str = "Gauge", *, rate: int = 0, batch: int = 100) -> Load:
    """Return a load of ``number`` points of one series; a gauge's values are 0, 1, 2 .."""
    kind = ("--metrics", str(number), "--metric-type", metric_type)
    name = ("--otlp-metric-name", f"gen.{metric_type}")
    return Load(Signal.METRICS, number, (*kind, *name, *_pace(rate, batch)))


def logs(number: int, *, rate: int = 0, batch: int = 100) -> Load:
    """Return a load of ``number`` log records."""
    return Load(Signal.LOGS, number, ("--logs", str(number), *_pace(rate, batch)))


def _pace(rate: int, batch: int) -> tuple[str, ...]:
    return ("--rate", str(rate), "--batch-size", str(batch), "--workers", "1")


class Telemetrygen:
    """Runs loads against one port of loopback."""

    def __init__(self, binary: Path, folder: Path, port: int) -> None:
        self._binary = binary
        self._log = folder / "telemetrygen.log"
        self._port = port

    async def send(self, *loads: Load) -> None:
        """Run ``loads`` at the same time, to their ends.

        Raises:
            RuntimeError: one failed: of metrics and logs it gives up at the first failed export.
        """
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(self._run(load))

    async def _run(self, load: Load) -> None:
        where = ("--otlp-insecure", "--otlp-endpoint", f"127.0.0.1:{self._port}")
        command = [load.signal, *where, "--timeout", f"{EXPORT_S_MAX}s", *load.arguments]
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                self._binary, *command, stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(RUN_S_MAX):
                code = await process.wait()
        finally:
            await _end(process)
        if code != 0:
            raise RuntimeError(f"telemetrygen failed:\n{self._log.read_text()[-2_000:]}")


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
