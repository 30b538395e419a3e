"""``otlpg migrate``: bring the schema up, take it back, look at it, or print it as SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from collector.cli import options, printing
from collector.cli.connecting import on_connection

if TYPE_CHECKING:
    from collector.store.migration_files import Migration

Steps = Annotated[int, typer.Option("--steps", min=1, help="How many migrations to take back.")]
Roles = Annotated[
    bool, typer.Option("--roles", help="Also make the roles of owner, ingest and read-only.")
]

app = typer.Typer(help="Bring the schema up, or take it back.", no_args_is_help=True)


@app.command("up")
def up(
    config: options.Config = None, data_dir: options.DataDir = None, roles: Roles = False
) -> None:
    """Apply the migrations that are pending. Safe to run again, and while otlpg runs."""
    from collector.store import migrate

    applied = on_connection(
        config,
        data_dir,
        lambda connection: migrate.up(connection, roles=roles, tell=_teller("applied")),
    )
    if not applied:
        printing.note("the schema is up to date")


@app.command("down")
def down(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    steps: Steps = 1,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it although stored telemetry is dropped.")
    ] = False,
) -> None:
    """Take back the last migrations; those that drop telemetry want --yes."""
    from collector.store import migrate

    undone = on_connection(
        config,
        data_dir,
        lambda connection: migrate.down(
            connection, steps=steps, yes=yes, tell=_teller("took back")
        ),
    )
    if not undone:
        printing.note("no migration was applied")


@app.command("status")
def status(
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Show every migration and when it was applied; changes nothing."""
    from collector.store import migrate

    states = on_connection(config, data_dir, migrate.status)
    if as_json:
        printing.json_line(
            [
                {
                    "migration": state.migration.label,
                    "applied_at": state.applied_at,
                    "changed": state.changed,
                }
                for state in states
            ]
        )
        return
    for state in states:
        note = "  FILE CHANGED SINCE" if state.changed else ""
        pending = "off (--roles)" if state.migration.track == "roles" else "pending"
        print(f"{state.migration.label:<28}{state.applied_at or pending}{note}")


@app.command("sql")
def sql(
    direction: Annotated[
        str, typer.Argument(help="up: what `up` would run; down: what `down` would run.")
    ] = "up",
    config: options.Config = None,
    data_dir: options.DataDir = None,
    steps: Steps = 1,
    roles: Roles = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="For an empty database; connects to nothing.")
    ] = False,
) -> None:
    """Print the script that `up` or `down` would run, for psql; changes nothing."""
    from collector.store import migrate

    wanted: Literal["up", "down"]
    if direction == "up":
        wanted = "up"
    elif direction == "down":
        wanted = "down"
    else:
        raise typer.BadParameter(f"{direction!r} is neither up nor down")
    if empty:
        print(asyncio.run(migrate.sql(None, direction=wanted, steps=steps, roles=roles)), end="")
        return
    script = on_connection(
        config,
        data_dir,
        lambda connection: migrate.sql(connection, direction=wanted, steps=steps, roles=roles),
    )
    print(script, end="")


def _teller(done: str) -> Callable[[Migration], None]:
    """Return what tells a person of each migration as it is done."""
    return lambda migration: printing.note(f"{done} {migration.label}")
