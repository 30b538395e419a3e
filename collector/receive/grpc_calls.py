"""What every call over gRPC is asked, whatever it is about: its headers, its peer, its one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import grpc

from collector.errors import MalformedCallError

STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
"""gRPC's own, by number."""

Context = grpc.aio.ServicerContext[bytes, bytes]


def header_bytes(context: Context) -> int:
    """Return the size of what a sender put into its headers.

    Core holds its limit only against senders that acknowledge its settings; for others it is 16 MiB.
    """
    metadata: Iterable[tuple[str, str | bytes]] = context.invocation_metadata() or ()
    return sum(len(name) + len(value) for name, value in metadata)


async def read_one(context: Context) -> bytes:
    """Return the one message of a call.

    Raises:
        MalformedCallError: there is none, or a second one.
    """
    message = await context.read()
    if message is grpc.aio.EOF:
        raise MalformedCallError("the call holds no message")
    if await context.read() is not grpc.aio.EOF:
        raise MalformedCallError("the call holds more than one message")
    return message


def headers_of(context: Context) -> Sequence[tuple[str, str | bytes]]:
    """Return what the caller put into its headers, names in lower case."""
    return cast("Any", context.invocation_metadata()) or ()


def peer_context(context: Context) -> dict[str, list[bytes]]:
    """Return what gRPC core knows of the connection's other end; its stub has no types."""
    return cast("Any", context).auth_context()
