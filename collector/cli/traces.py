"""``otlpg traces``: which traces there are, and one of them as a waterfall."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from collector.cli import options, printing, reading
from collector.cli.output import Column, Output, output
from collector.cli.painting import DIM, RED, Brush, Part
from collector.cli.stored_text import clipped, duration_text
from collector.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collector.query.trace_types import StoredTraces, Trace, TraceSummary

TRACES: Final = 20
SPANS: Final = 500
"""Shown of one trace unless somebody says otherwise."""
SPANS_MAX: Final = 20_000
"""Read of one trace."""
WIDTH: Final = 100
"""Cells of a waterfall where no terminal says."""

COLUMNS = (
    Column("start"),
    Column("trace"),
    Column("duration", is_number=True),
    Column("spans", is_number=True),
    Column("errors", is_number=True),
    Column("service", cells_max=30),
    Column("name", cells_max=50),
    Column("services", cells_max=60),
)
_ID: Final = re.compile("[0-9a-fA-F]{32}|[0-9a-fA-F]{16}")


class FindUnlessNamed(TyperGroup):
    """A group in which words that are no command are those of ``find``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``find`` before them."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["find", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=FindUnlessNamed,
    help="List traces, or show one: `otlpg traces FILTER` is `otlpg traces find FILTER`.",
)


@app.command("find")
def find(
    words: reading.Words = None,
    service: reading.Service = None,
    since: reading.Since = None,
    start: reading.From = None,
    end: reading.To = None,
    limit: reading.Limit = TRACES,
    utc: reading.Utc = False,
    as_json: reading.AsJson = False,
    no_color: reading.NoColor = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:
    """List the last traces of which one span matches, the newest below.

    In a pipe each is a line of JSON.
    """
    from collector.query.filters import Filter
    from collector.query.trace_question import TraceQuestion
    from collector.query.trace_repository import TraceRepository

    wanted = TraceQuestion(Filter.parse(" ".join(words or ())), service=service)
    when = reading.time_range(since, start, end, utc=utc)
    with output(as_json=as_json, no_color=no_color, utc=utc) as out:
        page = reading.ask(
            config, data_dir, lambda views: TraceRepository(views).find(when, wanted, limit=limit)
        )
        shown = tuple(reversed(page.items))
        if out.is_text:
            out.table(COLUMNS, (_cells(trace, out) for trace in shown))
        else:
            for trace in shown:
                out.record(_map(trace))
    reading.note_rest("traces", found=bool(shown), more=page.next is not None, limit=limit)


@app.command("show")
def show(
    trace_id: Annotated[
        str, typer.Argument(metavar="ID", help="32 digits of hex, or the last 16 of them.")
    ],
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=SPANS_MAX, help="At most so many spans.")
    ] = SPANS,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="As a list in Markdown, to paste into a chat.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As OTLP in JSON, as in a pipe.")] = False,
    utc: reading.Utc = False,
    no_color: reading.NoColor = False,
    config: options.Config = None,
    data_dir: options.DataDir = None,
) -> None:
    """Show a trace: its spans below their parents, beside bars of their time.

    In a pipe, and with --json, it is OTLP in JSON on one line: all of it, as it was sent.
    """
    from collector.query.trace_reading import traces_of
    from collector.query.trace_repository import TraceRepository

    if as_json and as_markdown:
        raise UsageError("give --json or --markdown")
    wanted = _id_of(trace_id)
    with output(as_json=as_json, no_color=no_color, utc=utc) as out:
        found = reading.ask(
            config,
            data_dir,
            lambda views: TraceRepository(views).get_stored((wanted,), spans_max=SPANS_MAX),
        )
        if not found.rows:
            raise NotFoundError("no such trace; it may be older than what is kept")
        if not (out.is_text or as_markdown):
            out.json_text(_otlp(found))
            hidden = 0
        else:
            [trace] = traces_of(found)
            hidden = _show(out, trace, limit, as_markdown=as_markdown)
    if hidden:
        printing.note(f"{hidden:,} spans are not shown: --limit, or --json")
    if not found.is_whole:
        why = "it is too large" if found.is_too_large else f"it has more than {SPANS_MAX:,}"
        printing.note(f"the trace is not whole: spans are gone, or {why}")


def _show(out: Output, trace: Trace, limit: int, *, as_markdown: bool) -> int:
    """Print a trace; return how many of its spans are not shown."""
    from collector.cli.trace_markdown import markdown
    from collector.cli.trace_tree import ASCII, BLOCKS, Shape, waterfall

    shape = Shape(trace, limit)
    time = out.time(shape.start_unix_nano)
    if as_markdown:
        for text in markdown(shape, time=time):
            out.whole_line(text)
    else:
        signs = ASCII if out.brush.is_ascii else BLOCKS
        width = out.width or WIDTH
        for parts in waterfall(shape, width=width, brush=out.brush, time=time, signs=signs):
            out.line(parts)
    return shape.hidden


def _otlp(found: StoredTraces) -> str:
    from collector.restore.otlp_json import to_json
    from collector.restore.traces import restore_traces

    [rows] = found.rows.values()
    return to_json(restore_traces(rows, found.dimensions)).decode()


def _id_of(text: str) -> bytes:
    """Return a trace id of 16 bytes; tracers with 64 bits have the latter half of one.

    Raises:
        UsageError: it is none.
    """
    if not _ID.fullmatch(text):
        raise UsageError("a trace id is 32 digits of hex, or 16")
    return bytes.fromhex(text).rjust(16, b"\0")


def _cells(trace: TraceSummary, out: Output) -> list[Part]:
    brush: Brush = out.brush
    service = trace.root_service or ""
    services = ", ".join(map(clipped, trace.services))
    return [
        Part(out.time(trace.start_unix_nano), DIM),
        Part(trace.trace_id.hex()),
        Part(duration_text(trace.duration_ns)),
        Part(f"{trace.span_count:,}"),
        Part(f"{trace.error_count:,}", RED if trace.error_count else ""),
        Part(clipped(service) or "-", brush.colour_of(service)),
        Part("(root not seen)", DIM) if trace.root_name is None else Part(clipped(trace.root_name)),
        Part(services, DIM),
    ]


def _map(trace: TraceSummary) -> dict[str, Any]:
    """Return a trace as a JSON-able map, in the words of `otlpg tail spans --roots`."""
    from collector.items import STATUS_BY_CODE
    from collector.query.display import rfc3339
    from collector.query.time_range import stored_time

    has_root = trace.root_name is not None
    code = trace.root_status_code
    return {
        "trace_id": trace.trace_id.hex(),
        "time": rfc3339(stored_time(trace.start_unix_nano), None),
        "service": trace.root_service,
        "name": trace.root_name,
        "status": None if code is None else STATUS_BY_CODE.get(code, str(code)),
        "duration_ns": trace.duration_ns,
        "root_duration_ns": trace.root_duration_ns,
        "root_seen": has_root,
        "spans": trace.span_count,
        "errors": trace.error_count,
        "services": list(trace.services),
    }
