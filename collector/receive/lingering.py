"""A transport that, told to close, first hears the other end out, where there is need.

Bytes that came and were not read make the kernel reset the connection at ``close``, and the reset
overtakes the answer: most senders would never see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport(asyncio.Transport):
    """Passes everything on to ``transport``; only ``close`` is another.

    ``lingers`` is asked at ``close``. Where it says yes, the protocol goes on to hear what comes, for it
    to forget, and has to ``end`` the connection in time.
    """

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        super().__init__()
        self._transport = transport
        self._lingers = lingers
        self._lingering = False

    def close(self) -> None:
        """Say no more, and close, unless what still comes is to be heard first."""
        if self.is_closing():
            return
        if not self._lingers():
            self.end()
            return
        self._lingering = True
        if self._transport.can_write_eof():  # TLS cannot; the length of the answer must do there
            self._transport.write_eof()
        self._transport.resume_reading()

    def end(self) -> None:
        """Close, whatever may still come."""
        self._transport.close()

    def is_closing(self) -> bool:
        """Return whether nothing more may be said."""
        return self._lingering or self._transport.is_closing()

    def abort(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send, after what was written before."""
        self._transport.write(data)

    def pause_reading(self) -> None:
        """Let the other end wait."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let it go on."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the socket or its TLS."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol."""
        self._transport.set_protocol(protocol)
