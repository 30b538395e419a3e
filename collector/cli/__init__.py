"""The ``otlpg`` command: arguments, printing and exit codes; no logic.

Data goes to standard output, everything else to standard error. Each command imports what it needs
when it runs, so that ``otlpg --help`` and shell completion stay quick.
"""

from __future__ import annotations

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
    traces,
    verify,
)
from collector.cli.streams import replace_closed
from collector.errors import OtlpgError, UsageError

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
app.add_typer(traces.app, name="traces")
app.command("logs")(logs.logs)
app.command("services")(services.services)
app.command("metrics")(metrics.metrics)
app.command("sql")(sql.sql)
app.command("export")(export.export)
app.add_typer(token.app, name="token")
app.command("bench")(bench.bench)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    replace_closed()
    try:
        _refuse_unreadable(arguments)
        app(args=arguments, prog_name="otlpg")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exit_codes.FAILURE
    except OtlpgError as error:
        exit_codes.report(error)
        return exit_codes.exit_code(error)
    return exit_codes.OK


def _refuse_unreadable(arguments: list[str]) -> None:
    """Refuse bytes that are no text here: no filter, name or address holds them.

    Raises:
        UsageError: shows the argument.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UsageError(f"an argument is no text: {argument}") from None
