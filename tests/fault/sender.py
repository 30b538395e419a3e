"""A sender that keeps books: what it sent, what was acknowledged, what it sent again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
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

RETRY_S = (0.02, 0.2)
"""Between two attempts, drawn anew each time; shorter than any RetryInfo, to keep up the load."""

Call = Callable[..., Awaitable[bytes]]

RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
"""Of OTLP's retryable codes those that a daemon may give: ``CANCELLED`` is gRPC core's word to who
calls at the very moment at which a server stops.

Spec: opentelemetry-proto docs/specification.md, OTLP/gRPC Response, Failures.
"""
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


@dataclass
class Attempt:
    """One sending of a request, by a monotonic clock; ``ended_s`` is None while no answer is there."""

    began_s: float
    ended_s: float | None = None


class Line:
    """One strand of the load: a connection to each endpoint, of which it uses one until that fails.

    Who has a second endpoint never waits for a connection to the first.
    """

    def __init__(self, channels: Sequence[grpc.aio.Channel], *, first: int = 0) -> None:
        self._calls: list[dict[Signal, Call]] = [
            {signal: channel.unary_unary(EXPORT_METHODS[signal]) for signal in Signal}
            for channel in channels
        ]
        self._chosen = first % len(channels)

    async def send(self, record: Record, timeout_s: float = TIMEOUT_S) -> None:
        """Return when the request was answered OK; raise AioRpcError, and turn to the next."""
        chosen = self._calls[self._chosen]
        try:
            await chosen[record.signal](
                record.payload, timeout=timeout_s, wait_for_ready=len(self._calls) == 1
            )
        except grpc.aio.AioRpcError:
            self._chosen = (self._chosen + 1) % len(self._calls)
            raise


class RecordingSender:
    """Keeps up to ``IN_FLIGHT`` requests open until told to finish; ``records`` holds all of them.

    With several endpoints its connections are spread over them, and what one refuses or does not
    answer goes to the next.
    """

    def __init__(self, *endpoints: str, seed: int, pause_s: float = 0.0) -> None:
        """``pause_s``: mean time between a reply and the next request in its place; may be changed."""
        self.records: list[Record] = []
        self._endpoints = endpoints
        self._rng = Random(f"sender {seed}")
        self._fresh: Iterator[Record] = requests(seed)
        self.in_flight = IN_FLIGHT
        self.pause_s = pause_s
        self._finishing = asyncio.Event()
        self.acknowledged_so_far = 0  # replies that said OK, repeated requests included
        self._attempts: list[Attempt] = []
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Send until ``finish``, then return once every open request came to its end."""
        async with AsyncExitStack() as open_channels, asyncio.TaskGroup() as tasks:
            for first in range(CONNECTIONS):
                channels = [
                    await connect_to(open_channels, endpoint) for endpoint in self._endpoints
                ]
                for _ in range(IN_FLIGHT // CONNECTIONS):
                    tasks.create_task(self._send_on(Line(channels, first=first)))

    def finish(self) -> None:
        """Begin no further request."""
        self._finishing.set()

    async def acknowledged(self, more: int) -> None:
        """Return once ``more`` further requests were acknowledged, counted from now."""
        goal = self.acknowledged_so_far + more
        async with self._changed:
            await self._changed.wait_for(lambda: self.acknowledged_so_far >= goal)

    def longest_wait_s(self, since_s: float) -> float:
        """Return the longest time that a request was in the air, of those that were there then or since.

        One that is still without an answer counts with its time so far.

        Units: seconds; ``since_s`` of a monotonic clock.
        """
        now_s = time.monotonic()
        waits = [
            (attempt.ended_s or now_s) - attempt.began_s
            for attempt in self._attempts
            if attempt.ended_s is None or attempt.ended_s > since_s
        ]
        return max(waits, default=0.0)

    async def served_again(self) -> float:
        """Return how long it took, from now, until newcomers were served at every endpoint.

        A newcomer connects, sends a request of each signal and tries again as any sender would:
        calls that were held may be answered while nobody new gets in.

        Units: seconds of a monotonic clock.
        """
        began_s = time.monotonic()
        async with AsyncExitStack() as open_channels, asyncio.TaskGroup() as tasks:
            for endpoint in self._endpoints:
                line = Line([await connect_to(open_channels, endpoint)])
                for signal in Signal:
                    tasks.create_task(self._insist(self.new_record(signal), line))
        return time.monotonic() - began_s

    async def _insist(self, record: Record, line: Line) -> None:
        while not await self._attempt(record, line):
            await self._wait()

    async def _wait(self) -> None:
        await asyncio.sleep(self._rng.uniform(*RETRY_S))

    def new_record(self, signal: Signal | None = None) -> Record:
        """Return a request to be sent, of this signal if one is asked for; it is in ``records``."""
        record = next(record for record in self._fresh if signal in (None, record.signal))
        self.records.append(record)
        return record

    async def _send_on(self, line: Line) -> None:
        while not self._finishing.is_set():
            await self._see_through(self.new_record(), line)
            await self._think()

    async def _think(self) -> None:
        """Pause before the next request; no longer once there is to be none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rng.uniform(0.0, 2 * self.pause_s)):
                await self._finishing.wait()

    async def _see_through(self, record: Record, line: Line) -> None:
        """Send ``record`` until it was acknowledged or is given up, and now and then once more."""
        while not await self._attempt(record, line):
            if self._rng.random() >= RESEND_UNHEARD or record.attempts >= ATTEMPTS_MAX:
                return
            await self._wait()
        if record.acknowledged and self._rng.random() < RESEND_ACKNOWLEDGED:
            await self._attempt(record, line)

    async def _attempt(self, record: Record, line: Line) -> bool:
        """Send once, as ``attempt`` does, and tell who waits for acknowledgements."""
        begun = Attempt(time.monotonic())
        self._attempts.append(begun)
        settled = await attempt(record, line)
        begun.ended_s = time.monotonic()
        if settled and record.failure is None:
            async with self._changed:
                self.acknowledged_so_far += 1
                self._changed.notify_all()
        return settled


async def attempt(record: Record, line: Line, timeout_s: float = TIMEOUT_S) -> bool:
    """Send once and keep book; return whether there was an answer that settles the request."""
    record.attempts += 1
    try:
        await line.send(record, timeout_s)
    except grpc.aio.AioRpcError as error:
        if error.code() in RETRYABLE:
            return False
        record.failure = f"{error.code().name}: {error.details()}"
        return True
    record.acknowledged = True
    return True


async def connect_to(open_channels: AsyncExitStack, endpoint: str) -> grpc.aio.Channel:
    """Return a connection of its own to ``endpoint``, closed with ``open_channels``."""
    channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
    return await open_channels.enter_async_context(channel)
