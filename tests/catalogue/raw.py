"""Bytes on a socket that no library would send, and what comes back."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Generator, Iterable
from typing import NamedTuple

from collector.operate.bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    PREFACE,
    SETTINGS,
    STATUS_NAME,
    frame,
    setting,
    status_of,
)
from collector.rows import Signal
from tests.e2e.senders import METHODS

WAIT_S = 20.0
FLOOD_S_MAX = 2.0
"""How long a flood waits for the daemon to take more of it."""
RST_STREAM, PING, GOAWAY, CONTINUATION = 3, 6, 7, 9
STREAM = 1


class Talk(NamedTuple):
    """What an HTTP/1.1 connection said until it was closed by the other end."""

    statuses: list[int]
    text: str


def talk(port: int, *pieces: bytes, hang_up: bool = False) -> Talk:
    """Send ``pieces`` and read until the daemon closes; ``hang_up``: say that no more will come.

    Raises:
        TimeoutError: it did not close.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        heard = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:  # it may answer and close before it has read everything
                line.sendall(piece)
            if hang_up:
                line.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while more := line.recv(65_536):
                heard += more
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", heard)
    return Talk([int(status) for status in statuses], heard.decode("latin-1"))


def request(
    body: bytes = b"",
    *headers: str,
    target: str = "/v1/logs",
    method: str = "POST",
    version: str = "1.1",
    usual: Iterable[str] = ("host: x", "content-type: application/x-protobuf", "connection: close"),
    length: int | None = None,
) -> bytes:
    """Return a request; ``length`` None announces that of the body, -1 announces nothing."""
    lines = [f"{method} {target} HTTP/{version}", *usual, *headers]
    if length != -1:
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunks, with its end."""
    return b"".join([b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]) + b"0\r\n\r\n"


# -- gRPC ------------------------------------------------------------------------------------------


class GrpcEnd(NamedTuple):
    """How a call ended: its status, or the reset of its stream, or the end of the connection."""

    status: int | None
    was_reset: bool
    is_gone: bool
    text: bytes


def header(name: str, value: bytes) -> bytes:
    """Return a header of any length as HPACK's "literal without indexing, new name"."""
    return b"\x00" + _length(len(name)) + name.encode() + _length(len(value)) + value


def _length(number: int) -> bytes:
    if number < 127:
        return bytes((number,))
    encoded, number = bytearray(b"\x7f"), number - 127
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def call_headers(**changes: bytes | None) -> bytes:
    """Return the headers of an export call of logs; None leaves one out, ``_`` stands for ``-``.

    A leading ``_`` stands for the colon.
    """
    usual: dict[str, bytes | None] = {
        "_method": b"POST",
        "_scheme": b"http",
        "_path": METHODS[Signal.LOGS].encode(),
        "_authority": b"x",
        "te": b"trailers",
        "content_type": b"application/grpc",
    }
    return b"".join(
        header((":" + name[1:] if name[0] == "_" else name).replace("_", "-"), value)
        for name, value in (usual | changes).items()
        if value is not None
    )


def message(body: bytes, *, packed: bool = False) -> bytes:
    """Return a gRPC message."""
    return bytes((packed,)) + len(body).to_bytes(4, "big") + body


def opening() -> bytes:
    """Return what an HTTP/2 client says first."""
    return PREFACE + frame(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, 0))


def open_call(headers: bytes, stream: int = STREAM, flags: int = END_HEADERS) -> bytes:
    """Return the frame that begins a call."""
    return frame(HEADERS, flags, stream, headers)


def in_frames(block: bytes) -> bytes:
    """Return a long header block in as many frames as it takes."""
    step = 16_384
    first, *rest = [block[start : start + step] for start in range(0, len(block), step)]
    frames = [open_call(first, flags=0 if rest else 4)]
    for place, piece in enumerate(rest, 1):
        frames.append(frame(CONTINUATION, 4 if place == len(rest) else 0, 1, piece))
    return b"".join(frames)


def data(body: bytes, *, last: bool = True, stream: int = STREAM) -> bytes:
    """Return frames of a body."""
    step = 16_384
    pieces = [body[start : start + step] for start in range(0, len(body), step)] or [b""]
    frames = [frame(DATA, 0, stream, piece) for piece in pieces[:-1]]
    return b"".join([*frames, frame(DATA, END_STREAM if last else 0, stream, pieces[-1])])


def call(port: int, *pieces: bytes, acknowledge: bool = True) -> GrpcEnd:
    """Send ``pieces`` behind the opening, and read until the end of the one call, or of everything.

    ``acknowledge``: gRPC core holds its limits only against senders that have seen them.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        line.sendall(opening())
        heard = b""
        try:
            if acknowledge:
                heard = line.recv(65_536)  # its settings come first
                line.sendall(frame(SETTINGS, ACK, 0))
            for piece in pieces:
                line.sendall(piece)
            while True:
                more = line.recv(65_536)
                heard += more
                status, was_reset = _end_of(heard)
                if status is not None or was_reset or not more:
                    return GrpcEnd(status, was_reset, not more, heard)
        except (ConnectionResetError, BrokenPipeError):
            return GrpcEnd(None, False, True, heard)


def _end_of(heard: bytes) -> tuple[int | None, bool]:
    place = 0
    while len(heard) >= place + 9:
        end = place + 9 + int.from_bytes(heard[place : place + 3], "big")
        if len(heard) < end:
            break
        kind, stream = heard[place + 3], int.from_bytes(heard[place + 5 : place + 9], "big")
        payload = heard[place + 9 : end]
        if stream == STREAM and kind == HEADERS and STATUS_NAME in payload:
            return status_of(payload), False
        if stream == STREAM and kind == RST_STREAM:
            return None, True
        place = end
    return None, False


def say(port: int, *pieces: bytes) -> None:
    """Send ``pieces`` behind the opening, and leave without waiting for an answer."""
    with flood(port, *pieces):
        pass


@contextlib.contextmanager
def flood(port: int, *pieces: bytes) -> Generator[None]:
    """Send ``pieces`` behind the opening, reading nothing, and stay for the block.

    The daemon may close before everything is sent, or stop reading: then the rest stays here.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        line.settimeout(FLOOD_S_MAX)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, TimeoutError):
            for piece in (opening(), *pieces):
                line.sendall(piece)
        yield
