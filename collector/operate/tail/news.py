"""What a tail tells its reader: the server's events, decoded, and what the client saw by itself.

Texts are as they came: whoever shows them makes them harmless.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias, cast

from collector.operate.tail.sse import Event

COUNT_MAX: Final = 2**63 - 1
"""Who tells of more is not believed, and has not told how many."""
LEVELS_MAX: Final = 100
"""Of nested arrays and objects; OTLP's own bound on nested values is below it."""


class Item(NamedTuple):
    """A stored or live item, by the names that the API gives its fields."""

    fields: dict[str, Any]


class Live(NamedTuple):
    """Stored items are over. ``workers`` of ``expected`` can be heard; None: the server did not say."""

    workers: int | None
    expected: int | None
    link: str | None = None
    """What carries the items: "redis" or "local"."""


class Skipped(NamedTuple):
    """Items that will not come; ``items`` is None when nobody knows how many."""

    signal: str
    items: int | None
    why: str


class Link(NamedTuple):
    """The way between workers and API broke, or is there again."""

    is_up: bool
    message: str


class Notice(NamedTuple):
    """What else the server wants its reader to know."""

    message: str


class Unreadable(NamedTuple):
    """An event of a known kind that breaks the contract was left out; or so many of them."""

    kind: str
    events: int = 1


class Waiting(NamedTuple):
    """There was no connection yet, and nobody answers; the client tries again."""

    why: str


class Connected(NamedTuple):
    """After ``Waiting``: now somebody has answered."""


class Lost(NamedTuple):
    """The connection ended; the client tries again."""

    why: str


class Back(NamedTuple):
    """A new connection goes on; ``missed`` is None when nobody knows how many items."""

    missed: int | None


News: TypeAlias = (
    Item | Live | Skipped | Link | Notice | Unreadable | Waiting | Connected | Lost | Back
)


def news_of(event: Event) -> Item | Live | Skipped | Link | Notice | Unreadable | None:
    """Return what an event says; None for a kind that this version does not know."""
    if event.kind not in {"item", "live", "skipped", "link", "notice"}:
        return None
    try:
        content: Any = json.loads(event.data, parse_float=_finite, parse_constant=_refused)
    except (ValueError, RecursionError):
        return Unreadable(event.kind)
    if not isinstance(content, dict) or _levels(cast("Any", content)) > LEVELS_MAX:
        return Unreadable(event.kind)
    fields = cast("dict[str, Any]", content)
    match event.kind:
        case "item":
            return Item(fields) if isinstance(fields.get("signal"), str) else Unreadable("item")
        case "live":
            link = _text(fields.get("link")) or None
            return Live(_count(fields.get("workers")), _count(fields.get("expected")), link)
        case "skipped":
            return Skipped(
                _text(fields.get("signal")), _count(fields.get("items")), _text(fields.get("why"))
            )
        case "notice":
            return Notice(_text(fields.get("message")))
        case _:
            return Link(fields.get("up") is True, _text(fields.get("message")))


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)


def _refused(text: str) -> Any:
    raise ValueError(f"{text} is no number that JSON can hold")


def _levels(value: Any) -> int:
    """Return how deep a value nests, by walking it level by level; stops past the bound."""
    levels, row = 0, [value]
    while row and levels <= LEVELS_MAX:
        row = [inner for one in row for inner in _inside(one)]
        levels += 1
    return levels


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _count(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return cast("int", value) if is_number and 0 <= value <= COUNT_MAX else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
