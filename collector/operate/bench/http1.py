"""An HTTP/1.1 client that does nothing but send finished bytes, for the reason that ``http2`` has.

Not a general client: it speaks to servers that tell the length of their answers, one request at a
time on a connection that stays open, and fails on anything else.

Spec: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import NamedTuple

from collector.operate.bench.client import ClientConnection

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


class Connection(ClientConnection):
    """One connection; one ``call`` at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._reply: asyncio.Future[Reply] | None = None

    async def call(self, head: bytes, request: bytes) -> Reply:
        """Send ``request`` under a prepared head and return the answer.

        A call that is cancelled ends the connection: its answer would be taken for the next one's.

        Raises:
            ConnectionError: the connection broke before the answer, or it was none that we read.
        """
        assert self._reply is None, "one call at a time"
        self._check_open()
        self._reply = self._loop.create_future()
        self._write(b"%b%d%b%b" % (head, len(request), HEAD_END, request))
        try:
            return await self._reply
        except asyncio.CancelledError as error:
            self._end(error)
            raise
        finally:
            self._reply = None

    # -- asyncio.Protocol --------------------------------------------------------------------------

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
