"""Spans put together to traces while they come, in a bounded window.

Spans of one trace come in any order and from many services; that a trace is over is said by nobody.
So a trace is held for ``SETTLE_S`` from its first root on, a span without a parent, or, while no root
comes, for ``HOLD_S``, and is then shown as it is. What comes for it later is shown as late. Where
there is no room for more, the oldest are shown before their time.

Times are those of a clock that only goes forward, in seconds; nobody asks one here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from collector.query.span_tree import tree_order

Span: TypeAlias = Mapping[str, Any]
"""An item of signal ``traces``, as it came."""

SETTLE_S: Final = 2.0
HOLD_S: Final = 30.0
TRACES_MAX: Final = 1_000
SPANS_MAX: Final = 10_000
ROOTS_MAX: Final = 100
"""Of one trace; others are spans like any."""
SHOWN_MAX: Final = 10_000
"""So many traces are known again when they come late."""


class Shown(NamedTuple):
    """A trace as far as it was seen."""

    trace_id: str
    roots: tuple[Span, ...]
    """In the order in which they came."""
    spans: tuple[Span, ...]
    """All of them, roots included; empty where only roots are asked for."""
    seen: int
    errors: int
    is_incomplete: bool
    """Items were left out while it came, or it had to go early."""
    is_late: bool
    """The rest of a trace that was shown before."""


@dataclass
class _Held:
    trace_id: str
    due_s: float
    is_incomplete: bool
    is_late: bool
    roots: list[Span] = field(default_factory=list["Span"])
    spans: list[Span] = field(default_factory=list["Span"])
    seen: int = 0
    errors: int = 0

    def shown(self) -> Shown:
        return Shown(
            self.trace_id,
            tuple(self.roots),
            tuple(self.spans),
            self.seen,
            self.errors,
            self.is_incomplete,
            self.is_late,
        )


class Traces:
    """Holds what is not settled: at most so many traces and spans, for at most so long."""

    def __init__(
        self,
        *,
        with_spans: bool,
        settle_s: float = SETTLE_S,
        hold_s: float = HOLD_S,
        traces_max: int = TRACES_MAX,
        spans_max: int = SPANS_MAX,
    ) -> None:
        self._with_spans = with_spans
        self._settle_s = settle_s
        self._hold_s = hold_s
        self._traces_max = traces_max
        self._spans_max = spans_max
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._spans = 0
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._gap_s = float("-inf")

    def add(self, span: Span, now_s: float) -> list[Shown]:
        """Take a span; return the traces that have to go for want of room, the oldest first."""
        trace_id = text_of(span, "trace_id")
        held = self._held.get(trace_id)
        if held is None:
            held = _Held(
                trace_id,
                due_s=now_s + self._hold_s,
                is_incomplete=now_s - self._gap_s < self._settle_s,
                is_late=trace_id in self._shown,
            )
            self._held[trace_id] = held
        held.seen += 1
        held.errors += span.get("status") == "error"
        if not text_of(span, "parent_span_id") and len(held.roots) < ROOTS_MAX:
            if not held.roots:
                held.due_s = min(held.due_s, now_s + self._settle_s)
            held.roots.append(span)
        if self._with_spans:
            held.spans.append(span)
            self._spans += 1
        return list(self._make_room())

    def gap(self, now_s: float) -> None:
        """Note that items were left out: what is held, or begins soon, may lack some."""
        self._gap_s = now_s
        for held in self._held.values():
            held.is_incomplete = True

    def due(self, now_s: float) -> list[Shown]:
        """Return the traces whose time is over, the first to come first."""
        return [self._release(held) for held in list(self._held.values()) if held.due_s <= now_s]

    def _make_room(self) -> Iterator[Shown]:
        while len(self._held) > self._traces_max or self._spans > self._spans_max:
            oldest = next(iter(self._held.values()))
            oldest.is_incomplete = True
            yield self._release(oldest)

    def _release(self, held: _Held) -> Shown:
        del self._held[held.trace_id]
        self._spans -= len(held.spans)
        self._shown[held.trace_id] = None
        self._shown.move_to_end(held.trace_id)
        if len(self._shown) > SHOWN_MAX:
            self._shown.popitem(last=False)
        return held.shown()


class Branch(NamedTuple):
    """A span at its place in the tree."""

    depth: int
    span: Span
    is_orphan: bool
    """It has a parent, which was not seen."""


def branches(spans: Sequence[Span]) -> Iterator[Branch]:
    """Yield spans as a tree: each before its children, these by start; roots first, then orphans.

    Every span is there once, whatever the senders wrote: of two with one id the first to start has
    the children, and of a ring of parents the first to start counts as an orphan.
    """
    ordered = sorted(spans, key=lambda span: text_of(span, "time"))  # all nine digits, in UTC
    ids = [(text_of(span, "span_id"), text_of(span, "parent_span_id") or None) for span in ordered]
    for place in tree_order(ids):
        yield Branch(place.depth, ordered[place.number], place.is_orphan)


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a text of an item; empty when it is not there, or no text."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""
