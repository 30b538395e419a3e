"""A sender that leaves without a word at a chosen byte of its call, over gRPC or HTTP."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

from collector.operate.bench.connect import EXPORT_METHODS
from collector.operate.bench.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_DEFAULT,
    HEADERS,
    PREFACE,
    SETTINGS,
    call_headers,
    frame,
)
from tests.fault.records import Record

Protocol = Literal["grpc", "http"]

CALL_S_MAX = 30.0
LINGER_NOT = struct.pack("ii", 1, 0)
"""Closing then sends RST: what is on its way is forgotten, as by a process that was killed."""


def head_of(protocol: Protocol, record: Record) -> bytes:
    """Return all bytes of a call before its body."""
    if protocol == "grpc":
        headers = call_headers("localhost", EXPORT_METHODS[record.signal], CALL_S_MAX)
        return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, headers)
    return (
        f"POST /v1/{record.signal} HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/x-protobuf\r\ncontent-length: {len(record.payload)}\r\n\r\n"
    ).encode()


def body_of(protocol: Protocol, record: Record) -> bytes:
    """Return the body as it goes over the wire; of gRPC in frames that need no window update."""
    if protocol == "http":
        return record.payload
    message = b"\x00" + len(record.payload).to_bytes(4, "big") + record.payload
    starts = range(0, len(message), FRAME_DEFAULT)
    return b"".join(
        frame(
            DATA,
            END_STREAM if start == starts[-1] else 0,
            1,
            message[start : start + FRAME_DEFAULT],
        )
        for start in starts
    )


class Leaver:
    """One call on a connection of its own, of which so much is sent as its owner likes."""

    def __init__(self, writer: asyncio.StreamWriter, protocol: Protocol, record: Record) -> None:
        self._writer = writer
        self._protocol: Protocol = protocol
        self._record = record

    @classmethod
    async def call(cls, port: int, protocol: Protocol, record: Record, share: float) -> Leaver:
        """Connect, and send the head and this share of the body; 1 is all of it."""
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        leaver = cls(writer, protocol, record)
        body = body_of(protocol, record)
        record.attempts += 1
        writer.write(head_of(protocol, record) + body[: int(len(body) * share)])
        await writer.drain()
        return leaver

    async def leave(self) -> None:
        """Reset the connection."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # the daemon was quicker; it is gone all the same
