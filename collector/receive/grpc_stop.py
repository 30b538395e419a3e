"""The end of a server of gRPC, which several may ask for at once, each with a grace of its own."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc

_FOR_EVER_S: Final = 1e9


async def stop(server: grpc.aio.Server, grace_s: float) -> None:
    """Take no more calls; after ``grace_s`` cancel those that are left, and return when none is.

    Safe at any time: of several, the shortest grace is the one that counts.

    Whichever ``grpc.aio.Server.stop`` (1.85) ends first frees core's server; another one whose grace
    is over at that moment then cancels the calls of what is not there any more, and the process
    dies of it. So no grace is left to gRPC: a ``stop`` without one cancels at once or not at all.
    """
    ending = asyncio.create_task(server.stop(_FOR_EVER_S))
    try:
        await asyncio.wait((ending,), timeout=grace_s)
        if not ending.done():
            await server.stop(None)
        await ending
    finally:
        ending.cancel()
