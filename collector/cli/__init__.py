"""The ``otlpg`` command: arguments, printing and exit codes; no logic.

Data goes to standard output, everything else to standard error. Each command imports what it needs
when it runs, so that ``otlpg --help`` and shell completion stay quick.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import typer

from collector import __version__
from collector.cli import (
    bench,
    check,
    dead_letters,
    dev,
    exit_codes,
    export,
    logs,
    metrics,
    migrate,
    send_test,
    serve,
    services,
    sql,
    tail,
    token,
    verify,
)
from collector.errors import OtlpgError

app = typer.Typer(
    name="otlpg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"otlpg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """OpenTelemetry straight into PostgreSQL: says OK only after COMMIT."""


app.command("dev")(dev.dev)
app.command("serve")(serve.serve)
app.add_typer(migrate.app, name="migrate")
app.command("check")(check.check)
app.command("send-test")(send_test.send_test)
app.add_typer(dead_letters.app, name="dead-letters")
app.command("verify")(verify.verify)
app.command("tail")(tail.tail)
app.command("logs")(logs.logs)
app.command("services")(services.services)
app.command("metrics")(metrics.metrics)
app.command("sql")(sql.sql)
app.command("export")(export.export)
app.add_typer(token.app, name="token")
app.command("bench")(bench.bench)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        app(args=arguments, prog_name="otlpg")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exit_codes.FAILURE
    except OtlpgError as error:
        exit_codes.report(error)
        return exit_codes.exit_code(error)
    return exit_codes.OK


GC_YOUNG_MAX = 50_000
"""Containers that may come together before the cycle collector looks at them: Python's own 700 has
it look at all that a command imports, over and over: 6 % of the CPU that a start takes."""


def main() -> None:
    """Run the command that the user typed."""
    gc.set_threshold(GC_YOUNG_MAX)
    sys.exit(run(sys.argv[1:]))
