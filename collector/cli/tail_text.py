"""How `otlpg tail` shows what comes: one line for each item, and what is no item beside it.

Everything that a sender or the server wrote goes through ``escaped`` before it is part of a line. An
item that breaks the contract is shown as far as it can be read; nothing of it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from collector.cli.painting import BOLD_RED, DIM, GREEN, MORE, RED, YELLOW, Brush, Part
from collector.cli.printing import escaped, escaped_json
from collector.cli.stored_text import attribute_parts, clipped, duration_text, value_text
from collector.operate.tail.news import (
    Back,
    Connected,
    Link,
    Live,
    Lost,
    News,
    Notice,
    Skipped,
    Unreadable,
    Waiting,
)
from collector.operate.tail.traces import Shown, Span, branches, text_of

SEVERITY_STYLES: Final = {
    "TRACE": DIM, "DEBUG": DIM, "INFO": GREEN, "WARN": YELLOW, "ERROR": RED, "FATAL": BOLD_RED,
}  # fmt: skip
STATUS_LETTERS: Final = {"ok": "O", "error": "E", "unset": "-"}
SIGNAL_WORDS: Final = {"logs": "log", "traces": "span", "metrics": "metric"}
SIGNAL_CELLS: Final = 6

TRACE_ID_CHARS: Final = 8
SAID_CHARACTERS_MAX: Final = 500
DEPTH_MAX: Final = 24
"""Deeper spans are indented no more."""
ROOT_FIELDS: Final = ("time", "service", "name", "kind", "status", "duration_ns", "span_id")

WHY: Final = {
    "sampled": "the worker's rate cap",
    "lost": "lost between worker and reader",
    "slow": "this reader is too slow",
}

Fields = Mapping[str, Any]


class TailText:
    """Items as lines. ``now`` decides which times need no date; its zone is the one shown."""

    def __init__(
        self,
        brush: Brush,
        *,
        now: Callable[[], datetime],
        utc: bool = False,
        with_signal: bool = False,
    ) -> None:
        self._brush = brush
        self._now = now
        self._zone = UTC if utc else None
        self._with_signal = with_signal

    def item(self, fields: Fields, width: int | None) -> str:
        """Return an item of any signal as one line."""
        return self._brush.line(self.parts(fields), width)

    def parts(self, fields: Fields) -> Iterator[Part]:
        """Return the parts of that line."""
        match text_of(fields, "signal"):
            case "logs":
                return self._log(fields)
            case "traces":
                return self._span(fields)
            case _:
                return self._point(fields)

    def roots(self, trace: Shown, width: int | None) -> Iterator[str]:
        """Yield a line for each root of a trace; one without any is a line too, unless it is late."""
        for root in trace.roots:
            yield self._brush.line(self._root(root, trace), width)
        if not trace.roots and not trace.is_late:
            yield self._brush.line(self._summary(trace), width)

    def tree(self, trace: Shown, width: int | None) -> Iterator[str]:
        """Yield a head, and the spans below it."""
        yield self._brush.line(self._summary(trace), width)
        for branch in branches(trace.spans):
            indent = "  " * (1 + min(branch.depth, DEPTH_MAX))
            mark = Part("(orphan) ", YELLOW) if branch.is_orphan else Part("")
            yield self._brush.line(
                [Part(indent), *self._span(branch.span, mark=mark, in_tree=True)], width
            )

    # -- one item ----------------------------------------------------------------------------------

    def _log(self, fields: Fields) -> Iterator[Part]:
        severity = text_of(fields, "severity")
        yield from self._head(fields, severity[:1], SEVERITY_STYLES.get(severity, ""))
        event, body = text_of(fields, "event"), fields.get("body")
        if event:
            yield Part(clipped(event) + (": " if body is not None else ""))
        if body is not None:
            yield Part(clipped(body) if isinstance(body, str) else escaped_json(body))
        yield from _attributes(fields)

    def _span(
        self, fields: Span, *, mark: Part | None = None, in_tree: bool = False
    ) -> Iterator[Part]:
        yield from self._head(fields, *_status(fields))
        if mark is not None:
            yield mark
        yield Part(clipped(text_of(fields, "name")))
        kind = text_of(fields, "kind")
        if kind:
            yield Part(f" {escaped(kind)}", DIM)
        yield Part(f" {duration_text(fields.get('duration_ns'))}")
        if not in_tree:
            yield Part(f" {escaped(text_of(fields, 'trace_id')[:TRACE_ID_CHARS])}", DIM)
        message = text_of(fields, "status_message")
        if message:
            yield Part(f" {clipped(message)}", RED)
        yield from _attributes(fields)

    def _point(self, fields: Fields) -> Iterator[Part]:
        yield from self._head(fields, "", "")
        yield Part(f"{clipped(text_of(fields, 'metric'))} {_measured(fields)}")
        yield from _attributes(fields)

    def _root(self, root: Span, trace: Shown) -> Iterator[Part]:
        yield from self._head(root, *_status(root))
        yield Part(clipped(text_of(root, "name")))
        yield Part(f" {duration_text(root.get('duration_ns'))}")
        yield from _counts(trace)
        yield Part(f" {escaped(text_of(root, 'trace_id')[:TRACE_ID_CHARS])}", DIM)

    def _summary(self, trace: Shown) -> Iterator[Part]:
        yield Part(f"trace {escaped(trace.trace_id)}:")
        yield from _counts(trace)
        if not trace.roots and not trace.is_late:
            yield Part(" (root not seen)", YELLOW)

    def _head(self, fields: Fields, letter: str, style: str) -> Iterator[Part]:
        """Yield time, letter and service; the signal too where there are several."""
        yield Part(f"{self._time(text_of(fields, 'time'))} ", DIM)
        signal = text_of(fields, "signal")
        if self._with_signal:
            yield Part(f"{escaped(SIGNAL_WORDS.get(signal, signal)):<{SIGNAL_CELLS}} ", DIM)
        if signal != "metrics" or self._with_signal:
            yield Part(f"{escaped(letter) or '-'} ", style)
        service = text_of(fields, "service")
        yield Part(clipped(service) if service else "-", self._brush.colour_of(service))
        yield Part(" ")

    def _time(self, text: str) -> str:
        """Return a time to the millisecond, with its date unless that is today's."""
        try:
            moment = datetime.fromisoformat(text[:19] + "+00:00").astimezone(self._zone)
            millisecond = f"{int(text[20:23] or 0):03}"
        except (ValueError, OverflowError, OSError):  # no such time, or none that a zone can show
            return escaped(text[:40]) or "-"
        is_today = moment.date() == self._now().astimezone(self._zone).date()
        date = "" if is_today else f"{moment:%Y-%m-%d} "
        return f"{date}{moment:%H:%M:%S}.{millisecond}{'Z' if self._zone else ''}"


