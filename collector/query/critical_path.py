"""The critical path of a trace: at each moment of its root, the span that the root waited for.

From the end of the root backwards, the last child to end before what comes next held it up; below
that child the same holds again. Where no child did, the span itself was at work. Children count only
within their parent's time, so a clock that goes wrong moves nothing out of the root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from collector.query.spans import Span


class Segment(NamedTuple):
    """A part of the root's time, and the span that took it. Units: nanoseconds since 1970."""

    span_id: bytes
    start_unix_nano: int
    end_unix_nano: int


class _Step(NamedTuple):
    span_id: bytes
    start: int
    end: int


def critical_path(spans: Iterable[Span]) -> tuple[Segment, ...]:
    """Return the critical path, earliest first.

    The root is the longest of the spans whose parent is not among them, and of all spans when they
    go in circles. Of spans with one id the first counts.

    Shape: the segments cover the root's time without gap or overlap; none for a root without length.
    """
    known: dict[bytes, Span] = {}
    for span in spans:
        known.setdefault(span.span_id, span)
    if not known:
        return ()
    tops = [s for s in known.values() if s.parent_span_id not in known] or list(known.values())
    root = max(tops, key=lambda s: (s.duration_ns or 0, -s.start_unix_nano, s.span_id))
    children: dict[bytes, list[Span]] = {}
    for span in known.values():
        if span.parent_span_id is not None and span is not root:
            children.setdefault(span.parent_span_id, []).append(span)
    return tuple(reversed(_walk(root, children)))


def _walk(root: Span, children: dict[bytes, list[Span]]) -> list[Segment]:
    """Return the segments, latest first; a stack of our own, so that depth does not matter."""
    found: list[Segment] = []
    start = _Step(root.span_id, root.start_unix_nano, root.end_unix_nano)
    stack = [(start, _within(start, children))]
    at = start.end
    while stack:
        step, waiting = stack[-1]
        while waiting and waiting[-1].end > at:
            waiting.pop()
        ends = waiting[-1].end if waiting else step.start
        if ends < at:
            found.append(Segment(step.span_id, ends, at))
            at = ends
        if waiting:
            child = waiting.pop()
            stack.append((child, _within(child, children)))
        else:
            stack.pop()
    return found


def _within(step: _Step, children: dict[bytes, list[Span]]) -> list[_Step]:
    """Return a span's children with what of their time lies in its own, the last to end last."""
    cut = (
        _Step(c.span_id, max(c.start_unix_nano, step.start), min(c.end_unix_nano, step.end))
        for c in children.get(step.span_id, ())
    )
    return sorted((c for c in cut if c.start < c.end), key=lambda c: (c.end, c.start, c.span_id))
