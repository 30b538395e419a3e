"""How many bodies are in memory before the queue, and how long a call may be held."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from collector.errors import NoSlotError
from collector.settings import ReceiveSettings

DESCRIPTORS_KEPT: Final = 128
"""Descriptors that connections of senders leave: for PostgreSQL, pipes, files to be opened."""
CONNECTIONS_MAX: Final = 1_000_000
"""Where descriptors have no limit."""
LISTENERS: Final = 2
"""gRPC and HTTP; each may use its part of the descriptors."""


class _Share:
    """What one connection may hold while its bodies arrive."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.calls = 0  # that hold or want a part of it


class Slot:
    """Room for one body: first on its way, and then here and in our hands alone."""

    def __init__(self, share: asyncio.Semaphore) -> None:
        self._share: asyncio.Semaphore | None = share

    def body_is_here(self) -> None:
        """Give the share of its connection back, and keep the slot. Safe twice."""
        share, self._share = self._share, None
        if share is not None:
            share.release()


class Slots:
    """Bounds the bodies that are read and converted at once; the rest wait unread in the socket.

    A call takes its slot before a byte of its body was seen, so calls whose bodies never come could
    hold every slot. Hence the share: one connection waits for ``per_connection`` bodies at once,
    and its other calls queue behind those and not in front of everybody else's.
    """

    def __init__(self, count: int, *, per_connection: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._per_connection = per_connection
        self._shares: dict[str, _Share] = {}

    @property
    def connections(self) -> int:
        """How many connections have a call here."""
        return len(self._shares)

    @asynccontextmanager
    async def take(self, connection: str, wait_s: float) -> AsyncGenerator[Slot]:
        """Hold one slot inside the ``async with``; wait at most ``wait_s`` for it.

        Raises:
            NoSlotError: none became free in time; nothing was read.
        """
        share = self._shares.setdefault(connection, _Share(self._per_connection))
        share.calls += 1
        try:
            if share.free.locked() or self._free.locked():
                try:
                    async with asyncio.timeout(wait_s):
                        await self._acquire(share.free)
                except TimeoutError:
                    raise NoSlotError(self._count) from None
            else:
                await self._acquire(share.free)
            slot = Slot(share.free)
            try:
                yield slot
            finally:
                slot.body_is_here()
                self._free.release()
        finally:
            share.calls -= 1
            if not share.calls:
                del self._shares[connection]

    async def _acquire(self, share: asyncio.Semaphore) -> None:
        await share.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            share.release()
            raise


def connection_share(settings: ReceiveSettings) -> int:
    """Return how many bodies of one connection may be on their way at once.

    Never all that the budget of bodies has room for, or the calls of one connection whose bodies
    do not come would be in the way of everybody else's.
    """
    bodies = settings.bodies_bytes_max // settings.request_bytes_max
    return min(settings.slots_per_connection, max(1, bodies // 2))


def hold_s(left_s: float | None, settings: ReceiveSettings) -> float:
    """Return how long a call may be kept, so that a refusal still arrives before its deadline.

    Units: seconds; ``left_s`` is what the sender still waits, None when it named no deadline.
    """
    if left_s is None:
        return settings.hold_s_default
    return min(settings.hold_s_max, settings.hold_share * max(0.0, left_s))


def connections_max() -> int:
    """Return how many connections a listener of this process accepts."""
    descriptors_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections_below(descriptors_max) // LISTENERS


def connections_below(descriptors_max: int) -> int:
    """Return how many connections to accept where the process may open so many descriptors.

    Idle connections that took them all would keep the worker from PostgreSQL.
    """
    if descriptors_max == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(descriptors_max - DESCRIPTORS_KEPT, descriptors_max // 2))


def descriptors_are_short() -> bool:
    """Tell whether connections have taken half of what they should leave to the rest.

    Each server bounds its own only, so more than one can come to more than their share.
    """
    descriptors_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors_max == resource.RLIM_INFINITY:
        return False
    kept = descriptors_max - connections_below(descriptors_max)
    try:
        used = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:  # not one is left to look with
        return True
    return descriptors_max - used < kept // 2
