"""``otlpg verify``: a canary beside a running daemon; a line for each interval, and a summary."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import exit_codes, options, printing, verify_text
from collector.errors import SettingsError
from collector.operate.verify.options import Options, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from collector.operate.verify.tally import Report
    from collector.settings import Settings


def _seconds(value: object) -> float:
    """Return a number of seconds, or a duration such as ``500ms``."""
    from collector.settings.units import duration_from_text

    try:
        seconds = float(duration_from_text(1, "seconds, or a duration such as 500ms")(value))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not 0 <= seconds < float("inf"):
        raise typer.BadParameter("must not be negative")
    return seconds


def _positive_seconds(value: object) -> float:
    seconds = _seconds(value)
    if seconds < SECONDS_MIN:
        raise typer.BadParameter(f"must be at least {SECONDS_MIN:g} s")
    return seconds


SECONDS_MIN = 0.01
DURATION = "SECONDS"


def verify(
    *,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="OTLP/gRPC; default: OTEL_EXPORTER_OTLP_ENDPOINT, else the running `otlpg dev`.",
        ),
    ] = None,
    http_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="OTLP/HTTP; default: as above, its HTTP port.")
    ] = None,
    protocol: Annotated[
        list[Protocol] | None,
        typer.Option(help="May be given again: rounds take them in turn. Default: grpc."),
    ] = None,
    every: Annotated[
        float,
        typer.Option(parser=_positive_seconds, metavar=DURATION, help="From round to round."),
    ] = 1.0,
    rounds: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    run_for: Annotated[
        float | None,
        typer.Option("--for", parser=_positive_seconds, metavar=DURATION, help="End after so long."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(parser=_positive_seconds, metavar=DURATION, help="For each attempt."),
    ] = 10.0,
    deadline: Annotated[
        float,
        typer.Option(
            parser=_positive_seconds, metavar=DURATION, help="For a request and its retries."
        ),
    ] = 30.0,
    visible_within: Annotated[
        float,
        typer.Option(
            parser=_seconds,
            metavar=DURATION,
            help="Read from a replica that lags at most so long; 0: a row is there with OK.",
        ),
    ] = 0.0,
    repeat_every: Annotated[
        int, typer.Option(min=0, help="Send each so many-th round twice; 0: never.")
    ] = 10,
    bad_item_every: Annotated[
        int,
        typer.Option(
            "--bad-item-every", min=0, metavar="ROUNDS",
            help="Each so many-th round, a bad item too; it stays in dead_letters. 0: never.",
        ),
    ] = 0,
    instance: Annotated[
        str | None,
        typer.Option(help="service.instance.id of all that is sent; default: the host's name."),
    ] = None,
    report_every: Annotated[
        float, typer.Option(parser=_positive_seconds, metavar=DURATION, help="Between two lines.")
    ] = 10.0,
    metrics_host: Annotated[
        str, typer.Option(help="Address for /metrics and /health.")
    ] = "127.0.0.1",
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Their port, 0 picks one; default: none is opened."),
    ] = None,
    ca_file: options.CaFile = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
    as_json: options.AsJson = False,
) -> None:  # fmt: skip
    """Send marked items for ever, read them back, and report loss, duplication and delay.

    Exits with 1 when anything acknowledged was lost, stored twice or altered. An API key is taken
    from OTEL_EXPORTER_OTLP_HEADERS, as the SDKs do: authorization=Bearer%20<key>.
    """
    for given in (endpoint, http_endpoint):
        if given is not None:
            options.endpoint_of_flag(given)
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
    from collector.operate.access import Access
    from collector.operate.verify.run import verify as run
    from collector.telemetry.logging import configure

    configure(settings.telemetry)
    show = _show_json if as_json or not sys.stdout.isatty() else _show_text
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
