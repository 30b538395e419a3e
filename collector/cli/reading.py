"""The base of every command that reads: its options, its range of time, and the database.

A command is a thin coat: it takes the options from here, asks a repository, and prints.

>>> def services(
...     since: reading.Since = None, start: reading.From = None, end: reading.To = None,
...     limit: reading.Limit = 50, as_json: reading.AsJson = False,
...     no_color: reading.NoColor = False, utc: reading.Utc = False,
...     config: options.Config = None, data_dir: options.DataDir = None,
... ) -> None:
...     when = reading.time_range(since, start, end, utc=utc)
...     with output(as_json=as_json, no_color=no_color, utc=utc) as out:
...         found = reading.ask(
...             config, data_dir, lambda views: ServiceRepository(views).services(when)
...         )
...         if out.is_text:
...             out.table((Column("service"), Column("spans", is_number=True)), rows(found))
...         else:
...             for each in found:
...                 out.record(map_of(each))
...         reading.note_rest("services", found=bool(found), more=False, limit=limit)

Which database: that of ``api.dsn``, else that of ``database.*``; where nothing names one, that of the
`otlpg dev` that runs on this machine. Ctrl-C cancels the question in PostgreSQL and exits with 130.
Imports of what a question needs (``collector.query``) stand inside the command, so that help is quick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from collector.cli import options, printing
from collector.cli.connecting import load_beside_dev
from collector.errors import CommandError, StoreError, UnlistedStoreError

if TYPE_CHECKING:
    from collector.query.time_range import TimeRange
    from collector.query.view import Views
    from collector.settings.load import Loaded
    from collector.store.pool import Database

ResultT = TypeVar("ResultT")

LIMIT_MAX: Final = 1_000

AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too, as in a pipe.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours.")]
Utc = Annotated[bool, typer.Option("--utc", help="Times in UTC instead of local ones.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="DURATION", show_default=False,
        help="The last 30s, 5m, 2h, 1d; default: the last hour.",
    ),
]  # fmt: skip
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", show_default=False,
        help="From this time on: ISO 8601 (local, unless --utc or with an offset), or 2h ago: 2h.",
    ),
]  # fmt: skip
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", show_default=False, help="Before this time; default: now."),
]  # fmt: skip
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=LIMIT_MAX, help="At most so many.")]
Service = Annotated[
    str | None,
    typer.Option("--service", "-s", metavar="NAME", help="Only this service, exactly."),
]
Trace = Annotated[
    str | None,
    typer.Option("--trace", metavar="ID", help="Only this trace, or ids that begin so."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER", show_default=False,
        help='word "a phrase" field:value @attribute:value; after -- also -negated.',
    ),
]  # fmt: skip


def time_range(
    since: str | None, start: str | None, end: str | None, *, utc: bool, default: str = "1h"
) -> TimeRange:
    """Return what ``--since``, ``--from`` and ``--to`` mean now.

    Raises:
        UsageError: as ``query.moments.time_range``.
    """
    from collector.query import moments

    return moments.time_range(
        since, start, end, now_ns=time.time_ns(), default=default, zone=UTC if utc else None
    )


def ask(
    config: Path | None, data_dir: Path | None, question: Callable[[Views], Awaitable[ResultT]]
) -> ResultT:
    """Return the answer to a question; it may print while it is asked.

    Raises:
        SettingsError: a setting is wrong.
        SchemaError: the database is not migrated.
        StoreError: PostgreSQL did not answer.
        QueryTimeoutError: not within ``api.statement_s_max``.
        CommandError: this role may not read.
    """
    from collector.query.view import Views

    loaded = load_to_read(config, data_dir)
    timeout_s = loaded.settings.api.statement_s_max
    return on_database(loaded, lambda database: question(Views(database, timeout_s)))


def note_rest(what: str, *, found: bool, more: bool, limit: int, shown: int | None = None) -> None:
    """Tell on stderr that nothing was found, or that there is more than ``--limit`` lets through.

    ``shown`` may be fewer than ``limit`` where they are very large.
    """
    if not found:
        printing.note(f"no {what} in this time")
    elif more and shown is not None and shown < limit:
        printing.note(f"there are more than {shown:,}, and larger than one answer: --from, --to")
    elif more:
        printing.note(f"there are more than {limit:,}: --limit")


def load_to_read(config: Path | None, data_dir: Path | None) -> Loaded:
    """Return the settings, with the database that is to be read."""
    loaded = options.load(config, data_dir=data_dir)
    return loaded if loaded.settings.api.dsn is not None else load_beside_dev(config, data_dir)


def on_database(loaded: Loaded, action: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Run an action on the migrated database that is to be read, and leave no connection open.

    Raises:
        OtlpgError: as ``ask``, and what the action raises.
    """
    from collector.store.failures import translated
    from collector.store.migrate import check_schema
    from collector.store.pool import DRIVER_ERRORS, Database

    database = Database(loaded.settings.reading_database())

    async def run() -> ResultT:
        try:
            async with database.acquire() as connection:
                with translated(connection, only=DRIVER_ERRORS):
                    await check_schema(connection)
            return await action(database)
        finally:
            await database.stop()

    with explained():
        return asyncio.run(run())


@contextmanager
def explained() -> Generator[None]:
    """Let a failure that only an operator can mend come out with the way to mend it.

    Raises:
        CommandError: PostgreSQL said why it gives no answer.
    """
    try:
        yield
    except StoreError as error:
        if error.is_about_rights:
            raise CommandError(
                "this role may not read what is stored; grant it otlpg_read "
                "(`otlpg migrate up --roles` makes that role)"
            ) from error
        if isinstance(error, UnlistedStoreError):
            raise CommandError(f"PostgreSQL did not answer: {error}") from error
        raise
