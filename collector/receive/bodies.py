"""How many bytes of bodies may be on their way into this process at once, before any is decoded.

A slot bounds how many bodies there are, and not how large they become: sixteen of 64 MiB are a
gigabyte. So a call also reserves the largest that its body may turn out to be, before its first
byte is asked for, and gives the rest back when the body is here. Over gRPC that is the limit
itself, because core hands a message over whole and tells no size before; over HTTP the sender
announces it, and ``content.largest`` knows what gzip can make of it.

Nobody can wait for ever: who holds a reservation waits for nothing but its sender, within
``read_s_max``. A large body is next when it is first in line; small ones pass it meanwhile, and
cannot keep it waiting, since all slots together hold less of them than the budget has to spare.
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


class Reservation:
    """Bytes that one body may take; ``shrink`` once it is known how many it does."""

    def __init__(self, bodies: Bodies, size_bytes: int) -> None:
        self._bodies = bodies
        self.size_bytes = size_bytes

    def shrink(self, size_bytes: int) -> None:
        """Keep ``size_bytes`` and give the rest back; never grows."""
        spare = self.size_bytes - size_bytes
        if spare > 0:
            self.size_bytes = size_bytes
            self._bodies.free(spare)


class Bodies:
    """The bytes that all bodies on their way share."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()

    @asynccontextmanager
    async def reserve(self, size_bytes: int, wait_s: float) -> AsyncGenerator[Reservation]:
        """Hold ``size_bytes`` inside the ``async with``; wait at most ``wait_s`` for them.

        Raises:
            NoBodyRoomError: they did not become free in time; nothing was read.
        """
        if not self._fits(size_bytes):
            await self._wait(size_bytes, wait_s)
        else:
            self.used += size_bytes
        reservation = Reservation(self, size_bytes)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def free(self, size_bytes: int) -> None:
        """Give bytes back, and let in whoever now fits."""
        self.used -= size_bytes
        is_first = True
        for waiter, wanted in list(self._waiting.items()):
            if waiter.done():
                continue
            if self.used + wanted <= self.bytes_max and (is_first or wanted <= SMALL_BYTES):
                self.used += wanted
                del self._waiting[waiter]
                waiter.set_result(None)
            else:
                is_first = False

    def _fits(self, size_bytes: int) -> bool:
        is_next = not self._waiting or size_bytes <= SMALL_BYTES
        return is_next and self.used + size_bytes <= self.bytes_max

    async def _wait(self, size_bytes: int, wait_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = size_bytes
        try:
            async with asyncio.timeout(wait_s):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():  # it came at the very moment
                self.free(size_bytes)
            else:
                self._waiting.pop(waiter, None)
                self.free(0)  # who stood behind may be small enough, or first now
            if isinstance(error, TimeoutError):
                raise NoBodyRoomError(size_bytes, self.bytes_max) from None
            raise
