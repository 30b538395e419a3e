"""PostgreSQL goes away under real senders, or has no room: how many items does each of them lose?

``python -m tests.interop.outage`` measures all of it, about four minutes, and prints README's table.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.embedded import ROLE, EmbeddedPostgres
from collector.store.pool import connect
from tests.conftest import QUICK, memory_folder, settings_of
from tests.e2e.daemon import Daemon
from tests.interop import binaries
from tests.interop.applications import Application, Sender
from tests.interop.crowd import Crowd
from tests.interop.otelcol import DEFAULTS, OtelCollector
from tests.interop.stored import Stored
from tests.interop.waiting import wait_until

PATIENT_PYTHON = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60"}
PATIENT_JS = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60000", "OTEL_BSP_EXPORT_TIMEOUT": "90000"}

SDKS = (
    Sender("Python, gRPC", "python", "grpc"),
    Sender("Python, HTTP", "python", "http"),
    Sender("JavaScript, HTTP", "js", "http"),
    Sender("JavaScript, gRPC", "js", "grpc"),
)
RETRYING = SDKS[:3]
"""The JavaScript exporter over gRPC makes one try, whatever it hears."""
PATIENT = (
    Sender("Python, gRPC, patient", "python", "grpc", PATIENT_PYTHON),
    Sender("Python, HTTP, patient", "python", "http", PATIENT_PYTHON),
    Sender("JavaScript, HTTP, patient", "js", "http", PATIENT_JS),
    Sender("JavaScript, gRPC, patient", "js", "grpc", PATIENT_JS),
)
COLLECTED = {
    "otel-collector, gRPC": Sender("otel-collector, gRPC", "python", "grpc"),
    "otel-collector, HTTP": Sender("otel-collector, HTTP", "python", "grpc"),
}
"""Applications behind an otel-collector, which takes their spans at once and forwards them so."""

BEFORE_S = 2.0
AFTER_S = 3.0
SETTLE_S_MAX = 60.0
"""The collector's second try comes after 5 s, half as much again at the most."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of one sender's spans."""

    sent: int
    lost: int
    twice: int

    def __str__(self) -> str:
        return f"{self.lost} of {self.sent}" if self.lost else "0"


@dataclass(frozen=True, slots=True)
class Stage:
    """A PostgreSQL that may be stopped, and a daemon in front of it."""

    postgres: EmbeddedPostgres
    database: DatabaseSettings
    otlpg: Daemon
    folder: Path

    async def away(self, outage_s: float) -> None:
        """Stop PostgreSQL for ``outage_s``; the moment at which it answers again ends them."""
        began_s = time.monotonic()
        await asyncio.to_thread(self.postgres.stop, "immediate")
        await asyncio.sleep(max(0.0, outage_s - START_S - (time.monotonic() - began_s)))
        await asyncio.to_thread(self.postgres.restart)
        say(f"PostgreSQL was away for {time.monotonic() - began_s:.2f} s")

    @asynccontextmanager
    async def full(self) -> AsyncGenerator[None]:
        """Let nothing be written, and leave no room, inside the block."""
        holder = await connect(self.database.model_copy(update={"app_name": "holder"}))
        try:
            async with Crowd(self.otlpg.grpc_port) as crowd:
                await holder.execute("BEGIN; LOCK TABLE logs, trace_spans IN ACCESS EXCLUSIVE MODE")
                await crowd.wait_until_full()
                yield
                await holder.execute("ROLLBACK")
        finally:
            await holder.close()


START_S = 0.1
"""What a start of PostgreSQL takes, about; the outage that was measured is told."""


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="otlpg-outage-", dir=memory_folder()))
    folder.chmod(0o711)  # started by root, PostgreSQL runs as somebody else
    return folder


@asynccontextmanager
async def stage(**environment: Any) -> AsyncGenerator[Stage]:
    """Start a PostgreSQL that comes back quickly, and a daemon."""
    folder = _folder()
    # What was committed must survive an immediate stop: of the server, not of the machine.
    postgres = EmbeddedPostgres(parameters={**QUICK, "synchronous_commit": "on"})
    try:
        postgres.start(folder / "server")
        database = settings_of(postgres, ROLE)
        connection = await connect(database)
        try:
            await migrate.up(connection)
        finally:
            await connection.close()
        otlpg = Daemon(database, **environment)
        try:
            await asyncio.to_thread(otlpg.start)
            yield Stage(postgres, database, otlpg, folder)
        finally:
            await asyncio.to_thread(otlpg.kill)
    finally:
        postgres.stop("immediate")
        shutil.rmtree(folder)


async def losses_away(on: Stage, away_s: float, sdks: Sequence[Sender]) -> dict[str, Loss]:
    """Return what each of ``sdks``, and each collector, loses when PostgreSQL is away.

    Applications send before, during and after it, and then end as applications do.
    """
    async with _running(on, sdks) as senders:
        await senders.start()
        await senders.have_begun()
        await asyncio.sleep(BEFORE_S)
        await on.away(away_s)
        await asyncio.sleep(AFTER_S)
        return await senders.stop()


async def losses_full(on: Stage, full_s: float, sdks: Sequence[Sender]) -> dict[str, Loss]:
    """Return what they lose when they begin while there is no room, and none comes for so long."""
    async with _running(on, sdks) as senders:
        async with on.full():
            await senders.start()
            await senders.were_refused()
            await asyncio.sleep(full_s)
        await senders.have_begun()
        await asyncio.sleep(AFTER_S)
        return await senders.stop()


@asynccontextmanager
async def _running(on: Stage, sdks: Sequence[Sender]) -> AsyncGenerator[Senders]:
    otelcol = OtelCollector(
        binaries.find().otelcol,
        on.folder,
        forward_to=on.otlpg.grpc_port,
        forward_http_to=on.otlpg.http_port,
        base=(DEFAULTS,),
    )
    ports = dict(zip(COLLECTED, (otelcol.port, otelcol.http_port), strict=True))
    applications: list[Application] = []
    for sender in (*sdks, *COLLECTED.values()):
        direct = on.otlpg.grpc_port if sender.protocol == "grpc" else on.otlpg.http_port
        endpoint = f"http://127.0.0.1:{ports.get(sender.name, direct)}"
        applications.append(Application(sender, endpoint, on.folder / "applications.log"))
    try:
        await otelcol.start()
        yield Senders(on, otelcol, applications)
    finally:
        for application in applications:
            await application.kill()
        await otelcol.kill()


@dataclass(frozen=True, slots=True)
class Senders:
    """All applications of one measurement, and the collector of those that have one."""

    on: Stage
    otelcol: OtelCollector
    applications: Sequence[Application]

    async def start(self) -> None:
        """Let them send."""
        for application in self.applications:
            await application.start()

    async def have_begun(self) -> None:
        """Wait until PostgreSQL holds something of each."""
        stored = Stored(self.on.database)

        async def begun() -> bool:
            query = "SELECT count(DISTINCT service_name) FROM trace_spans"
            return await stored.value(query) == len(self.applications)

        await wait_until(begun, what="every application has sent", within_s=SETTLE_S_MAX)

    async def were_refused(self) -> None:
        """Wait until as many requests found no room as there are senders."""

        async def refused() -> bool:
            labels = {"signal": Signal.TRACES, "cause": "queue_full"}
            metric = partial(self.on.otlpg.metric, "otlpg_refusals_total", **labels)
            return await asyncio.to_thread(metric) >= len(self.applications)

        await wait_until(refused, what="senders were refused", within_s=SETTLE_S_MAX)

    async def stop(self) -> dict[str, Loss]:
        """End them as applications end, let the collector settle, and count."""
        sent = await asyncio.gather(*(application.stop() for application in self.applications))
        await _passed_on(self.otelcol)
        stored = Stored(self.on.database)
        names = [application.sender.name for application in self.applications]
        return {n: await _loss(stored, n, count) for n, count in zip(names, sent, strict=True)}


async def _passed_on(otelcol: OtelCollector) -> None:
    """Wait until the collector has sent or given up what it took."""

    async def settled() -> bool:
        counted = await otelcol.metrics()
        ended = (
            counted["otelcol_exporter_sent_spans"] + counted["otelcol_exporter_send_failed_spans"]
        )
        return ended == counted["otelcol_receiver_accepted_spans"]

    await wait_until(settled, what="the collector has passed everything on", within_s=SETTLE_S_MAX)


async def _loss(stored: Stored, service: str, sent: int) -> Loss:
    """Compare the numbers of the spans with what was sent."""
    query = f"SELECT name FROM trace_spans WHERE service_name = '{service}'"
    numbers = [int(name) for (name,) in await stored.rows(query)]
    distinct = set(numbers)
    assert distinct <= set(range(sent)), "stored, but never sent"
    return Loss(sent, sent - len(distinct), len(numbers) - len(distinct))


# -- the table ------------------------------------------------------------------------------------

OUTAGES_S = (1.0, 3.0, 8.0, 30.0)
FULL_S = (1.0, 5.0)
FULL = {"OTLPG_INGEST__QUEUE_BYTES_MAX": "1MiB", "OTLPG_INGEST__FLUSH_BYTES_MAX": "512KiB"}
"""A budget that a crowd can fill."""


async def measure() -> dict[str, dict[str, Loss]]:
    """Return the losses of every sender by column, one column after the other."""
    columns: dict[str, dict[str, Loss]] = {}
    senders = (*SDKS, *PATIENT)
    for away_s in OUTAGES_S:
        async with stage() as on:
            columns[f"{away_s:g} s"] = await losses_away(on, away_s, senders)
    for full_s in FULL_S:
        async with stage(**FULL) as on:
            columns[f"full for {full_s:g} s"] = await losses_full(on, full_s, senders)
    return columns


def to_markdown(columns: dict[str, dict[str, Loss]]) -> str:
    """Return README's table: a sender a line, an outage a column, "lost of sent"."""
    names = list(next(iter(columns.values())))
    lines = [f"| Sender | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [
        f"| {name} | {' | '.join(str(c[name]) for c in columns.values())} |" for name in names
    ]
    return "\n".join(lines)


def say(line: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"outage: {line}\n")


if __name__ == "__main__":
    found = asyncio.run(measure())
    assert not any(loss.twice for column in found.values() for loss in column.values()), found
    sys.stdout.write(to_markdown(found) + "\n")
