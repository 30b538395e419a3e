"""``otlpg dead-letters purge``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import exit_codes, options, printing
from collector.cli.dead_letters import filters
from collector.cli.dead_letters.filters import selection_of, with_letters
from collector.errors import CommandError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collector.operate.purge import Listed
    from collector.store.letter_queries import Selection
    from collector.store.pool import Connection

DOING = "purge dead letters"


def purge(
    ids: filters.Ids = None,
    everything: filters.All = False,
    signal: filters.SignalName = None,
    reason: filters.ReasonName = None,
    outcome: filters.OutcomeName = None,
    since: filters.Since = None,
    until: filters.Until = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Received longer ago than this: 30d.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also delete what exists nowhere else, without asking.")
    ] = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Delete letters for good; what is quarantined or rejected exists nowhere else."""
    if not (ids or everything or any((signal, reason, outcome, since, until, older_than))):
        raise UsageError("name letters by their ids, give a filter such as --older-than, or --all")
    if older_than and until:
        raise UsageError("--older-than and --until say the same; give one")
    selection = selection_of(signal, reason, outcome, since, older_than or until, ids)

    listed = with_letters(config, data_dir, lambda found: _listed(found, selection), doing=DOING)
    _confirm(listed.precious, yes=yes)
    deleted, left = with_letters(
        config, data_dir, lambda found: _purge(found, selection, listed), doing=DOING
    )
    if sys.stdout.isatty() and not as_json:
        print(f"{deleted:,} letters deleted")
    else:
        printing.ascii_json_line({"deleted": deleted})
    if elsewhere := len(listed.ids) - deleted - left:
        printing.note(f"{elsewhere:,} were replayed or purged by somebody else meanwhile")
    if listed.more:
        printing.note(f"there are more than {len(listed.ids):,}; purge again")
    if left:
        printing.note(f"{left:,} are left: a replay works on them, or gave them another reason")
        raise typer.Exit(exit_codes.FAILURE)
    if ids and len(listed.ids) < len(set(ids)):
        raise NotFoundError(f"{len(set(ids)) - len(listed.ids)} of the letters do not exist")


async def _listed(connection: Connection, selection: Selection) -> Listed:
    from collector.operate.purge import listed

    return await listed(connection, selection)


def _confirm(precious: int, *, yes: bool) -> None:
    """Return if what exists nowhere else may be deleted; no connection is open meanwhile."""
    if not precious or yes:
        return
    text = f"{precious:,} of these letters hold what exists nowhere else"
    if not sys.stdin.isatty():
        raise UsageError(f"{text}; --yes deletes them")
    if not typer.confirm(f"{text}. Delete them?", err=True):
        raise CommandError("nothing was deleted")


async def _purge(connection: Connection, selection: Selection, listed: Listed) -> tuple[int, int]:
    from collector.operate import purge

    return await purge.purge(connection, selection, listed.ids)
