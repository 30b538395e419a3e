"""A reader who leaves: what is done for it ends at once, and is over before anything else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_there(receive: Receive, work: Awaitable[T]) -> T:
    """Return what ``work`` does; cancel it when the reader leaves.

    Raises:
        ClientDisconnect: the reader has left, and what was under way is over.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.wait((working, leaving))
        # An error would know this frame, and it the error: all that the question had read would wait
        # for the garbage collector, which counts objects and not bytes.
        del working, leaving


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
