"""``otlpg export``: what is stored, back as OTLP."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from collector.cli import exit_codes, export_progress, options, printing, reading
from collector.cli.streams import require_output
from collector.errors import OtlpgError, UsageError
from collector.operate.export.form import Format, format_of
from collector.operate.verify.options import Protocol
from collector.rows import Signal

if TYPE_CHECKING:
    from collector.operate.export.run import Sink
    from collector.query.time_range import TimeRange
    from collector.store.pool import Database

HTTP_PORT = ":4318"


def export(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|-", show_default=False,
            help="A new file, compressed where it ends in .gz; - is standard output.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="Send it to this OTLP receiver instead."),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            "--protocol", show_default=False,
            help="Of the receiver; default: grpc, at port 4318 http/protobuf.",
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format", show_default=False,
            help="Of the file; default: protobuf where it ends in .pb or .bin, else json.",
        ),
    ] = None,
    signal: Annotated[
        list[Signal] | None,
        typer.Option("--signal", help="May be given again; default: all three.", show_default=False),
    ] = None,
    service: reading.Service = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="DURATION", show_default=False,
            help="The last 30s, 5m, 2h, 1d; default: everything.",
        ),
    ] = None,
    start: reading.From = None,
    end: reading.To = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    utc: reading.Utc = False,
    ca_file: options.CaFile = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:  # fmt: skip
    """Give stored telemetry back as OTLP: into a file, or to another receiver, gRPC or HTTP.

    A receiver is sent what OTEL_EXPORTER_OTLP_HEADERS says, as by the SDKs.
    """
    signals = tuple(signal or Signal)
    target = _target(file, endpoint, protocol, form, signals, ca_file=ca_file, overwrite=overwrite)
    when = _range(since, start, end, utc=utc)
    _run(config, data_dir, target, signals, when, service)


class _Target(NamedTuple):
    """Where an export goes."""

    make: Callable[[], Sink]
    """Called inside the running loop."""
    is_receiver: bool


def _target(
    file: str | None,
    endpoint: str | None,
    protocol: Protocol | None,
    form: Format | None,
    signals: tuple[Signal, ...],
    *,
    ca_file: Path | None,
    overwrite: bool,
) -> _Target:
    """Return where the export goes.

    Raises:
        UsageError: the words do not go together.
    """
    if (file is None) == (endpoint is None):
        raise UsageError("name a file (- is standard output), or give --endpoint")
    if endpoint is not None:
        if form is not None or overwrite:
            raise UsageError("--format and --overwrite are about a file")
        return _Target(_to_endpoint(endpoint, protocol, ca_file), is_receiver=True)
    assert file is not None
    if protocol is not None or ca_file is not None:
        raise UsageError("--protocol and --ca-file are about a receiver")
    chosen = form or format_of(file)
    if chosen is Format.PROTOBUF and len(signals) > 1:
        raise UsageError("protobuf does not say which signal it is: --signal traces, and so on")
    return _Target(_to_file(file, chosen, overwrite=overwrite), is_receiver=False)


def _to_file(file: str, form: Format, *, overwrite: bool) -> Callable[[], Sink]:
    from collector.operate.export.file_sink import FileSink, StreamSink

    if file != "-":
        return lambda: FileSink(Path(file), form, overwrite=overwrite)
    require_output()
    if form is Format.PROTOBUF and sys.stdout.isatty():
        raise UsageError("protobuf is nothing for a terminal; use a pipe or a file")
    return lambda: StreamSink(sys.stdout.buffer, form)


def _to_endpoint(
    endpoint: str, protocol: Protocol | None, ca_file: Path | None
) -> Callable[[], Sink]:
    from random import Random

    from collector.operate.access import Access
    from collector.telemetry.clock import SystemClock

    authority = options.endpoint_of_flag(endpoint).authority
    chosen = protocol or (
        Protocol.HTTP_PROTOBUF if authority.endswith(HTTP_PORT) else Protocol.GRPC
    )
    access = Access.from_environment(os.environ, ca_file)

    def make() -> Sink:
        from collector.operate.export.endpoint_sink import EndpointSink
        from collector.operate.verify.grpc_door import GrpcDoor
        from collector.operate.verify.http_door import HttpDoor

        if chosen is Protocol.GRPC:
            door = GrpcDoor(endpoint, access)
        else:
            door = HttpDoor(endpoint, chosen, access, agent="otlpg-export")
        return EndpointSink(door, clock=SystemClock(), rng=Random())

    return make


def _range(since: str | None, start: str | None, end: str | None, *, utc: bool) -> TimeRange:
    """Return the range that was asked for; what is left open is as far as anything can be stored."""
    from collector.query.time_range import EVER

    if since is None and start is None and end is None:
        return EVER
    found = reading.time_range(since, start, end, utc=utc)
    return found._replace(start=EVER.start) if since is None and start is None else found


def _run(
    config: Path | None,
    data_dir: Path | None,
    target: _Target,
    signals: tuple[Signal, ...],
    when: TimeRange,
    service: str | None,
) -> None:
    from collector.operate.export.run import Progress
    from collector.operate.export.run import export as run

    progress = Progress()
    sinks: list[Sink] = []

    async def all_of_it(database: Database) -> None:
        sinks.append(target.make())
        with export_progress.shown() as tell:
            await run(
                database, sinks[0], signals=signals, when=when, service=service,
                progress=progress, tell=tell,
            )  # fmt: skip

    try:
        _to_the_end(config, data_dir, all_of_it)
    except (OtlpgError, KeyboardInterrupt):
        if target.is_receiver and progress.when is not None:
            for sink in sinks:
                _complain(sink)  # who goes on from there meets none of it again
            printing.note(export_progress.where_to_go_on(progress))
        raise
    [sink] = sinks
    printing.note(export_progress.summary(progress, sink.bytes))
    if _complain(sink):
        raise typer.Exit(exit_codes.FAILURE)


def _complain(sink: Sink) -> bool:
    """Tell what was left out for good, if anything was."""
    if sink.complaint:
        printing.note(printing.escaped(sink.complaint))
    return bool(sink.complaint)


def _to_the_end(
    config: Path | None, data_dir: Path | None, action: Callable[[Database], Awaitable[None]]
) -> None:
    from collector.cli.output import leave

    try:
        reading.on_database(reading.load_to_read(config, data_dir), action)
    except BrokenPipeError:
        leave()
        raise typer.Exit(exit_codes.OK) from None
