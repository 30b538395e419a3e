"""``otlpg send-test``: send a sample through the real SDK, and read it back from PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import options, printing
from collector.errors import SettingsError

if TYPE_CHECKING:
    from collector.operate.read_back import Found
    from collector.operate.send_test import Sent
    from collector.settings import DatabaseSettings


def send_test(
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Where to send; default: OTEL_EXPORTER_OTLP_ENDPOINT, else the running `otlpg dev`.",
        ),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    read: Annotated[
        bool, typer.Option("--read/--no-read", help="Read back what was stored.")
    ] = True,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for each request.")
    ] = 10.0,
    ca_file: options.CaFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Send a realistic trace, metrics of every type and logs, and read them back.

    An API key is taken from OTEL_EXPORTER_OTLP_HEADERS, as the SDKs do:
    authorization=Bearer%20<key>.
    """
    if endpoint is not None:
        options.endpoint_of_flag(endpoint)
    target, database = _destination(endpoint, config, data_dir)
    if read and database is None:
        raise SettingsError(
            "to read back what was sent, name the database (DATABASE_URL or DB_HOST ..), or start "
            "`otlpg dev`\nto send only, add --no-read"
        )
    from collector.cli import sample_text
    from collector.operate.access import Access
    from collector.operate.send_test import send

    sent = send(target, timeout_s, Access.from_environment(os.environ, ca_file))
    if not as_json:
        printing.note(sample_text.sent_line(sent))
    found = None
    if read and database is not None:
        from collector.operate.read_back import read_back

        found = asyncio.run(read_back(database, sent))
    if as_json:
        printing.json_line(_as_json(sent, found))
    elif found is not None:
        print(sample_text.found_text(sent, found))


def _destination(
    endpoint: str | None, config: Path | None, data_dir: Path | None
) -> tuple[str, DatabaseSettings | None]:
    """Return where to send, and which database to read: the settings' or that of `otlpg dev`."""
    from collector.operate import dev

    loaded = options.load(config, data_dir=data_dir)
    settings = loaded.settings
    running = dev.find(dev.data_dir(settings))
    endpoint = endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    port = running.grpc_port if running is not None else settings.receive.grpc_port
    scheme = "https" if settings.tls.on else "http"
    target = endpoint or f"{scheme}://127.0.0.1:{port}"
    database = dev.beside_dev(loaded, running).settings.database
    return target, None if dev.names_no_database(database) else database


def _as_json(sent: Sent, found: Found | None) -> dict[str, object]:
    return {
        "endpoint": sent.endpoint,
        "trace_id": sent.trace_id.hex(),
        "sent": {"spans": sent.spans, "points": sent.points, "log_records": sent.log_records},
        "found": found._asdict() if found is not None else None,
    }
