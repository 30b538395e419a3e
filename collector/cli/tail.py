"""``otlpg tail``: what is stored, as it is committed, on a terminal or as JSON lines in a pipe."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from collector.cli import exit_codes, options, reading
from collector.cli.streams import require_output
from collector.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collector.cli.tail_screen import Screen
    from collector.operate.tail.client import Client

DEFAULT_URL: Final = "http://127.0.0.1:8003"
LINES: Final = 10
LINES_MAX: Final = 1_000


class What(StrEnum):
    """What to follow, as people call it."""

    LOGS = "logs"
    SPANS = "spans"
    METRICS = "metrics"
    ALL = "all"


class Level(StrEnum):
    """Bands of severity, the lowest first."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


SIGNALS: Final = {What.SPANS: "traces"}
"""Where the server calls it otherwise."""

_NEGATED: Final = re.compile(r"(tatus|ervice|everity):")


def _service(value: str | None) -> str | None:
    """Refuse what was meant as a negated term: ``-status:error`` looks like ``-s tatus:error``."""
    if value is not None and _NEGATED.match(value):
        raise typer.BadParameter(f"a filter that begins with - stands after --: -- -s{value}")
    return value


def tail(
    what: Annotated[What, typer.Argument(metavar="logs|spans|metrics|all", show_default=False)],
    words: reading.Words = None,
    service: Annotated[
        str | None,
        typer.Option("--service", "-s", callback=_service, help="Only this service, exactly."),
    ] = None,
    level: Annotated[
        Level | None, typer.Option("--level", help="Logs of this severity and above.")
    ] = None,
    trace: reading.Trace = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DURATION", help="Stored items no older: 30s, 5m, 2h, 1d."),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines", "-n", min=0, max=LINES_MAX, show_default=False,
            help=f"Stored items to begin with: {LINES}, or with --since {LINES_MAX}.",
        ),
    ] = None,
    roots: Annotated[
        bool, typer.Option("--roots", help="Spans: a line for each trace whose root has ended.")
    ] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Spans: each trace as a tree.")] = False,
    wrap: Annotated[
        bool, typer.Option("--wrap", help="Show lines whole that are wider than the terminal.")
    ] = False,
    utc: reading.Utc = False,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="URL", show_default=False,
            help=f"Where the API is; default: OTLPG_URL, else {DEFAULT_URL}.",
        ),
    ] = None,
    ca_file: options.CaFile = None,
) -> None:  # fmt: skip
    """Show the last stored items, then what comes, as it is committed, until Ctrl-C.

    An API key is taken from OTLPG_API_KEY.
    """
    require_output()
    _check_combination(what, level, trace, roots=roots, tree=tree)
    from collector.cli.painting import brush_for
    from collector.cli.tail_screen import Screen, View, make_writer
    from collector.operate.tail.client import Client
    from collector.operate.tail.connection import Server
    from collector.operate.tail.query import Query, filter_of

    query = Query(
        signal=SIGNALS.get(what, what),
        filter=filter_of(words or (), service=service, level=level, trace=trace),
        lines=lines if lines is not None else LINES_MAX if since else LINES,
        since=since,
    )
    address = url or os.environ.get("OTLPG_URL") or DEFAULT_URL
    server = Server.from_environment(address, os.environ, ca_file)
    writer = make_writer(
        as_json=as_json, no_color=no_color, utc=utc, wrap=wrap, with_signal=what is What.ALL
    )
    view = View.TREES if tree else View.ROOTS if roots else View.ITEMS
    notes = brush_for(sys.stderr, no_color=no_color)
    is_watched = sys.stdout.isatty() and sys.stderr.isatty()
    screen = Screen(writer, notes, view, query.lines, has_hints=is_watched)
    _follow(Client(server, query, screen.tell), screen)


def _check_combination(
    what: What, level: Level | None, trace: str | None, *, roots: bool, tree: bool
) -> None:
    """Refuse options that would leave an empty screen for ever.

    Raises:
        UsageError: names the option and what goes with it.
    """
    if level is not None and what in {What.SPANS, What.METRICS}:
        raise UsageError("--level is about logs; for spans that failed write status:error")
    if trace is not None and what is What.METRICS:
        raise UsageError("--trace is about spans and logs; data points belong to no trace")
    if (roots or tree) and what is not What.SPANS:
        raise UsageError("--roots and --tree are about spans: otlpg tail spans --tree")
    if roots and tree:
        raise UsageError("--roots or --tree, not both")


def _follow(client: Client, screen: Screen) -> None:
    """Follow until the reader of our output is gone; then tell what is not told yet.

    Raises:
        CommandError: standard output takes nothing more, and not because its reader has left.
        OtlpgError: as ``Client.follow``.
    """
    from collector.cli.tail_screen import reader_gone

    _end_on_ctrl_c(screen)
    try:
        asyncio.run(_until_first(client.follow(), screen.run(), reader_gone()))
    except BrokenPipeError:
        pass  # the same as a reader that was seen to leave
    except OSError as error:  # of our output: the client has a word of its own for the network
        raise CommandError(f"standard output: {error.strerror}") from error
    finally:
        screen.notes.tell_rest()


def _end_on_ctrl_c(screen: Screen) -> None:
    """Let Ctrl-C end us at once, and well: whatever waits for a name, a server or a full pipe.

    There is nothing to save; a tidy end would wait for what is under way. Where Ctrl-C is ignored
    since the shell has put us into the background, it stays so.
    """

    def end(_signal: int, _frame: object) -> NoReturn:
        screen.notes.end_at_once()
        os._exit(exit_codes.OK)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)


async def _until_first(*coroutines: Coroutine[None, None, None]) -> None:
    """Return when one of them has ended, or raise what it raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
