"""A process of its own that carries out one order after another and keeps state between them.

The sender and the copier run in such processes: their CPU seconds must not be counted as the
daemon's, and neither may share an interpreter lock with the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

import psutil

from collector.errors import CommandError

OrderT = TypeVar("OrderT")
JOIN_S_MAX = 10.0


class Crew(Generic[OrderT]):
    """The near end: starts the process, gives orders, waits for what comes back.

    ``main`` is a module-level function that calls ``obey_orders``. Processes are spawned: a forked
    gRPC does not work.
    """

    def __init__(self, main: Callable[[Connection], None]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._near, far = spawn.Pipe()
        self._process = spawn.Process(target=main, args=(far,), daemon=True)
        self._process.start()
        far.close()

    @property
    def process(self) -> psutil.Process:
        """The process, for its CPU seconds."""
        assert self._process.pid is not None
        return psutil.Process(self._process.pid)

    def order(self, order: OrderT) -> Any:
        """Return what the process made of ``order``.

        Raises:
            CommandError: the process died; its traceback is on stderr.
        """
        self._near.send(order)
        try:
            return self._near.recv()
        except EOFError as error:
            raise CommandError(f"the process for {type(order).__name__} died") from error

    def stop(self) -> None:
        """End the process; safe twice."""
        self._near.close()
        self._process.join(JOIN_S_MAX)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


async def _nothing() -> None:
    """Close nothing."""


def obey_orders(
    orders: Connection,
    obey: Callable[[Any], Awaitable[Any]],
    close: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """Answer each order with what ``obey`` returns, in one event loop, until the near end closes."""

    async def run() -> None:
        try:
            while True:
                # In a thread: between orders the loop goes on, and answers what connections say.
                order = await asyncio.to_thread(orders.recv)
                orders.send(await obey(order))
        except EOFError:
            return  # the command is gone; nobody waits for an answer
        finally:
            await close()

    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches the command too; it says so
        asyncio.run(run())
