"""``otlpg bench``: the JSON report on stdout, progress and tables on stderr."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from collector.cli import options
from collector.errors import CommandError
from collector.rows import Signal

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

TABLE_WIDTH: Final = 180
"""Columns where there is no terminal to ask; the tables are wide."""

QUICK_TAIL_ROUNDS: Final = 4
TAIL_ROUNDS: Final = 10

JAEGER: Final = "jaeger"
"""The official one, version 2."""

QUICK_SHARE: Final = 0.02
"""Of the data that questions are asked of."""


def bench(
    *,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Start PostgreSQL and daemons here, and measure raw COPY too."
        ),
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(help="host:port of a daemon that runs; the load stays in its tables."),
    ] = None,
    query: Annotated[
        bool,
        typer.Option(
            "--query",
            help="Start PostgreSQL here, fill it with a week of telemetry, and ask it questions.",
        ),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="The main figures only, in about five minutes; with --query 2 % of the data.",
        ),
    ] = False,
    only: Annotated[
        Literal["ingest", "outage", "tails"] | None,
        typer.Option(help="With --local: this part alone."),
    ] = None,
    signal: Annotated[
        list[Signal] | None, typer.Option(help="Only this signal; may be given again.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=60, help="Time under full load of each cell.")
    ] = 4.0,
    share: Annotated[
        float,
        typer.Option(min=0.001, max=10, help="With --query: so large a part of the data."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed, other requests.")] = 1,
) -> None:
    """Measure throughput, latency and memory against raw COPY, what live tails cost, and how soon questions are answered.

    The part with live tails needs redis-server on PATH; with --query the official Jaeger is asked the same when jaeger (version 2) is on PATH. Exits with 1 when a row is missing or stored twice, or an answer is wrong, whatever the speed.
    """
    if [local, endpoint is not None, query].count(True) != 1:
        raise typer.BadParameter("give one of --local, --endpoint and --query")
    if only and not local:
        raise typer.BadParameter("needs --local", param_hint="--only")
    if query:
        _query(share=QUICK_SHARE if quick else share, quick=quick, seed=seed)
        return
    if endpoint is not None:
        endpoint = _plain_authority(endpoint)
    # Imported here: psutil and grpc's client half belong to this command alone.
    try:
        from collector.operate.bench import PARTS, BenchOptions, run
        from collector.operate.bench.table import tables
    except ImportError as error:  # of a package that is there only in part, too
        raise _incomplete(error) from error

    console = _console()
    report = run(
        BenchOptions(
            endpoint=endpoint,
            quick=quick,
            parts=(only,) if only else PARTS,
            tail_rounds=QUICK_TAIL_ROUNDS if quick else TAIL_ROUNDS,
            signals=tuple(signal or Signal),
            seconds=min(seconds, 3.0) if quick else seconds,
            seed=seed,
        ),
        console.print,
    )
    _finish(console, report, tables(report), good=report["books_balance"])


def _query(*, share: float, quick: bool, seed: int) -> None:
    """Measure the questions."""
    try:
        from collector.operate.bench.query import QueryBenchOptions, run
        from collector.operate.bench.query.data import Shape
        from collector.operate.bench.query.table import tables
    except ImportError as error:  # as above
        raise _incomplete(error) from error

    found = shutil.which(JAEGER)
    options = QueryBenchOptions(
        Shape(seed=seed).scaled(share), jaeger=None if found is None else Path(found), seed=seed
    )
    if quick:
        options = replace(options, rounds=60, http_rounds=30, load_seconds=30)
    console = _console()
    report = run(options, console.print)
    _finish(console, report, tables(report), good=report["right"])


def _incomplete(error: ImportError) -> CommandError:
    return CommandError(
        f"bench needs the package {error.name}, which is not installed; `make setup` in a "
        "checkout brings it"
    )


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, width=None if sys.stderr.isatty() else TABLE_WIDTH)


def _finish(
    console: Console, report: dict[str, Any], tables: RenderableType, *, good: bool
) -> None:
    """Print tables and report; exit with 1 unless the run was good."""
    import orjson

    console.print(tables)
    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if not good:
        raise typer.Exit(1)


def _plain_authority(endpoint: str) -> str:
    """Return ``host:port`` of a daemon that is spoken to in clear.

    Raises:
        BadParameter: it is no endpoint, or one with TLS.
    """
    target = options.endpoint_of_flag(endpoint)
    if target.secure:
        raise typer.BadParameter(
            "the load speaks no TLS to a daemon that runs already; --local measures TLS and keys",
            param_hint="--endpoint",
        )
    return target.authority
