"""An HTTP/1.1 client that does nothing but send finished bytes, for the reason that ``http2`` has.

Not a general client: it speaks to servers that tell the length of their answers, one request at a
time on a connection that stays open, and fails on anything else.

Spec: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable
from typing import NamedTuple

HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 16_384

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+) *\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close *\r\n", re.IGNORECASE)


class Reply(NamedTuple):
    """One answer, whole."""

    status: int
    body: bytes


def request_head(
    authority: str, path: str, content_type: str, more: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return the head of an export up to the number of its bytes, the same for each."""
    headers = (
        ("host", authority),
        ("user-agent", "otlpg-bench"),
        ("content-type", content_type),
        *more,
    )
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "content-length: "]).encode()


class Connection(asyncio.Protocol):
    """One connection; one ``call`` at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._reply: asyncio.Future[Reply] | None = None
        self._ended: Exception | None = None

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> Connection:
        """Return a connection; the kernel has it, but a worker need not have accepted it yet.

        ``tls`` None: in clear; ``name`` is whom its certificate must name.

        Raises:
            OSError: nobody listens.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            cls, host, port, ssl=tls, server_hostname=name if tls is not None else None
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

    async def call(self, head: bytes, request: bytes) -> Reply:
        """Send ``request`` under a prepared head and return the answer.

        A call that is cancelled ends the connection: its answer would be taken for the next one's.

        Raises:
            ConnectionError: the connection broke before the answer, or it was none that we read.
        """
        assert self._reply is None, "one call at a time"
        if self._ended is not None:
            raise ConnectionError("the connection has ended") from self._ended
        assert self._transport is not None
        self._reply = self._loop.create_future()
        self._transport.write(b"%b%d%b%b" % (head, len(request), HEAD_END, request))
        try:
            return await self._reply
        except asyncio.CancelledError as error:
            self._end(error)
            raise
        finally:
            self._reply = None

    def close(self) -> None:
        """Close it; an open call fails."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Settle the call once its answer is whole."""
        self._received += data
        try:
            self._take()
        except ConnectionError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is open."""
        self._end(exc or ConnectionError("the server closed the connection"))

    def _take(self) -> None:
        reply = self._reply
        if reply is None or reply.done():
            raise ConnectionError("an answer to nothing")
        end = self._received.find(HEAD_END)
        if end < 0:
            if len(self._received) > HEAD_BYTES_MAX:
                raise ConnectionError("an answer's head has no end")
            return
        head = bytes(self._received[: end + 2])
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None:
            raise ConnectionError("an answer that is not HTTP/1.1, or of unknown length")
        start, stop = end + len(HEAD_END), end + len(HEAD_END) + int(length[1])
        if len(self._received) < stop:
            return
        reply.set_result(Reply(int(status[1]), bytes(self._received[start:stop])))
        del self._received[:stop]
        if self._received:
            raise ConnectionError("an answer to nothing")
        if _CLOSE.search(head):
            self._end(ConnectionError("the server closes the connection"))

    def _end(self, error: BaseException) -> None:
        """Take no calls any more, and fail the one that is open."""
        if self._ended is None:
            self._ended = ConnectionError(str(error) or type(error).__name__)
        self.close()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionError("the connection broke"))
