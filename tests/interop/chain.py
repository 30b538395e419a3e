"""telemetrygen -> otel-collector -> otlpg -> PostgreSQL, as one thing that a test can judge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from collector.rows import Signal
from tests.e2e.daemon import Daemon
from tests.interop.otelcol import ITEMS, OtelCollector
from tests.interop.stored import Stored
from tests.interop.telemetrygen import Load, Telemetrygen
from tests.interop.waiting import wait_until

SETTLE_S_MAX = 60.0

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Chain:
    """All parts, running; ``telemetrygen`` sends to ``otelcol``, which forwards to ``otlpg``."""

    telemetrygen: Telemetrygen
    otelcol: OtelCollector
    otlpg: Daemon
    stored: Stored

    async def send_through(self, *loads: Load, restart: Step, at: tuple[float, ...]) -> None:
        """Send ``loads``, and restart something whenever such a share of the spans is committed."""
        [spans] = (load.items for load in loads if load.signal is Signal.TRACES)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.telemetrygen.send(*loads))
            for share in at:
                await self.stored.reaches(Signal.TRACES, int(share * spans))
                await restart()

    async def assert_holds_exactly(self, items: dict[Signal, int]) -> None:
        """Wait until the collector was told OK for ``items``; fail unless the books of both agree.

        The collector took as many as were sent and gave up none; PostgreSQL holds each once.
        """

        async def acknowledged() -> bool:
            counted = await self.otelcol.metrics()
            return all(counted[_sent(signal)] >= number for signal, number in items.items())

        await wait_until(acknowledged, what=f"{items} are acknowledged", within_s=SETTLE_S_MAX)
        counted = await self.otelcol.metrics()
        for signal, number in items.items():
            assert counted[_sent(signal)] == number, signal
            assert counted[f"otelcol_receiver_accepted_{ITEMS[signal]}"] == number, signal
            assert counted[f"otelcol_exporter_send_failed_{ITEMS[signal]}"] == 0, signal
            assert counted[f"otelcol_exporter_enqueue_failed_{ITEMS[signal]}"] == 0, signal
        await self.stored.assert_holds_exactly(items)


def crash(otlpg: Daemon) -> None:
    """Kill every process of ``otlpg`` with SIGKILL; nobody drains."""
    for worker in otlpg.workers():
        worker.kill()
    otlpg.kill()


def _sent(signal: Signal) -> str:
    return f"otelcol_exporter_sent_{ITEMS[signal]}"
