"""A walk over the pages of an answer, to its end and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from collector.query.page import Cursor, Page

Item = TypeVar("Item")

PAGES_MAX = 500


class Find(Protocol[Item]):
    """A question with all that it needs but the page."""

    def __call__(self, *, limit: int, cursor: Cursor | None) -> Awaitable[Page[Item]]:
        """Return the page at a cursor; None: the first."""
        ...


async def every_item(
    find: Find[Item], *, limit: int, meanwhile: Callable[[], Awaitable[None]] | None = None
) -> list[Item]:
    """Return the items of all pages, after a check that the same pages lead back to the first.

    Args:
        find: what is asked.
        limit: items of each page; the last may have fewer.
        meanwhile: what happens before each further page: items may come that stand before the
            first one, and change none of these pages.
    """
    page = await find(limit=limit, cursor=None)
    assert page.previous is None
    pages = [page]
    while page.next is not None:
        assert len(page.items) == limit
        assert len(pages) < PAGES_MAX, "the pages have no end"
        if meanwhile is not None:
            await meanwhile()
        page = await find(limit=limit, cursor=page.next)
        pages.append(page)
    for expected in reversed(pages[:-1]):
        assert page.previous is not None
        page = await find(limit=limit, cursor=page.previous)
        assert page.items == expected.items
    if meanwhile is None:
        assert page.previous is None
    return [item for each in pages for item in each.items]
