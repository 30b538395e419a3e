"""``otlpg verify``: a canary beside a running daemon; a line for each interval, and a summary."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING

import typer

from collector.cli import exit_codes, options, printing, verify_options, verify_text
from collector.errors import SettingsError
from collector.operate.verify.options import Options, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.operate.verify.tally import Report
    from collector.settings import Settings


def verify(
    *,
    endpoint: verify_options.Endpoint = None,
    http_endpoint: verify_options.HttpEndpoint = None,
    protocol: verify_options.Protocols = None,
    every: verify_options.Every = 1.0,
    rounds: verify_options.Rounds = None,
    run_for: verify_options.RunFor = None,
    timeout: verify_options.Timeout = 10.0,
    deadline: verify_options.Deadline = 30.0,
    visible_within: verify_options.VisibleWithin = 0.0,
    repeat_every: verify_options.RepeatEvery = 10,
    bad_item_every: verify_options.BadItemEvery = 0,
    instance: verify_options.Instance = None,
    report_every: verify_options.ReportEvery = 10.0,
    metrics_host: verify_options.MetricsHost = "127.0.0.1",
    metrics_port: verify_options.MetricsPort = None,
    ca_file: options.CaFile = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    as_json: options.AsJson = False,
) -> None:
    """Send marked items for ever, read them back, and report loss, duplication and delay.

    Exits with 1 when anything acknowledged was lost, stored twice or altered. An API key is taken
    from OTEL_EXPORTER_OTLP_HEADERS, as the SDKs do: authorization=Bearer%20<key>.
    """
    for flag, given in (("--endpoint", endpoint), ("--http-endpoint", http_endpoint)):
        if given is not None:
            options.endpoint_of_flag(given, flag)
    settings, grpc_port, http_port = _surroundings(config, data_dir, log_level, log_format)
    chosen = Options(
        grpc_endpoint=endpoint
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or f"http://127.0.0.1:{grpc_port}",
        http_endpoint=http_endpoint or f"http://127.0.0.1:{http_port}",
        instance=instance or socket.gethostname(),
        protocols=tuple(protocol or (Protocol.GRPC,)),
        every_s=every,
        rounds=rounds,
        run_s=run_for,
        timeout_s=timeout,
        deadline_s=deadline,
        visible_within_s=visible_within,
        repeat_every=repeat_every,
        bad_item_every=bad_item_every,
        report_every_s=report_every,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    show = _show_json if as_json or not sys.stdout.isatty() else _show_text
    _run(chosen, settings, ca_file, show)


def _run(
    chosen: Options, settings: Settings, ca_file: Path | None, show: Callable[[Report], None]
) -> None:
    """Run until the end, show the summary, and exit as the command's docstring says."""
    from collector.operate.access import Access
    from collector.operate.verify.run import verify as run
    from collector.telemetry.logging import configure

    configure(settings.telemetry)
    access = Access.from_environment(os.environ, ca_file)
    report, failure = asyncio.run(run(chosen, settings.database, access=access, tell=show))
    show(report)
    if report.has_alarm:
        raise typer.Exit(exit_codes.FAILURE)
    if failure is not None:
        raise failure


def _surroundings(
    config: Path | None, data_dir: Path | None, log_level: str | None, log_format: str | None
) -> tuple[Settings, int, int]:
    """Return the settings and the ports of the daemon: their own, or the running `otlpg dev`'s."""
    from collector.operate import dev

    loaded = options.load(
        config,
        data_dir=data_dir,
        telemetry__log_level=log_level,
        telemetry__log_format=log_format,
    )
    receive = loaded.settings.receive
    running = dev.find(dev.data_dir(loaded.settings))
    settings = dev.beside_dev(loaded, running).settings
    if dev.names_no_database(settings.database):
        raise SettingsError(
            "to read back what was sent, name the database (DATABASE_URL or DB_HOST ..), or start "
            "`otlpg dev`"
        )
    if running is not None:
        return settings, running.grpc_port, running.http_port
    return settings, receive.grpc_port, receive.http_port


def _show_json(report: Report) -> None:
    printing.json_line(verify_text.as_map(report))
    sys.stdout.flush()


def _show_text(report: Report) -> None:
    print(verify_text.as_text(report), flush=True)
