"""``otlpg dead-letters``: list, show, replay and purge what was set aside."""

from __future__ import annotations

import typer

from collector.cli.dead_letters import listing, purge, replay, show

app = typer.Typer(
    help="List, show, replay or delete items that were set aside.", no_args_is_help=True
)
app.command("list")(listing.list_letters)
app.command("show")(show.show)
app.command("replay")(replay.replay)
app.command("purge")(purge.purge)
