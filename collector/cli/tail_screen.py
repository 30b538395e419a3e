"""Where `otlpg tail` writes: items to standard output, all else to standard error, line by line."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Protocol, cast

from collector.cli import printing, tail_text
from collector.cli.painting import Brush, brush_for
from collector.cli.tail_notes import Notes
from collector.cli.tail_text import TailText
from collector.operate.tail.news import Back, Item, Live, News, Skipped
from collector.operate.tail.traces import Shown, Traces

TICK_S: Final = 0.2
"""Between two looks at what is due: traces, and sums of what was skipped."""


NOTHING_YET: Final = "connected; nothing to show yet"


class View(Enum):
    """What a line is about."""

    ITEMS = "items"
    ROOTS = "roots"
    TREES = "trees"


class Writer(Protocol):
    """Writes to standard output in one of two forms; each line is there at once."""

    def item(self, fields: dict[str, Any]) -> None:
        """Write an item."""
        ...

    def roots(self, trace: Shown) -> None:
        """Write each root of a trace."""
        ...

    def tree(self, trace: Shown) -> None:
        """Write a trace with its spans."""
        ...


class JsonWriter:
    """A line of JSON in ASCII for each item, root or trace."""

    def item(self, fields: dict[str, Any]) -> None:
        """Write an item as the server sent it."""
        self._line(fields)

    def roots(self, trace: Shown) -> None:
        """Write each root of a trace."""
        for found in tail_text.root_maps(trace):
            self._line(found)

    def tree(self, trace: Shown) -> None:
        """Write a trace with its spans."""
        self._line(tail_text.tree_map(trace))

    def _line(self, value: dict[str, Any]) -> None:
        printing.ascii_json_line(value)
        sys.stdout.flush()


class TextWriter:
    """A line of text for each; cut to the terminal, as wide as it is just then, or wrapped."""

    def __init__(self, text: TailText, *, wrap: bool) -> None:
        self._text = text
        self._wrap = wrap

    def item(self, fields: dict[str, Any]) -> None:
        """Write an item as one line."""
        self._lines([self._text.item(fields, self._width())])

    def roots(self, trace: Shown) -> None:
        """Write a line for each root of a trace."""
        self._lines(self._text.roots(trace, self._width()))

    def tree(self, trace: Shown) -> None:
        """Write a trace as a head, and a line for each span."""
        self._lines(self._text.tree(trace, self._width()))

    def _width(self) -> int | None:
        if self._wrap:
            return None
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
        return columns or shutil.get_terminal_size().columns

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Screen:
    """Shows news as they come; traces, and what was skipped meanwhile, when they are due.

    ``clock`` only goes forward, in seconds.
    """

    def __init__(
        self,
        writer: Writer,
        brush: Brush,
        view: View,
        lines: int,
        *,
        has_hints: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``brush`` is that of standard error; ``lines`` so many stored items were asked for.

        ``has_hints``: somebody looks at an empty screen, and wants to know whether it may stay so.
        """
        self.notes = Notes(brush, clock)
        self._writer = writer
        self._clock = clock
        self._view = view
        self._traces = Traces(with_spans=view is View.TREES)
        self._stored_left = lines
        self._is_live = False
        self._hint = NOTHING_YET if has_hints else ""

    def tell(self, news: News) -> None:
        """Show what there is to show now."""
        if isinstance(news, Item):
            self._hint = ""
            self._item(news.fields)
            return
        missed = isinstance(news, Skipped) or (isinstance(news, Back) and news.missed != 0)
        if missed or self._begins_in_the_middle(news):
            self._traces.gap(self._clock())
        self.notes.tell(news)
        if isinstance(news, Live) and self._hint:
            self.notes.say(self._hint)
            self._hint = ""

    def _begins_in_the_middle(self, news: News) -> bool:
        """Tell whether stored items are over, and were as many as were asked for: maybe not all."""
        if not isinstance(news, Live) or self._is_live:
            return False
        self._is_live = True
        return self._stored_left <= 0

    async def run(self) -> None:
        """Show what is due, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.show_due()

    def show_due(self) -> None:
        """Show traces whose time is over, and sums that were kept for long enough."""
        self._show(self._traces.due(self._clock()))
        self.notes.tell_due()

    def _item(self, fields: dict[str, Any]) -> None:
        if self._view is View.ITEMS:
            self._writer.item(fields)
            return
        self._stored_left -= 1
        self._show(self._traces.add(fields, self._clock()))

    def _show(self, traces: Iterable[Shown]) -> None:
        for trace in traces:
            if self._view is View.ROOTS:
                self._writer.roots(trace)
            else:
                self._writer.tree(trace)


def make_writer(
    *, as_json: bool, no_color: bool, utc: bool, wrap: bool, with_signal: bool
) -> Writer:
    """Return what writes to standard output: text on a terminal, else JSON."""
    if as_json or not sys.stdout.isatty():
        return JsonWriter()
    # What the terminal's encoding lacks is written as an escape, and ends nothing.
    cast("Any", sys.stdout).reconfigure(errors="backslashreplace")
    text = TailText(
        brush_for(sys.stdout, no_color=no_color),
        now=lambda: datetime.now(UTC),
        utc=utc,
        with_signal=with_signal,
    )
    return TextWriter(text, wrap=wrap)


async def reader_gone() -> None:
    """Return once nobody reads standard output any more, though nothing is written to it.

    ``otlpg tail | head`` thus ends with head, not with the next item. Only where standard output is
    a pipe and the system tells (Linux); elsewhere this never returns.
    """
    output = sys.stdout.fileno()
    if hasattr(select, "epoll") and stat.S_ISFIFO(os.fstat(output).st_mode):
        loop, stirred = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(output, stirred.set)  # an error of the pipe counts as something to read
        try:
            await stirred.wait()
        finally:
            loop.remove_reader(output)
        poll = select.poll()
        poll.register(output, 0)
        if poll.poll(0):
            return
    await asyncio.Event().wait()
