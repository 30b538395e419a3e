"""Wait for what another program shows; the only place of these tests that polls."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

POLL_S = 0.05


async def wait_until(
    condition: Callable[[], Awaitable[bool]], *, what: str, within_s: float
) -> None:
    """Return as soon as ``condition`` holds.

    Raises:
        TimeoutError: it did not hold within ``within_s``; the text says ``what`` did not happen.
    """
    try:
        async with asyncio.timeout(within_s):
            while not await condition():  # noqa: ASYNC110 -- another process cannot set our event
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise TimeoutError(f"not within {within_s:g} s: {what}") from error


def free_port() -> int:
    """Return a TCP port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
