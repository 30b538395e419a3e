"""When a server that gRPC gave up is replaced, and what of it is kept out of the log."""

from __future__ import annotations

import logging
import traceback
from typing import Final

PAUSE_S: Final = 0.1
PAUSE_S_MAX: Final = 2.0
"""Before the second replacement of a row, and before each of a long one; it doubles in between."""
CALM_S: Final = 10.0
"""A server that listened this long ends the row: its own replacement comes at once."""

_LOOP_OF_GRPC: Final = "_server_main_loop"
_LOGGERS: Final = ("asyncio", "grpc._cython.cygrpc")


class Pauses:
    """How long the port is silent before a server is replaced: the more often, the longer.

    Every replacement says GOAWAY to all connections, so these come no more often than the pauses
    allow. ``PAUSE_S_MAX`` is what a sender's own repetitions outlast: the first of the SDKs' come
    after 1 s, the next after 2 more.
    """

    def __init__(self) -> None:
        self._next_s = 0.0

    def after(self, lived_s: float) -> float:
        """Return the seconds to wait after a server that listened for ``lived_s``."""
        if lived_s >= CALM_S:
            self._next_s = 0.0
        pause_s = self._next_s
        self._next_s = min(max(PAUSE_S, 2 * pause_s), PAUSE_S_MAX)
        return pause_s


def keep_paths_out_of_the_log() -> None:
    """Leave out what asyncio and grpc.aio say of a server that was given up. Safe twice.

    Both print the error, and the task that nobody asks for it, with the sender's path. Who runs the
    server is told by ``wait_for_termination`` and logs it in words of our own.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    error = record.msg if isinstance(record.msg, BaseException) else (record.exc_info or (0, 0))[1]
    if not isinstance(error, UnicodeDecodeError):
        return True
    return all(
        frame.f_code.co_name != _LOOP_OF_GRPC for frame, _ in traceback.walk_tb(error.__traceback__)
    )
