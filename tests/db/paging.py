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
    find: Find[Item],
    *,
    limit: int,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
    may_be_cut: bool = False,
) -> list[Item]:
    """Return the items of all pages, after a check that the same pages lead back to the first.

    Args:
        find: what is asked.
        limit: items of each page; the last may have fewer.
        meanwhile: what happens before each further page: items may come that stand before the
            first one, and change none of these pages.
        may_be_cut: items may be so large that any page ends early; the pages that lead back then
            have the same items, and may end elsewhere.
    """
    page = await find(limit=limit, cursor=None)
    assert page.previous is None
    pages = [page]
    while page.next is not None:
        assert 1 <= len(page.items) <= limit
        assert may_be_cut or len(page.items) == limit
        assert len(pages) < PAGES_MAX, "the pages have no end"
        if meanwhile is not None:
            await meanwhile()
        page = await find(limit=limit, cursor=page.next)
        pages.append(page)
    if may_be_cut:
        await _assert_back(find, page, pages[:-1], limit)
        return [item for each in pages for item in each.items]
    for expected in reversed(pages[:-1]):
        assert page.previous is not None
        page = await find(limit=limit, cursor=page.previous)
        assert page.items == expected.items
    if meanwhile is None:
        assert page.previous is None
    return [item for each in pages for item in each.items]


async def _assert_back(
    find: Find[Item], page: Page[Item], before: list[Page[Item]], limit: int
) -> None:
    """Fail unless the pages that lead back from one have the items of those before it."""
    expected = [item for each in before for item in each.items]
    found: list[Item] = []
    while page.previous is not None:
        page = await find(limit=limit, cursor=page.previous)
        found[:0] = page.items
        assert len(found) <= len(expected)
        assert page.items, "an empty page leads nowhere"
    assert found == expected
