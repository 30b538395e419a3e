"""Where a read command prints: a table on a terminal, JSON lines in a pipe or with ``--json``.

>>> with output(as_json=as_json, no_color=no_color, utc=utc) as out:
...     if out.is_text:
...         out.table((Column("time"), Column("name")), rows)
...     else:
...         out.record({"name": name})

Who reads may leave before the end, as ``head`` does: the command then ends quietly, with 0.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple, cast

import typer

from collector.cli import exit_codes, printing
from collector.cli.painting import DIM, Brush, Part, brush_for, cells
from collector.errors import CommandError

GAP: Final = "  "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Column(NamedTuple):
    """A column of a table."""

    title: str
    is_number: bool = False
    """Its texts stand to the right."""
    cells_max: int | None = None
    """Longer texts are cut; None: not by the column, and the line ends at the terminal's edge."""


class Output:
    """Standard output of one command.

    Attributes:
        is_text: for a person on a terminal; else each ``record`` is a line of JSON.
        brush: what the terminal can show.
        zone: in which ``time`` shows times; None is the system's.
    """

    def __init__(self, *, is_text: bool, brush: Brush, zone: tzinfo | None) -> None:
        self.is_text = is_text
        self.brush = brush
        self.zone = zone

    @property
    def width(self) -> int | None:
        """Cells of a line; None where nothing bounds them."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def record(self, value: Mapping[str, Any]) -> None:
        """Print one line of JSON, in ASCII: nothing in it can harm a terminal."""
        with _guarded():
            printing.ascii_json_line(value)

    def json_text(self, text: str) -> None:
        """Print a text that is JSON already, and has no line break, as ``record`` would."""
        with _guarded():
            sys.stdout.write(printing.ascii_json(text) + "\n")

    def line(self, parts: Iterable[Part | str] = ()) -> None:
        """Print one line, cut to the terminal. Texts are harmless already: ``printing.escaped``."""
        styled = (Part(part) if isinstance(part, str) else part for part in parts)
        with _guarded():
            sys.stdout.write(self.brush.line(styled, self.width) + "\n")

    def whole_line(self, text: str) -> None:
        """Print one line that no terminal cuts, as of what is to be pasted; harmless already."""
        with _guarded():
            sys.stdout.write(text + "\n")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Part | str]]) -> None:
        """Print a heading and rows, each column as wide as its widest text.

        Nothing is printed for no rows. Shape: every row has a part for every column.
        """
        shown = [[_fitted(part, column) for part, column in zip(row, columns, strict=True)]
                 for row in rows]  # fmt: skip
        if not shown:
            return
        titles = [Part(column.title, DIM) for column in columns]
        lines = [titles, *shown]
        widths = [max(cells(line[place].text) for line in lines) for place in range(len(columns))]
        for line in lines:
            self.line(_padded(line, columns, widths))

    def time(self, unix_nano: int) -> str:
        """Return a time to the millisecond, in the zone that was asked for."""
        return shown_time(unix_nano, self.zone)


def shown_time(unix_nano: int, zone: tzinfo | None) -> str:
    """Return a time as ``2026-01-31 12:00:00.123``; with a ``Z`` where the zone is UTC."""
    try:
        at = (_EPOCH + timedelta(microseconds=unix_nano // 1_000)).astimezone(zone)
    except (ValueError, OverflowError, OSError):  # none that the zone can show
        return f"{unix_nano}ns"
    text = at.strftime("%Y-%m-%d %H:%M:%S") + f".{at.microsecond // 1_000:03}"
    return f"{text}Z" if zone is UTC else text


@contextmanager
def output(*, as_json: bool, no_color: bool = False, utc: bool = False) -> Generator[Output]:
    """Lend standard output to a command; everything is written when the block ends.

    Raises:
        CommandError: standard output takes nothing more, and not because its reader has left.
        typer.Exit: its reader has left.
    """
    is_text = sys.stdout.isatty() and not as_json
    if is_text:
        # What the terminal's encoding lacks is written as an escape, and ends nothing.
        cast("Any", sys.stdout).reconfigure(errors="backslashreplace")
    brush = brush_for(sys.stdout, no_color=no_color)
    yield Output(is_text=is_text, brush=brush, zone=UTC if utc else None)
    with _guarded():
        sys.stdout.flush()


@contextmanager
def _guarded() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        leave()
        raise typer.Exit(exit_codes.OK) from None
    except OSError as error:
        leave()
        raise CommandError(f"standard output: {error.strerror}") from error


def leave() -> None:
    """Let what is still in the buffer go nowhere, so that Python's own flush cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fitted(part: Part | str, column: Column) -> Part:
    part = Part(part) if isinstance(part, str) else part
    if column.cells_max is None or cells(part.text) <= column.cells_max:
        return part
    cut = Brush(colours=False).line([Part(part.text)], column.cells_max)
    return Part(cut, part.style)


def _padded(
    line: Sequence[Part], columns: Sequence[Column], widths: Sequence[int]
) -> Iterable[Part]:
    last = len(line) - 1
    for place, (part, column, width) in enumerate(zip(line, columns, widths, strict=True)):
        space = " " * (width - cells(part.text))
        if column.is_number:
            yield Part(space)
        yield part
        if place != last:
            yield Part(("" if column.is_number else space) + GAP)
