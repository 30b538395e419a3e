"""``otlpg dead-letters purge``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import options, printing
from collector.cli.dead_letters import filters
from collector.cli.dead_letters.filters import selection_of, with_letters
from collector.errors import CommandError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collector.store.letter_queries import Selection
    from collector.store.pool import Connection


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

    async def action(connection: Connection) -> tuple[int, int]:
        return await _purge(connection, selection, yes=yes)

    found, deleted = with_letters(config, data_dir, action, doing="purge dead letters")
    if sys.stdout.isatty() and not as_json:
        print(f"{deleted:,} letters deleted")
    else:
        printing.ascii_json_line({"deleted": deleted})
    if found > deleted:
        printing.note(f"{found - deleted:,} were replayed or purged by somebody else meanwhile")
    if ids and found < len(set(ids)):
        raise NotFoundError(f"{len(set(ids)) - found} of the letters do not exist")


async def _purge(connection: Connection, selection: Selection, *, yes: bool) -> tuple[int, int]:
    """Delete letters; return how many there were, and how many were deleted.

    Only letters with ids up to the highest that was counted are deleted. One whose transaction was
    under way during the count may be among them: it got its id before.
    """
    from collector.operate import letters
    from collector.store import letter_queries

    last = await letter_queries.last_id(connection)
    groups = await letter_queries.groups(connection, selection, last=last)
    precious = sum(group.letters for group in groups if group.outcome != "repaired")
    if precious and not yes:
        text = f"{precious:,} of these letters hold what exists nowhere else"
        if not sys.stdin.isatty():
            raise UsageError(f"{text}; --yes deletes them")
        if not typer.confirm(f"{text}. Delete them?", err=True):
            raise CommandError("nothing was deleted")
    deleted = 0
    async for ids in letters.purge(connection, selection, last=last):
        deleted += len(ids)
    return sum(group.letters for group in groups), deleted
