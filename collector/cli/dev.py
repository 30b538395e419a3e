"""``otlpg dev``: everything on this machine, to try otlpg and to develop against it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from typing import TYPE_CHECKING, Any

import typer

from collector.cli import options, printing
from collector.cli.counts import LiveCounts
from collector.cli.tail import DEFAULT_URL
from collector.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from collector.settings import Settings
    from collector.store.embedded import EmbeddedPostgres
    from collector.telemetry.metrics import Snapshot


def dev(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    grpc_port: options.GrpcPort = None,
    http_port: options.HttpPort = None,
    telemetry_port: options.TelemetryPort = None,
    api_port: options.ApiPort = None,
    log_level: options.LogLevel = None,
) -> None:
    """Run otlpg with an embedded PostgreSQL, on loopback only, until Ctrl-C.

    The data stays in the data folder and is there again at the next start.
    """
    from collector import supervisor
    from collector.operate import dev as running
    from collector.receive import ports
    from collector.store.embedded import EmbeddedPostgres

    settings = _on_loopback(
        config,
        data_dir=data_dir,
        receive__grpc_port=grpc_port,
        receive__http_port=http_port,
        telemetry__port=telemetry_port,
        api__port=api_port,
        telemetry__log_level=log_level,
    )
    folder = running.data_dir(settings)
    postgres = EmbeddedPostgres(progress=printing.note)
    counts = LiveCounts()
    guard = running.Guard(postgres, folder, tell=printing.note, end=_interrupt)

    def on_snapshot(snapshot: Snapshot) -> None:
        counts.show(snapshot)
        guard.look()

    try:
        postgres.claim(folder)
        ports.probe(settings)  # before a cluster is made for nothing
        settings = running.with_dsn(settings, postgres.start(folder))
        asyncio.run(_migrate(settings))
        with running.Publication(folder) as publication, counts:

            def on_ready(real_ports: dict[str, int]) -> None:
                publication.publish(postgres.dsn(), real_ports)
                with contextlib.suppress(CommandError):  # who has closed our output misses nothing
                    print(banner(settings, postgres, real_ports), flush=True)
                counts.start()

            code = supervisor.serve(settings, on_ready=on_ready, on_snapshot=on_snapshot)
    finally:
        guard.finish()
        postgres.stop()
    if guard.failure is not None:
        raise guard.failure
    printing.note("stopped; the data stays in " + str(folder))
    raise typer.Exit(code)


def _on_loopback(config: Path | None, **flags: Any) -> Settings:
    """Return the settings with ``flags``, as ``options.load`` takes them, and what `dev` changes."""
    from collector.operate import dev as running

    settings = running.quiet(
        options.load(
            config,
            workers=1,
            receive__grpc_host="127.0.0.1",
            receive__http_host="127.0.0.1",
            telemetry__host="127.0.0.1",
            api__host="127.0.0.1",
            **flags,
        )
    )
    if not running.names_no_database(settings.database):
        printing.note("the database of the settings is left alone: dev brings its own PostgreSQL")
    return settings


def _interrupt() -> None:
    """Drain, as after Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


async def _migrate(settings: Settings) -> None:
    from collector.store import migrate
    from collector.store.pool import connect

    connection = await connect(settings.database)
    try:
        await migrate.up(connection, tell=lambda m: printing.note(f"applied {m.label}"))
    finally:
        await connection.close()


def banner(settings: Settings, postgres: EmbeddedPostgres, ports: dict[str, int]) -> str:
    """Return what a newcomer needs to send the first item and to see it."""
    grpc, http, telemetry = ports["grpc"], ports["http"], ports["telemetry"]
    scheme = "https" if settings.tls.on else "http"
    about = "https" if settings.tls.telemetry else "http"
    watch = ""
    if "api" in ports:
        api = f"{scheme}://127.0.0.1:{ports['api']}"
        url = "" if api == DEFAULT_URL else f" --url {api}"
        command = f"{printing.own_command()} tail all{url}"
        watch = f"Watch what comes in, as it is committed:\n\n  {command}\n\n"
    folder = f" --data-dir {shlex.quote(str(settings.data_dir))}" if settings.data_dir else ""
    return f"""
otlpg is ready: what it acknowledges is committed in PostgreSQL.

  OTLP/gRPC   {scheme}://127.0.0.1:{grpc}
  OTLP/HTTP   {scheme}://127.0.0.1:{http}
  metrics     {about}://127.0.0.1:{telemetry}/metrics
  health      {about}://127.0.0.1:{telemetry}/health/ready

Send from any OpenTelemetry SDK:

  export OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://127.0.0.1:{grpc}
  export OTEL_EXPORTER_OTLP_PROTOCOL=grpc

or send a sample from a second terminal:

  {printing.own_command()} send-test{folder}

{watch}Look at it in SQL:

  {postgres.psql_line()}

Ctrl-C stops it; the data stays.
"""
