"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import SettingsError

if TYPE_CHECKING:
    from collector.operate.endpoint import Endpoint
    from collector.settings import Settings
    from collector.settings.load import Loaded

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Settings file, YAML or TOML; also OTLPG_CONFIG.", metavar="FILE"
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded PostgreSQL.", metavar="FOLDER"),
]
GrpcHost = Annotated[str | None, typer.Option("--grpc-host", help="Address for OTLP/gRPC.")]
GrpcPort = Annotated[
    int | None, typer.Option("--grpc-port", help="Port for OTLP/gRPC; 0 picks a free one.")
]
HttpHost = Annotated[str | None, typer.Option("--http-host", help="Address for OTLP/HTTP.")]
HttpPort = Annotated[
    int | None, typer.Option("--http-port", help="Port for OTLP/HTTP; 0 picks a free one.")
]
TelemetryHost = Annotated[
    str | None, typer.Option("--telemetry-host", help="Address for /metrics and /health.")
]
TelemetryPort = Annotated[
    int | None,
    typer.Option("--telemetry-port", help="Port for /metrics and /health; 0 picks a free one."),
]
ApiHost = Annotated[
    str | None, typer.Option("--api-host", help="Address of the API, for live tails.")
]
ApiPort = Annotated[
    int | None, typer.Option("--api-port", help="Port of the API; 0 picks a free one.")
]
LogLevel = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")]
LogFormat = Annotated[str | None, typer.Option("--log-format", help="auto, json or console.")]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Who signed the daemon's certificate; default: OTEL_EXPORTER_OTLP_CERTIFICATE.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def load(config: Path | None, **flags: Any) -> Loaded:
    """Return the settings of this command line and environment, and where each came from.

    A flag is named like its setting with ``__`` for the dot: ``receive__grpc_port``.

    Raises:
        SettingsError: a setting is unknown or out of bounds.
    """
    from collector.settings.load import load_with_origins

    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return load_with_origins(config=config, flags=dotted, environ=os.environ)


def load_settings(config: Path | None, **flags: Any) -> Settings:
    """Return the settings as ``load`` does."""
    return load(config, **flags).settings


def endpoint_of_flag(text: str, flag: str = "--endpoint") -> Endpoint:
    """Return what ``flag`` means.

    Raises:
        BadParameter: it is no endpoint.
    """
    from collector.operate.endpoint import parse

    try:
        return parse(text)
    except SettingsError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error
