"""``otlpg serve``: the daemon, on the PostgreSQL that the settings name."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli import options


def serve(
    config: options.Config = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that share the port.")
    ] = None,
    grpc_host: options.GrpcHost = None,
    grpc_port: options.GrpcPort = None,
    http_host: options.HttpHost = None,
    http_port: options.HttpPort = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Allow listeners beyond loopback though nothing authenticates senders.",
        ),
    ] = False,
    telemetry_host: options.TelemetryHost = None,
    telemetry_port: options.TelemetryPort = None,
    api_host: options.ApiHost = None,
    api_port: options.ApiPort = None,
    log_level: options.LogLevel = None,
    log_format: options.LogFormat = None,
) -> None:
    """Receive OTLP and store it in PostgreSQL until SIGTERM or Ctrl-C."""
    settings = options.load_settings(
        config,
        workers=workers,
        receive__grpc_host=grpc_host,
        receive__grpc_port=grpc_port,
        receive__http_host=http_host,
        receive__http_port=http_port,
        receive__insecure=insecure or None,
        telemetry__host=telemetry_host,
        telemetry__port=telemetry_port,
        api__host=api_host,
        api__port=api_port,
        telemetry__log_level=log_level,
        telemetry__log_format=log_format,
    )
    from collector import supervisor

    raise typer.Exit(supervisor.serve(settings))
