"""A gRPC client that does nothing but send finished bytes: 30 us of CPU per call, not 200.

Decision: on two cores that sender, daemon and PostgreSQL share, a grpc.aio client costs as much for
a request of ten spans as the daemon does, and a third of the figure would be the benchmark's own.
Real senders (the Go and Java SDKs, the otel-collector) are far cheaper than grpc.aio and run
elsewhere. So the headers are encoded once, a call is two frames, and of the answer only what
matters is looked at: whether there is a message, and ``grpc-status``.

Not a general client: it speaks to servers that send headers as the gRPC C core does (no
CONTINUATION, no Huffman coding), asks for no dynamic header table, and fails on anything else.

Spec: RFC 9113 (HTTP/2), RFC 7541 (HPACK), grpc/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from collector.operate.bench.client import ClientConnection

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_MAX = 2**31 - 1
WINDOW_DEFAULT = 65_535
FRAME_DEFAULT = 16_384
FRAME_HEADER_BYTES = 9
MESSAGE_PREFIX_BYTES = 5
STATUS_NAME = b"\x0bgrpc-status"  # with its length before it, as HPACK writes a literal name

UNAVAILABLE = 14
DEADLINE_EXCEEDED = 4

_SETTING = struct.Struct("!HI")


class Reply(NamedTuple):
    """The end of one call. ``has_message`` is True when the message was not empty."""

    status: int
    has_message: bool


@dataclass(slots=True)
class _Stream:
    """One open call: its answer to come, what is still to be sent, how much may be."""

    future: asyncio.Future[Reply]
    left: memoryview
    window: int
    message_bytes: int = 0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return struct.pack("!I", len(payload) << 8 | kind) + struct.pack("!BI", flags, stream) + payload


def setting(name: int, value: int) -> bytes:
    """Return one entry of a SETTINGS frame."""
    return _SETTING.pack(name, value)


def literal(name: str, value: str) -> bytes:
    """Return a header as HPACK's "literal without indexing, new name"; both below 127 bytes."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


