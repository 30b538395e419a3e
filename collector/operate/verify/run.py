"""One run of the canary as a process: its signals, its ``/metrics``, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import structlog

from collector.errors import OtlpgError, UnreachableError
from collector.operate.verify.canary import Canary
from collector.receive.listeners import ReservedPort, authority
from collector.store.pool import describe
from collector.telemetry.clock import Clock, SystemClock
from collector.telemetry.health import TelemetryServer, build_app
from collector.telemetry.metrics import Snapshot, VerifyMetrics

if TYPE_CHECKING:
    from collector.operate.access import Access
    from collector.operate.verify.options import Options
    from collector.operate.verify.tally import Report
    from collector.settings import DatabaseSettings

OFF = "off"


class Outcome(NamedTuple):
    """The whole run, and what a run without any broken promise still could not do."""

    report: Report
    failure: OtlpgError | None


async def verify(
    options: Options,
    database: DatabaseSettings,
    *,
    access: Access,
    tell: Callable[[Report], None],
    clock: Clock | None = None,
) -> Outcome:
    """Run the canary until its rounds or time are over, or SIGTERM or Ctrl-C; a second one hurries.

    Raises:
        CommandError: the role may not read, or the schema is not one of ours.
        SettingsError: an address or a certificate cannot be used, or the port of the metrics is taken.
    """
    clock = clock or SystemClock()
    run_id = uuid.uuid4().hex
    metrics = VerifyMetrics()
    canary = Canary(
        options,
        database,
        run_id=run_id,
        access=access,
        clock=clock,
        rng=Random(run_id),
        metrics=metrics,
        tell=tell,
    )
    with _signals_to(canary):
        async with _metrics_served(options, canary, metrics) as address:
            structlog.stdlib.get_logger("otlpg.verify").info(
                "verifying",
                run=run_id,
                instance=options.instance,
                protocols=", ".join(options.protocols),
                grpc=options.grpc_endpoint,
                http=options.http_endpoint,
                database=describe(database),
                metrics=address,
            )
            report = await canary.run()
    return Outcome(report, _failure(canary, options, database))


def _failure(
    canary: Canary, options: Options, database: DatabaseSettings
) -> UnreachableError | None:
    if not canary.tally.ever_acknowledged:
        where = ", ".join(
            sorted(
                {
                    options.grpc_endpoint if protocol == "grpc" else options.http_endpoint
                    for protocol in options.protocols
                }
            )
        )
        return UnreachableError(
            f"nothing was ever acknowledged at {where}; start `otlpg dev`, or name the "
            "daemon with --endpoint http://host:port or --http-endpoint"
        )
    if not canary.tally.ever_read:
        return UnreachableError(
            f"nothing could ever be read back from PostgreSQL at {describe(database)}; "
            "`otlpg check` looks closer"
        )
    return None


@contextlib.contextmanager
def _signals_to(canary: Canary) -> Generator[None]:
    """Let the first SIGTERM or SIGINT of the block end the run, and the second hurry."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    seen: list[None] = []

    def on_signal() -> None:
        (canary.hurry if seen else canary.end)()
        seen.append(None)

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _metrics_served(
    options: Options, canary: Canary, metrics: VerifyMetrics
) -> AsyncGenerator[str]:
    """Serve ``/metrics`` and ``/health`` during the block, where a port was named; say where.

    Raises:
        SettingsError: the address is not one of this machine, or is taken.
    """
    if options.metrics_port is None:
        yield OFF
        return

    async def scrape() -> Snapshot:
        return metrics.snapshot()

    held = ReservedPort(
        options.metrics_host, options.metrics_port, setting="--metrics-port", shared=False
    )
    server = TelemetryServer(build_app(scrape, canary.readiness, metrics))
    serving = asyncio.create_task(server.run_on(held.sockets))
    try:
        yield authority(options.metrics_host, held.port)
    finally:
        server.stop()
        await serving
        held.release()
