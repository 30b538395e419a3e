"""What both clients of the bench are: one TCP connection that can end, with or without TLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self

TLS_GOODBYE_S_MAX = 0.5
"""A gRPC server that drains says no goodbye before it has heard that our end is closed."""


class ClientConnection(asyncio.Protocol):
    """One connection; a subclass says what is spoken on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._ended: Exception | None = None

    @classmethod
    async def connect(
        cls, host: str, port: int, tls: ssl.SSLContext | None = None, name: str = ""
    ) -> Self:
        """Return a connection; the kernel has it, but a worker need not have accepted it yet.

        ``tls`` None: in clear; ``name`` is whom its certificate must name.

        Raises:
            OSError: nobody listens, or its certificate is another's.
        """
        _, connection = await asyncio.get_running_loop().create_connection(
            cls,
            host,
            port,
            ssl=tls,
            server_hostname=None if tls is None else name,
            ssl_shutdown_timeout=None if tls is None else TLS_GOODBYE_S_MAX,
        )
        return connection

    @property
    def ended(self) -> bool:
        """Whether it takes no calls any more."""
        return self._ended is not None

    @property
    def local_port(self) -> int:
        """The port of our end."""
        assert self._transport is not None
        return self._transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Close it; open calls fail."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _check_open(self) -> None:
        """Return while it takes calls.

        Raises:
            ConnectionError: it has ended.
        """
        if self._ended is not None:
            raise ConnectionError("the connection has ended") from self._ended
