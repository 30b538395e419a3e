"""Which letters a command means: the arguments that they share, and what these select."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from collector.cli.connecting import on_connection

if TYPE_CHECKING:
    from collector.store.letter_queries import Selection
    from collector.store.pool import Connection

ResultT = TypeVar("ResultT")

ID_MAX = 2**63 - 1
OUTCOMES = ("quarantined", "repaired", "rejected")
SIGNALS = ("traces", "metrics", "logs")


def one_of(words: tuple[str, ...]) -> Callable[[str | None], str | None]:
    """Return what refuses an option that is none of ``words``."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in words:
            raise typer.BadParameter(f"{value!a} is none of {', '.join(words)}")
        return value

    return check


Ids = Annotated[
    list[int] | None, typer.Argument(help="Ids of letters.", min=1, max=ID_MAX, show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All letters that the filters leave.")]
SignalName = Annotated[
    str | None,
    typer.Option("--signal", help="traces, metrics or logs.", callback=one_of(SIGNALS)),
]
ReasonName = Annotated[str | None, typer.Option("--reason", help="As the list shows it.")]
OutcomeName = Annotated[
    str | None,
    typer.Option("--outcome", help="quarantined, repaired or rejected.", callback=one_of(OUTCOMES)),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Received at this time or later: ISO 8601, or 2h.")
]
Until = Annotated[str | None, typer.Option("--until", help="Received before it; as --since.")]


def selection_of(
    signal: str | None,
    reason: str | None,
    outcome: str | None,
    since: str | None,
    until: str | None,
    ids: list[int] | None = None,
) -> Selection:
    """Return the letters that are meant; raise UsageError when a time cannot be read."""
    from collector.operate.letters import moment
    from collector.store.letter_queries import Selection

    now_ns = time.time_ns()
    return Selection(
        signal=signal,
        reason=reason,
        outcomes=(outcome,) if outcome else None,
        since=moment(since, now_ns=now_ns) if since else None,
        until=moment(until, now_ns=now_ns) if until else None,
        ids=tuple(ids) if ids else None,
    )


def with_letters(
    config: Path | None,
    data_dir: Path | None,
    action: Callable[[Connection], Awaitable[ResultT]],
    *,
    doing: str = "read dead letters",
) -> ResultT:
    """Run an action on a connection to a database with our schema."""
    from collector.operate.letters import explained
    from collector.store.failures import translated
    from collector.store.migrate import check_schema
    from collector.store.pool import DRIVER_ERRORS

    async def checked(connection: Connection) -> ResultT:
        with explained(doing), translated(only=DRIVER_ERRORS):
            await check_schema(connection)
            return await action(connection)

    return on_connection(config, data_dir, checked)
