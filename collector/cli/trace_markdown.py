"""A trace as Markdown, to paste into a chat or an issue: a list whose entries hang below their parents.

Whatever a sender wrote stands in code spans, in which nothing is markup, a link or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from collector.cli.stored_text import clipped, duration_text
from collector.cli.trace_tree import DEPTH_MAX, EVENTS_MAX, Row, Shape, counted, exception_text

TEXT_CHARACTERS_MAX: Final = 200
_TICKS: Final = re.compile("`+")


def markdown(shape: Shape, *, time: str) -> Iterator[str]:
    """Yield the lines; ``time`` is the first start, as it is to be shown."""
    incomplete = "" if shape.trace.is_whole else " (incomplete)"
    yield (
        f"**Trace `{shape.trace.trace_id.hex()}`** {time}, {duration_text(shape.duration_ns)},"
        f" {shape.counts}{incomplete}"
    )
    yield ""
    for row in shape.rows:
        yield from _entry(row, shape)
    if shape.hidden:
        yield f"- … {counted(shape.hidden, 'more span')}"
    if shape.critical:
        yield ""
        yield "Bold: what the root waited for."


def _entry(row: Row, shape: Shape) -> Iterator[str]:
    span, indent = row.span, "  " * min(row.depth, DEPTH_MAX)
    duration = "?" if span.duration_ns is None else duration_text(span.duration_ns)
    if span.span_id in shape.critical:
        duration = f"**{duration}**"
    told = [
        *(["(orphan)"] if row.is_orphan else []),
        code(span.service) if span.service else "-",
        code(span.name),
        duration,
        f"+{duration_text(span.start_unix_nano - shape.start_unix_nano)}",
        *(["**error**"] if span.is_error else []),
        *([code(span.status_message)] if span.status_message else []),
    ]
    yield f"{indent}- {' '.join(told)}"
    for event in span.events[:EVENTS_MAX]:
        text = exception_text(event.attributes) if event.name == "exception" else event.name
        after = event.time_unix_nano - shape.start_unix_nano
        when = f" +{duration_text(after)}" if event.time_unix_nano else ""
        yield f"{indent}  - {code(text, is_escaped=event.name == 'exception')}{when}"
    if len(span.events) > EVENTS_MAX:
        yield f"{indent}  - … {counted(len(span.events) - EVENTS_MAX, 'more event')}"


def code(text: str, *, is_escaped: bool = False) -> str:
    """Return a text as a code span, on one line; the beginning of one that is long.

    Spec: CommonMark, "Code spans": it ends at as many backticks as it began with, and loses a space
    on each side where both have one.
    """
    shown = text if is_escaped else clipped(text)
    if len(shown) > TEXT_CHARACTERS_MAX:
        shown = f"{shown[:TEXT_CHARACTERS_MAX]}…"
    shown = shown or '""'
    fence = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    space = " " if shown.strip(" ") and (shown[0] in "` " or shown[-1] in "` ") else ""
    return f"{fence}{space}{shown}{space}{fence}"
