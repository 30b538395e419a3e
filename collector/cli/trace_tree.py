"""A trace as a waterfall in a terminal: a line for each span below its parent, with a bar of its time.

All that a sender wrote goes through ``stored_text``. Whatever was sent, the number of lines is bounded,
spans that are indented more than fits are told by their depth, and nothing recurses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from collector.cli.painting import DIM, MORE, RED, YELLOW, Brush, Part, cells, cut
from collector.cli.stored_text import attribute_parts, clipped, duration_text
from collector.query.critical_path import Segment, critical_path
from collector.query.span_tree import tree_order
from collector.query.spans import Span, SpanEvent
from collector.query.trace_types import Trace

DEPTH_MAX: Final = 16
"""Deeper spans are indented no more, and tell their depth; less in a narrow terminal."""
EVENTS_MAX: Final = 8
"""Shown of one span."""
DURATION_CELLS: Final = 8
BAR_CELLS_MIN: Final = 10
LABEL_CELLS_MIN: Final = 24


class Signs(NamedTuple):
    """What bars are made of."""

    critical: str
    other: str


BLOCKS: Final = Signs("█", "░")
ASCII: Final = Signs("#", "-")


class Row(NamedTuple):
    """A span at its place in the tree."""

    span: Span
    depth: int
    is_orphan: bool


class Shape:
    """A trace in the order in which it is shown.

    Attributes:
        rows: each span before its children, roots first, then orphans; at most ``spans_max``.
        hidden: spans beyond these.
        critical: by span id, when the root of the longest tree waited for it.
        start_unix_nano: of the span that starts first.
        duration_ns: until the last one ends; at least 1.
    """

    def __init__(self, trace: Trace, spans_max: int) -> None:
        places = list(tree_order([(s.span_id, s.parent_span_id) for s in trace.spans]))
        self.trace = trace
        self.rows = [Row(trace.spans[p.number], p.depth, p.is_orphan) for p in places[:spans_max]]
        self.hidden = len(places) - len(self.rows)
        self.critical: defaultdict[bytes, list[Segment]] = defaultdict(list)
        for segment in critical_path(trace.spans):
            self.critical[segment.span_id].append(segment)
        self.start_unix_nano = min(span.start_unix_nano for span in trace.spans)
        end = max(span.end_unix_nano for span in trace.spans)
        self.duration_ns = max(1, end - self.start_unix_nano)

    @property
    def counts(self) -> str:
        """How many spans, services and errors there are."""
        spans = self.trace.spans
        services = len({span.service for span in spans if span.service is not None})
        errors = sum(span.is_error for span in spans)
        told = [counted(len(spans), "span"), counted(services, "service")]
        return ", ".join([*told, counted(errors, "error")] if errors else told)


def counted(number: int, word: str) -> str:
    """Return a number of things."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def waterfall(
    shape: Shape, *, width: int, brush: Brush, time: str, signs: Signs = BLOCKS
) -> Iterator[list[Part]]:
    """Yield the lines: a head, an axis, and the spans with what happened in them.

    Args:
        shape: a trace with at least one span.
        width: cells of the terminal; in one too narrow for a bar lines are longer.
        brush: gives each service its colour.
        time: of the first start, as it is to be shown.
        signs: for bars.
    """
    label_cells = max(LABEL_CELLS_MIN, width * 45 // 100)
    depth_max = min(DEPTH_MAX, label_cells // 4)  # half of it for indentation
    labels = [_label(row, brush, depth_max) for row in shape.rows]
    longest = max(sum(cells(part.text) for part in label) for label in labels)
    label_cells = min(longest, label_cells)
    bar_cells = max(BAR_CELLS_MIN, width - label_cells - DURATION_CELLS - 4)
    scale = _Scale(shape, bar_cells, signs)

    yield [
        Part(f"trace {shape.trace.trace_id.hex()}"),
        Part("" if shape.trace.is_whole else "  (incomplete)", YELLOW),
    ]
    yield [
        Part(f"{time}  ", DIM),
        Part(f"{duration_text(shape.duration_ns)}  {shape.counts}"),
    ]
    yield [Part(f"{'':{label_cells + DURATION_CELLS + 4}}{scale.axis()}", DIM)]
    for row, whole in zip(shape.rows, labels, strict=True):
        label = cut(whole, label_cells, brush.cut)
        used = sum(cells(part.text) for part in label)
        duration = "?" if row.span.duration_ns is None else duration_text(row.span.duration_ns)
        bar, style = scale.bar(row.span), _style(row.span, brush)
        yield [
            *label,
            Part(f"{'':{label_cells - used}}  {duration:>{DURATION_CELLS}}  "),
            Part(bar, style),
        ]
        yield from _below(row, shape, depth_max)
    if shape.critical:
        yield [Part(f"{signs.critical} what the root waited for  {signs.other} other time", DIM)]


class _Scale:
    """Where times stand in a bar."""

    def __init__(self, shape: Shape, width: int, signs: Signs) -> None:
        self._shape = shape
        self._width = width
        self._signs = signs

    def axis(self) -> str:
        """Return the times at the beginning, the middle and the end of a bar."""
        middle, end = (duration_text(self._shape.duration_ns // n) for n in (2, 1))
        half = self._width // 2
        if half < len(middle) + 3 or self._width - half < len(middle) + len(end) + 2:
            return f"0{end:>{self._width - 1}}"
        return f"0{'':{half - 1}}{middle}{end:>{self._width - half - len(middle)}}"

    def bar(self, span: Span) -> str:
        """Return the bar of a span, which has at least one cell."""
        first, end = self._cells(span.start_unix_nano, span.end_unix_nano)
        bar = [self._signs.other] * (end - first)
        for segment in self._shape.critical.get(span.span_id, ()):
            low, high = self._cells(segment.start_unix_nano, segment.end_unix_nano)
            for cell in range(max(low, first), min(high, end)):
                bar[cell - first] = self._signs.critical
        return " " * first + "".join(bar)

    def _cells(self, start: int, end: int) -> tuple[int, int]:
        """Return the first cell of a time, and the one after its last."""
        total, begin = self._shape.duration_ns, self._shape.start_unix_nano
        first = min((start - begin) * self._width // total, self._width - 1)
        return first, max(first + 1, -((begin - end) * self._width // total))


def _label(row: Row, brush: Brush, depth_max: int) -> list[Part]:
    span = row.span
    deeper = f"+{row.depth - depth_max} " if row.depth > depth_max else ""
    service = clipped(span.service) if span.service else "-"
    return [
        Part("  " * min(row.depth, depth_max)),
        Part(deeper, DIM),
        Part("(orphan) " if row.is_orphan else "", YELLOW),
        Part(service, brush.colour_of(span.service or "")),
        Part(" "),
        Part(clipped(span.name), RED if span.is_error else ""),
    ]


def _style(span: Span, brush: Brush) -> str:
    return RED if span.is_error else brush.colour_of(span.service or "")


def _below(row: Row, shape: Shape, depth_max: int) -> Iterator[list[Part]]:
    """Yield what is to be told of a span on lines of its own."""
    indent = Part("  " * min(row.depth + 1, depth_max + 1))
    if row.span.status_message:
        yield [
            indent,
            Part(f"! {clipped(row.span.status_message)}", RED if row.span.is_error else ""),
        ]
    for event in row.span.events[:EVENTS_MAX]:
        yield [indent, *event_parts(event, shape.start_unix_nano)]
    left = len(row.span.events) - EVENTS_MAX
    if left > 0:
        yield [indent, Part(f"{MORE} {counted(left, 'more event')}", DIM)]


def event_parts(event: SpanEvent, start_unix_nano: int) -> Iterator[Part]:
    """Yield the parts of an event's line: how long after the start it happened, and what it says."""
    after = (
        f"+{duration_text(event.time_unix_nano - start_unix_nano)} " if event.time_unix_nano else ""
    )
    yield Part(f". {after}", DIM)
    if event.name == "exception":
        yield Part(exception_text(event.attributes), RED)
        return
    yield Part(clipped(event.name))
    yield from attribute_parts(event.attributes)


def exception_text(attributes: Mapping[str, Any]) -> str:
    """Return type and message of an exception, as far as they are given.

    Spec: OpenTelemetry semantic conventions, "Exceptions on spans".
    """
    told = (attributes.get(f"exception.{part}") for part in ("type", "message"))
    texts = [clipped(text) for text in told if isinstance(text, str) and text]
    return f"exception {': '.join(texts)}".rstrip()