def call_headers(
    authority: str,
    path: str,
    timeout_s: float,
    *,
    secure: bool = False,
    more: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the header block of an export call, the same for each; ``more`` stands at its end."""
    return b"".join(
        literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "https" if secure else "http"),
            (":path", path),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "otlpg-bench"),
            ("grpc-timeout", f"{round(timeout_s * 1_000)}m"),
            *more,
        )
    )


def status_of(block: bytes) -> int:
    """Return ``grpc-status`` of a trailer block that uses no dynamic table.

    Raises:
        ConnectionError: the block does not hold it in plain form.
    """
    place = block.find(STATUS_NAME)
    if place < 0:
        raise ConnectionError("trailers without a plain grpc-status")
    start = place + len(STATUS_NAME) + 1
    return int(block[start : start + block[start - 1]])


class Connection(ClientConnection):
    """One HTTP/2 connection; ``call`` may be used by many tasks at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.going_away = asyncio.Event()
        self.closed = asyncio.Event()
        self._streams: dict[int, _Stream] = {}
        self._blocked: deque[int] = deque()  # streams with bytes left, in the order of the calls
        self._next_stream = 1
        self._window = WINDOW_DEFAULT
        self._stream_window = WINDOW_DEFAULT
        self._frame_max = FRAME_DEFAULT

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str = ""
    ) -> Connection:
        """Return a connection whose server has spoken, so a worker has accepted it.

        ``tls`` None: in clear; ``name`` is whom its certificate must name. What is spoken over TLS
        is settled here.

        Raises:
            OSError: nobody listens, or it is no HTTP/2 server.
        """
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        connection = await cls.connect(host, port, tls, name)
        await connection.ready
        return connection

    async def call(self, headers: bytes, request: bytes) -> Reply:
        """Send ``request`` under a prepared header block and return the end of the call.

        Raises:
            ConnectionError: the connection broke, or the server reset the stream.
        """
        self._check_open()
        number = self._next_stream
        self._next_stream += 2
        message = b"\x00" + len(request).to_bytes(MESSAGE_PREFIX_BYTES - 1, "big") + request
        stream = _Stream(self._loop.create_future(), memoryview(message), self._stream_window)
        self._streams[number] = stream
        self._blocked.append(number)
        self._send_data(frame(HEADERS, END_HEADERS, number, headers))
        return await stream.future

    # -- asyncio.Protocol --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, and open the window for answers as wide as it goes."""
        super().connection_made(transport)
        settings = setting(HEADER_TABLE_SIZE, 0) + setting(ENABLE_PUSH, 0)
        window = (WINDOW_MAX - WINDOW_DEFAULT).to_bytes(4, "big")
        self._write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, window))

    def data_received(self, data: bytes) -> None:
        """Take in whole frames; what is left of a frame waits for the rest."""
        self._received += data
        received, place = self._received, 0
        try:
            while len(received) >= place + FRAME_HEADER_BYTES:
                end = (
                    place + FRAME_HEADER_BYTES + int.from_bytes(received[place : place + 3], "big")
                )
                if len(received) < end:
                    break
                stream = int.from_bytes(received[place + 5 : place + 9], "big")
                payload = bytes(received[place + FRAME_HEADER_BYTES : end])
                self._take(received[place + 3], received[place + 4], stream, payload)
                place = end
        except ConnectionError as error:
            self._end(error)
            self.close()
        del received[:place]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is open."""
        self._end(exc or ConnectionError("the server closed the connection"))
        self.closed.set()

    # -- frames ------------------------------------------------------------------------------------

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        match kind:
            case 0:  # DATA
                if stream is not None:
                    stream.message_bytes += len(payload)
            case 1:  # HEADERS: the last ones hold the status
                if flags & END_STREAM and stream is not None:
                    has_message = stream.message_bytes > MESSAGE_PREFIX_BYTES
                    self._settle(number, Reply(status_of(payload), has_message))
            case 3:  # RST_STREAM; after the trailers it is a courtesy
                if stream is not None:
                    self._fail(number, ConnectionError("the server reset the stream"))
            case 4 if not flags & ACK:
                self._configure(payload)
            case 6 if not flags & ACK:
                self._write(frame(PING, ACK, 0, payload))
            case 7:  # GOAWAY: what is open comes to its end, nothing new begins
                self._ended = ConnectionError("the server is going away")
                self.going_away.set()
                self._close_if_done()
            case 8:
                self._widen(stream, number, int.from_bytes(payload, "big"))
            case _:
                pass  # acknowledgements, priorities and the unknown; RFC 9113, 4.1

    def _configure(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
            elif name == MAX_FRAME_SIZE:
                self._frame_max = value
        self._write(frame(SETTINGS, ACK, 0))
        if not self.ready.done():
            self.ready.set_result(None)
        self._send_data()

    def _widen(self, stream: _Stream | None, number: int, by: int) -> None:
        if number == 0:
            self._window += by
        elif stream is not None:
            stream.window += by
        self._send_data()

    def _send_data(self, first: bytes = b"") -> None:
        """Send ``first``, and of the waiting messages as much as the windows allow."""
        frames = [first]
        for _ in range(len(self._blocked)):
            if self._window <= 0:
                break
            number = self._blocked.popleft()
            stream = self._streams.get(number)
            if stream is not None and not self._cut(number, stream, frames):
                self._blocked.append(number)
        if data := b"".join(frames):
            self._write(data)

    def _cut(self, number: int, stream: _Stream, frames: list[bytes]) -> bool:
        """Add to ``frames`` what may be sent of one message; True when nothing is left of it."""
        while (size := min(self._frame_max, self._window, stream.window, len(stream.left))) > 0:
            part, stream.left = stream.left[:size], stream.left[size:]
            self._window -= size
            stream.window -= size
            last = not stream.left
            frames.append(frame(DATA, END_STREAM if last else 0, number, bytes(part)))
            if last:
                return True
        return False

    # -- ends --------------------------------------------------------------------------------------

    def _settle(self, number: int, reply: Reply) -> None:
        future = self._streams.pop(number).future
        if not future.done():  # done: the caller was cancelled
            future.set_result(reply)
        self._close_if_done()

    def _fail(self, number: int, error: Exception) -> None:
        future = self._streams.pop(number).future
        if not future.done():
            future.set_exception(error)
        self._close_if_done()

    def _close_if_done(self) -> None:
        """Close after GOAWAY once nothing is open; a server that drains waits for that."""
        if self.going_away.is_set() and not self._streams:
            self.close()

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        if not self.ready.done():
            self.ready.set_exception(error)
        for number in list(self._streams):
            self._fail(number, ConnectionError("the connection broke"))
