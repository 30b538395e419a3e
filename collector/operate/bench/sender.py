"""The process that sends a load: prepared bytes over gRPC or HTTP, and the times until OK.

It runs apart from the command, so that its CPU seconds can be told from the daemon's, and it keeps
the load between orders, so that the same requests can be sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import ceil, inf
from multiprocessing.connection import Connection
from time import perf_counter

from collector.operate.access import Access
from collector.operate.bench.connect import AnyLine, Outcome, open_lines, places
from collector.operate.bench.load import LoadPlan
from collector.operate.bench.orders import obey_orders
from collector.operate.verify.options import Protocol
from collector.rows import Signal

CALL_S_MAX = 30.0
REFUSED_PAUSE_S = 0.05
"""Pause before a refused request is sent again; a real sender would wait longer."""


@dataclass(frozen=True, slots=True)
class Build:
    """Build the requests of ``plan`` and forget the ones before."""

    plan: LoadPlan


@dataclass(frozen=True, slots=True)
class Connect:
    """Open ``connections``, evenly over ``worker_pids`` when these are known."""

    endpoint: str
    connections: int
    worker_pids: list[int]
    access: Access | None = None
    """How to get in; None: in clear and anonymous."""
    protocol: Protocol = Protocol.GRPC


@dataclass(frozen=True, slots=True)
class Send:
    """Send requests ``[start, stop)``, or the first of them that fit into ``seconds``.

    ``rate`` is requests per second in an open loop (latency counts from the moment a request was
    due); None is a closed loop, in which the next goes out as soon as one of ``in_flight`` is back.
    """

    start: int
    stop: int
    in_flight: int
    rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Send requests ``[start, stop)`` over and over for ``seconds``, whatever is answered."""

    start: int
    stop: int
    in_flight: int
    seconds: float
    timeout_s: float


Order = Build | Connect | Send | Push


@dataclass(frozen=True, slots=True)
class Sent:
    """What one order did. ``failed`` replies are neither OK nor retryable."""

    requests: int
    seconds: float
    refused: int
    failed: int
    latencies_ms: list[float]

    def percentile_ms(self, share: float) -> float | None:
        """Return the latency that ``share`` of the acknowledged requests did not exceed."""
        if not self.latencies_ms:
            return None
        ordered = sorted(self.latencies_ms)
        return ordered[max(0, ceil(share * len(ordered)) - 1)]


class Sender:
    """The state between orders: the load and the open lines."""

    def __init__(self) -> None:
        self._signal = Signal.TRACES
        self._requests: list[bytes] = []
        self._lines: list[AnyLine] = []

    async def obey(self, order: Order) -> Sent | int:
        """Carry out ``order``; what it did, or how many requests or connections there are now."""
        match order:
            case Build():
                self._signal = order.plan.signal
                self._requests = order.plan.requests()
                return len(self._requests)
            case Connect():
                await self.close()
                self._lines = await open_lines(
                    order.endpoint,
                    order.connections,
                    order.worker_pids,
                    order.access,
                    order.protocol,
                )
                return order.connections
            case Send():
                run = _Run(self._lines, self._signal, CALL_S_MAX)
                requests = self._requests[order.start : order.stop]
                if order.rate is None:
                    return await run.closed_loop(requests, order.in_flight, order.seconds)
                return await run.open_loop(requests, order.rate, order.in_flight)
            case Push():
                run = _Run(self._lines, self._signal, order.timeout_s)
                return await run.push(
                    self._requests[order.start : order.stop], order.in_flight, order.seconds
                )

    async def close(self) -> None:
        """Close the lines."""
        for line in self._lines:
            line.close()
        self._lines = []


class _Run:
    """One measurement: the counts and latencies that end up in ``Sent``."""

    def __init__(self, lines: list[AnyLine], signal: Signal, timeout_s: float) -> None:
        self._lines = lines
        self._head = lines[0].head(signal, timeout_s)
        self._refused = 0
        self._failed = 0
        self._latencies_ms: list[float] = []

    async def closed_loop(
        self, requests: list[bytes], in_flight: int, seconds: float | None
    ) -> Sent:
        """Keep ``in_flight`` requests open until all, or all begun in time, were acknowledged.

        The list is begun in its order, so what was sent is always its first part.
        """
        waiting = iter(requests)
        end = perf_counter() + (inf if seconds is None else seconds)

        async def one_after_another(line: AnyLine) -> None:
            while perf_counter() < end and (request := next(waiting, None)) is not None:
                await self._until_acknowledged(line, request, perf_counter())

        return await self._timed(in_flight, one_after_another)

    async def open_loop(self, requests: list[bytes], rate: float, in_flight: int) -> Sent:
        """Send a request every ``1 / rate`` seconds, whether or not earlier ones are back."""
        begin = perf_counter()
        free: asyncio.Queue[AnyLine] = asyncio.Queue()
        for line in places(self._lines, in_flight):
            free.put_nowait(line)

        async def one(number: int, due: float) -> None:
            line = await free.get()
            await self._until_acknowledged(line, requests[number], due)
            free.put_nowait(line)

        async with asyncio.TaskGroup() as tasks:
            for number in range(len(requests)):
                due = begin + number / rate
                await asyncio.sleep(max(0.0, due - perf_counter()))
                tasks.create_task(one(number, due))
        return self._sent(begin)

    async def push(self, requests: list[bytes], in_flight: int, seconds: float) -> Sent:
        """Send without end and without a second look at the answer, until time is up."""
        end = perf_counter() + seconds
        endless = _cycle(requests)

        async def one_after_another(line: AnyLine) -> None:
            while perf_counter() < end:
                if not await self._acknowledged(line, next(endless)):
                    await asyncio.sleep(REFUSED_PAUSE_S)

        return await self._timed(in_flight, one_after_another)

    async def _timed(self, in_flight: int, body: Callable[[AnyLine], Awaitable[None]]) -> Sent:
        begin = perf_counter()
        await asyncio.gather(*(body(line) for line in places(self._lines, in_flight)))
        return self._sent(begin)

    def _sent(self, begin: float) -> Sent:
        return Sent(
            requests=len(self._latencies_ms),
            seconds=perf_counter() - begin,
            refused=self._refused,
            failed=self._failed,
            latencies_ms=self._latencies_ms,
        )

    async def _until_acknowledged(self, line: AnyLine, request: bytes, since: float) -> None:
        while True:
            if await self._acknowledged(line, request, since):
                return
            await asyncio.sleep(REFUSED_PAUSE_S)

    async def _acknowledged(
        self, line: AnyLine, request: bytes, since: float | None = None
    ) -> bool:
        begin = perf_counter() if since is None else since
        try:
            outcome = await line.export(self._head, request)
        except OSError:
            outcome = Outcome.REFUSED
        match outcome:
            case Outcome.OK:
                self._latencies_ms.append((perf_counter() - begin) * 1_000)
            case Outcome.REFUSED:
                self._refused += 1
            case Outcome.FAILED:
                self._failed += 1
        return outcome is not Outcome.REFUSED


def _cycle(requests: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def main(orders: Connection) -> None:
    """Obey orders from the other end until it goes away."""
    sender = Sender()
    obey_orders(orders, sender.obey, sender.close)
