"""A sender that keeps books: what it sent, what was acknowledged, what it sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import grpc
import grpc.aio

from collector.operate.endpoint import EXPORT_METHODS
from collector.rows import Signal
from tests.fault.records import Record, requests

CONNECTIONS = 6
IN_FLIGHT = 48
TIMEOUT_S = 8.0
ATTEMPTS_MAX = 40
RESEND_UNHEARD = 0.75
"""Share of unanswered requests that are sent again until OK is heard; the others are given up."""
RESEND_ACKNOWLEDGED = 0.10
"""Share of acknowledged requests sent once more, as a proxy does that missed the answer."""

Call = Callable[..., Awaitable[bytes]]

RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


class RecordingSender:
    """Keeps ``IN_FLIGHT`` requests open until told to finish; ``records`` holds all of them."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self.records: list[Record] = []
        self._endpoint = endpoint
        self._rng = Random(f"sender {seed}")
        self._fresh: Iterator[Record] = requests(seed)
        self._finishing = False
        self._acknowledged = 0
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Send until ``finish``, then return once every open request came to its end."""
        async with asyncio.TaskGroup() as tasks:
            channels = [
                grpc.aio.insecure_channel(self._endpoint, options=_OPTIONS)
                for _ in range(CONNECTIONS)
            ]
            for number in range(IN_FLIGHT):
                tasks.create_task(self._send_on(channels[number % CONNECTIONS]))
        for channel in channels:
            await channel.close()

    def finish(self) -> None:
        """Begin no further request."""
        self._finishing = True

    async def acknowledged(self, more: int) -> None:
        """Return once ``more`` further requests were acknowledged, counted from now."""
        goal = self._acknowledged + more
        async with self._changed:
            await self._changed.wait_for(lambda: self._acknowledged >= goal)

    async def _send_on(self, channel: grpc.aio.Channel) -> None:
        calls: dict[Signal, Call] = {
            signal: channel.unary_unary(EXPORT_METHODS[signal]) for signal in Signal
        }
        while not self._finishing:
            record = next(self._fresh)
            self.records.append(record)
            await self._see_through(record, calls[record.signal])

    async def _see_through(self, record: Record, call: Call) -> None:
        """Send ``record`` until it was acknowledged or is given up, and now and then once more."""
        while not await self._attempt(record, call):
            if self._rng.random() >= RESEND_UNHEARD or record.attempts >= ATTEMPTS_MAX:
                return
        if record.acknowledged and self._rng.random() < RESEND_ACKNOWLEDGED:
            await self._attempt(record, call)

    async def _attempt(self, record: Record, call: Call) -> bool:
        """Send once; return whether there was an answer that settles the request."""
        record.attempts += 1
        try:
            await call(record.payload, timeout=TIMEOUT_S, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() in RETRYABLE:
                return False
            record.failure = f"{error.code().name}: {error.details()}"
            return True
        async with self._changed:
            record.acknowledged = True
            self._acknowledged += 1
            self._changed.notify_all()
        return True
