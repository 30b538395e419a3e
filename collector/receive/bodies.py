"""How many bytes of bodies may be on their way into this process at once, before any is decoded.

A slot bounds how many bodies there are, and not how large they become: sixteen of 64 MiB are a
gigabyte. So a call also reserves the largest that its body may turn out to be, before its first
byte is asked for, and gives the rest back when the body is here. Over gRPC that is the limit
itself, because core hands a message over whole and tells no size before; over HTTP the sender
announces it, and ``content.largest`` knows what gzip can make of it.

Nobody can wait for ever: who holds a reservation waits for nothing but its sender, within
``read_s_max``. A large body is next when it is first in line. Small ones pass it meanwhile, as long
as all small ones together leave it the room that it wants, and ``PASSED_BYTES_MAX`` beyond. So it
waits for those who held room before it came, and for a bounded number of others, with any setting.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from collector.errors import NoBodyRoomError

SMALL_BYTES: Final = 2**18
"""Up to this a body passes larger ones that wait."""


PASSED_BYTES_MAX: Final = 16 * SMALL_BYTES
"""So much may pass the first in line though it then lacks room for it."""


class BodyRoom:
    """Bytes that one body may take; ``shrink`` once it is known how many it does."""

    def __init__(self, bodies: Bodies, size_bytes: int) -> None:
        self._bodies = bodies
        self._small = size_bytes <= SMALL_BYTES
        self.size_bytes = size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Keep ``size_bytes`` and give the rest back; never grows."""
        spare = self.size_bytes - size_bytes
        if spare > 0:
            self.size_bytes = size_bytes
            self._bodies.free(spare, small=self._small)


class Bodies:
    """The bytes that all bodies on their way share."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0
        self._used_by_small = 0
        self._passed = 0  # bytes that have passed the first in line and lessened its room
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    @asynccontextmanager
    async def reserve(self, size_bytes: int, wait_s: float) -> AsyncGenerator[BodyRoom]:
        """Hold ``size_bytes`` inside the ``async with``; wait at most ``wait_s`` for them.

        Raises:
            NoBodyRoomError: they did not become free in time; nothing was read.
        """
        first = next(iter(self._waiting.values()), None)
        if not self._let_in(size_bytes, first):
            await self._wait(size_bytes, wait_s)
        room = BodyRoom(self, size_bytes)
        try:
            yield room
        finally:
            room.shrink(0)

    def free(self, size_bytes: int, *, small: bool) -> None:
        """Give bytes back, and let in whoever now fits; ``small`` as they were reserved."""
        self.used -= size_bytes
        if small:
            self._used_by_small -= size_bytes
        self._look()

    def _look(self) -> None:
        first: int | None = None  # what the first in line wants, once it is found to wait on
        for waiter, wanted in list(self._waiting.items()):
            if waiter.done():
                continue
            if self._let_in(wanted, first):
                del self._waiting[waiter]
                waiter.set_result(None)
                if first is None:
                    self._passed = 0  # the next one is first
            elif first is None:
                first = wanted

    def _let_in(self, size_bytes: int, first: int | None) -> bool:
        """Charge a body if it may come; ``first`` is what the one that it passes wants."""
        if self.used + size_bytes > self.bytes_max:
            return False
        small = size_bytes <= SMALL_BYTES
        if first is not None:
            if not small:
                return False
            if self._used_by_small + size_bytes + first > self.bytes_max:
                if self._passed + size_bytes > PASSED_BYTES_MAX:
                    return False
                self._passed += size_bytes
        self.used += size_bytes
        if small:
            self._used_by_small += size_bytes
        return True

    async def _wait(self, size_bytes: int, wait_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = size_bytes
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():  # it came at the very moment
                self.free(size_bytes, small=size_bytes <= SMALL_BYTES)
            else:
                if waiter is next(iter(self._waiting), None):
                    self._passed = 0
                self._waiting.pop(waiter, None)
                self._look()  # who stood behind may be small enough, or first now
            if isinstance(error, TimeoutError):
                raise NoBodyRoomError(size_bytes, self.bytes_max) from None
            raise
