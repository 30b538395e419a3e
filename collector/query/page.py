"""Pages of an answer: where one ends is a key of its last item, so that pages never shift.

A *cursor* names the item at an edge of a page and the direction to go on in. What is stored later
neither moves nor repeats anything on pages that are asked for by cursor: an item has its place by
what it is, not by how many stand before it. A page of very large items ends before its limit, where
it has enough bytes (``view.PAGE_BYTES_MAX``), and leads on like any other.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

import orjson

from collector.errors import BadParameterError

LIMIT_MAX: Final = 1_000
"""Items of one page."""
LIMIT: Final = 50
"""Items of one page unless somebody says otherwise."""
CURSOR_CHARACTERS_MAX: Final = 512

T = TypeVar("T")
Other = TypeVar("Other")
Key = tuple[int | str | None, ...]


class Cursor(NamedTuple):
    """Where a page begins: behind the item with this key, or before it."""

    key: Key
    is_backward: bool = False
    """Towards the first page."""

    def __str__(self) -> str:
        text = orjson.dumps([int(self.is_backward), *self.key])
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str, *types: type | tuple[type, ...]) -> Self:
        """Return the cursor that somebody gives back; its key has values of these types.

        Raises:
            BadParameterError: no page of this question has given it.
        """
        key = _decoded(text)
        if key is None or len(key) != len(types) + 1 or key[0] not in (0, 1):
            raise foreign_cursor()
        if not all(map(_is_of, key[1:], types)):
            raise foreign_cursor()
        return cls(tuple(key[1:]), bool(key[0]))


def _decoded(text: str) -> list[Any] | None:
    """Return the list that a cursor holds; None for what is none."""
    if len(text) > CURSOR_CHARACTERS_MAX:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        found = orjson.loads(raw)
    except ValueError:  # binascii.Error and orjson's are such
        return None
    return found if isinstance(found, list) else None  # pyright: ignore[reportUnknownVariableType]


def foreign_cursor() -> BadParameterError:
    """Return the error that tells of a cursor which no answer has given."""
    return BadParameterError("cursor", "must be one that an answer has given")


def _is_of(value: Any, types: type | tuple[type, ...]) -> bool:
    """Tell whether a value is of one of the types and fits into PostgreSQL's bigint."""
    if isinstance(value, bool) or not isinstance(value, types):
        return False
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of an answer's items, and how to come to those around them."""

    items: tuple[T, ...]
    next: Cursor | None
    """None: there were none behind these when they were read."""
    previous: Cursor | None
    """None: this is the first page."""

    def holding(self, items: tuple[Other, ...]) -> Page[Other]:
        """Return a page at the same place with these items."""
        return Page(items, self.next, self.previous)


def page_of(
    found: Sequence[T],
    limit: int,
    cursor: Cursor | None,
    key_of: Callable[[T], Key],
    *,
    is_cut: bool = False,
) -> Page[T]:
    """Return the page of what was found from a cursor on, in the direction that it goes.

    Args:
        found: one more than ``limit`` when there are more; of a backward cursor, last ones first.
        limit: items of the page.
        cursor: where it begins; None: the first page.
        key_of: of an item, for the cursors at the edges.
        is_cut: there are more than were found, however few these are.

    Shape: the items in the order of the answer. A page of none leads nowhere.
    """
    is_backward = cursor is not None and cursor.is_backward
    has_more, items = is_cut or len(found) > limit, tuple(found[:limit])
    if not items:
        return Page((), None, None)
    if is_backward:
        items = items[::-1]
    has_next, has_previous = (True, has_more) if is_backward else (has_more, cursor is not None)
    return Page(
        items,
        next=Cursor(key_of(items[-1])) if has_next else None,
        previous=Cursor(key_of(items[0]), is_backward=True) if has_previous else None,
    )


class Total(NamedTuple):
    """How many items an answer has in all."""

    items: int
    is_exact: bool
    """False: an estimate of PostgreSQL's planner."""
