"""``otlpg dead-letters list``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import options, printing
from collector.cli.dead_letters import filters
from collector.cli.dead_letters.filters import selection_of, with_letters

if TYPE_CHECKING:
    from collector.store.letter_queries import Group, Selection
    from collector.store.pool import Connection

LIMIT_DEFAULT, LIMIT_MAX = 50, 10_000


def list_letters(
    signal: filters.SignalName = None,
    reason: filters.ReasonName = None,
    outcome: filters.OutcomeName = None,
    since: filters.Since = None,
    until: filters.Until = None,
    before: Annotated[
        int | None, typer.Option("--before", help="Only letters with a lower id: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX)] = LIMIT_DEFAULT,
    count: Annotated[
        bool, typer.Option("--count", help="Count them by signal, outcome and reason instead.")
    ] = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """List dead letters, newest first: a table on a terminal, JSON lines in a pipe."""
    selection = selection_of(signal, reason, outcome, since, until)
    as_text = sys.stdout.isatty() and not as_json
    if count:
        _print_groups(
            with_letters(config, data_dir, lambda found: _groups(found, selection)), as_text
        )
        return
    shown, last = with_letters(
        config, data_dir, lambda found: _print_heads(found, selection, before, limit, as_text)
    )
    if shown == limit:
        printing.note(f"there may be more: --before {last}")


async def _print_heads(
    connection: Connection, selection: Selection, before: int | None, limit: int, as_text: bool
) -> tuple[int, int]:
    """Print letters; return how many, and the id of the last."""
    from collector.cli.dead_letters import text
    from collector.operate import letters

    shown = last = 0
    async for head in letters.newest(connection, selection, before=before, limit=limit):
        if as_text:
            if not shown:
                print(text.HEADING)
            print(text.head_line(head))
        else:
            printing.ascii_json_line(text.head_map(head))
        shown, last = shown + 1, head.id
    if not shown:
        printing.note("no dead letters")
    return shown, last


async def _groups(connection: Connection, selection: Selection) -> list[Group]:
    from collector.store import letter_queries

    last = await letter_queries.last_id(connection)
    return await letter_queries.groups(connection, selection, last=last)


def _print_groups(groups: list[Group], as_text: bool) -> None:
    from collector.cli.dead_letters import text

    if not groups:
        printing.note("no dead letters")
    elif as_text:
        print(text.GROUPS_HEADING)
    for group in groups:
        if as_text:
            print(text.group_line(group))
        else:
            printing.ascii_json_line(text.group_map(group))