def note(news: News) -> str | None:
    """Return what is no item as a line to read; None when nobody need know."""
    match news:
        case Skipped(_, items, why):
            reason = WHY.get(why) or _said(why) or "the server does not say why"
            return f"{_number(items)} skipped: {reason}"
        case Link(is_up, message):
            reason = f": {_said(message)}" if message else ""
            return "new items come again" if is_up else f"nothing new can come now{reason}"
        case Live(_, 0, "local"):
            return "no worker publishes: is tail.enabled off?"
        case Live(_, 0):
            return "no worker publishes: is tail.enabled off, or does no daemon use this Redis?"
        case Live(workers, expected) if (
            workers is not None and expected is not None and workers < expected
        ):
            return f"only {workers} of {expected} workers can be heard"
        case Live(workers, _, "local") if workers is not None and workers > 1:
            return "live from this daemon alone; others are seen too once all have redis.url"
        case Notice(message):
            return f"the server says: {_said(message)}"
        case Unreadable(kind, 1):
            return f"{kind}: one could not be read and is left out"
        case Unreadable(kind, events):
            return f"{kind}: {events:,} could not be read and are left out"
        case Waiting(why):
            return f"{_said(why)}; trying again"
        case Connected():
            return "connected"
        case Lost(why):
            return f"connection lost: {_said(why)}; trying again"
        case Back(missed):
            return f"connected again, {_cost(missed)}"
        case _:
            return None


def _said(text: str) -> str:
    """Return words of the server, however many it makes, as part of a line."""
    return escaped(text[:SAID_CHARACTERS_MAX]) + (MORE if len(text) > SAID_CHARACTERS_MAX else "")


def _number(items: int | None) -> str:
    return "some items" if items is None else "1 item" if items == 1 else f"{items:,} items"


def _cost(missed: int | None) -> str:
    if missed is None:
        return "some items may be missed"
    return f"{_number(missed)} missed" if missed else "nothing missed"


def root_maps(trace: Shown) -> Iterator[dict[str, Any]]:
    """Yield each root as a JSON-able map; as ``TailText.roots``, a trace without any is one too."""
    for root in trace.roots:
        own = {name: root[name] for name in ROOT_FIELDS if name in root}
        yield {"trace_id": trace.trace_id, **own, **_counts_map(trace)}
    if not trace.roots and not trace.is_late:
        yield {"trace_id": trace.trace_id, **_counts_map(trace)}


def tree_map(trace: Shown) -> dict[str, Any]:
    """Return a trace as a JSON-able map: its spans in the order of the tree, each with its place."""
    return {
        "trace_id": trace.trace_id,
        **_counts_map(trace),
        "tree": [
            {"depth": branch.depth, "orphan": branch.is_orphan, "span": branch.span}
            for branch in branches(trace.spans)
        ],
    }


def _counts_map(trace: Shown) -> dict[str, Any]:
    return {
        "root_seen": bool(trace.roots),
        "spans": trace.seen,
        "errors": trace.errors,
        "incomplete": trace.is_incomplete,
        "late": trace.is_late,
    }


def _counts(trace: Shown) -> Iterator[Part]:
    yield Part(f" {trace.seen:,} span{'' if trace.seen == 1 else 's'}")
    if trace.errors:
        yield Part(f" {trace.errors:,} error{'' if trace.errors == 1 else 's'}", RED)
    if trace.is_incomplete:
        yield Part(" (incomplete)", YELLOW)
    if trace.is_late:
        yield Part(" (late)", YELLOW)


def _status(fields: Fields) -> tuple[str, str]:
    """Return letter and style of a span's status."""
    status = text_of(fields, "status")
    return STATUS_LETTERS.get(status, status[:1]), RED if status == "error" else ""


def _attributes(fields: Fields) -> Iterator[Part]:
    attributes = fields.get("attributes")
    if isinstance(attributes, dict):
        yield from attribute_parts(cast("dict[str, Any]", attributes))
    if fields.get("cut") is True:
        yield Part(" (cut)", YELLOW)


def _measured(fields: Fields) -> str:
    """Return what a data point says: a value, or the count and what else there is."""
    unit = text_of(fields, "unit")
    end = "" if unit in {"", "1"} else f" {escaped(unit)}"
    if fields.get("value") is not None:
        return value_text(fields["value"]) + end
    named = [
        f"{name} {value_text(fields[name])}{'' if name == 'count' else end}"
        for name in ("count", "sum", "min", "max")
        if fields.get(name) is not None
    ]
    return ", ".join(named) or "no value"
