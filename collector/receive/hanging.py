"""Calls that may hang in the kernel, such as reading a file on a mount whose server is away.

No deadline ends such a call, so it gets a thread that nobody has to wait for. ``asyncio.to_thread``
was rejected: the loop joins its threads at the end, and one that hangs would keep a drained process
alive; and it lends a place in a pool that other callers need.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

_T = TypeVar("_T")

THREAD: Final = "may hang"
"""What its threads are called, for whoever looks at a process that has one."""


def begin(call: Callable[[], _T]) -> asyncio.Future[_T]:
    """Run ``call`` in a thread of its own and return the future of what it returns or raises.

    Cancelling the future leaves the thread where it is, and the process may end meanwhile. How many
    threads there are at once is the caller's to bound.

    Raises:
        RuntimeError: there is no thread to be had.
    """
    outcome: Future[_T] = Future()
    outcome.set_running_or_notify_cancel()  # from here on only the thread settles it

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 -- it belongs to whoever awaits the future
            outcome.set_exception(error)

    threading.Thread(target=run, name=THREAD, daemon=True).start()
    return asyncio.wrap_future(outcome)
