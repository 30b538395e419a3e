"""The ``otlpg`` command: arguments, printing and exit codes; no logic."""

from __future__ import annotations

import typer

app = typer.Typer(name="otlpg", no_args_is_help=True)


def main() -> None:
    """Run the command that the user typed."""
    app()
