"""Senders that want more room than there is."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from collector.rows import Signal
from tests.e2e.senders import METHODS, numbered_logs

CALLS = 200
RECORDS = 64
TIMEOUT_S = 30.0
FILL_S_MAX = 30.0
PAUSE_S = 0.05
"""Between two tries of one that found no room."""


class Crowd:
    """Keeps ``CALLS`` requests open, each smaller after it was refused, down to one log record.

    So no gap is left into which another sender's request would fit.
    """

    def __init__(self, port: int) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._full = asyncio.Event()
        self._senders: list[asyncio.Task[None]] = []
        self._number = 0

    async def __aenter__(self) -> Self:
        """Begin."""
        self._senders = [asyncio.create_task(self._send()) for _ in range(CALLS)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Go away, without waiting for answers."""
        for sender in self._senders:
            sender.cancel()
        await asyncio.wait(self._senders)
        await self._channel.close()

    async def wait_until_full(self) -> None:
        """Return once there is no room for a single log record."""
        async with asyncio.timeout(FILL_S_MAX):
            await self._full.wait()

    async def _send(self) -> None:
        call: Any = self._channel.unary_unary(METHODS[Signal.LOGS], bytes, bytes)
        records = RECORDS
        while True:
            self._number += records
            body = numbered_logs(range(self._number, self._number + records))
            try:
                await call(body, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                if records == 1:
                    self._full.set()
                    await asyncio.sleep(PAUSE_S)
                records = max(1, records // 2)
