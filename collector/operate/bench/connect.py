"""Connections of the load: many, and shared out evenly among the daemon's workers.

The kernel assigns a connection to a worker by a hash of its address (SO_REUSEPORT), so eight
connections land six to two often enough to spoil a measurement. Where the workers' process ids are
known, a connection to a worker that has its share already is closed and another one is opened.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio

from collector.operate.bench.processes import client_ports, serving_pid
from collector.rows import Signal

Call = Callable[..., Awaitable[bytes]]

READY_S_MAX = 10.0
ATTEMPTS_PER_CONNECTION = 16
EXPORT_METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]


class Channels:
    """Open channels, each with a connection of its own."""

    def __init__(self, channels: list[grpc.aio.Channel]) -> None:
        self._channels = channels

    @classmethod
    async def open(cls, endpoint: str, connections: int, worker_pids: list[int]) -> Channels:
        """Return ``connections`` ready channels; each worker serves the same number, give or take one.

        Raises:
            TimeoutError: the endpoint did not accept a connection.
            RuntimeError: a worker did not get its share in many attempts.
        """
        share = -(-connections // max(1, len(worker_pids)))
        taken: Counter[int | None] = Counter()
        kept: list[grpc.aio.Channel] = []
        for _ in range(connections * ATTEMPTS_PER_CONNECTION):
            if len(kept) == connections:
                return cls(kept)
            channel, worker = await _connect(endpoint, worker_pids)
            if worker_pids and taken[worker] == share:
                await channel.close()
            else:
                taken[worker] += 1
                kept.append(channel)
        raise RuntimeError(f"connections land unevenly: {dict(taken)}")

    def calls(self, signal: Signal) -> list[Call]:
        """Return one raw export stub per channel: finished bytes in, raw bytes out."""
        return [channel.unary_unary(EXPORT_METHODS[signal]) for channel in self._channels]

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._channels:
            await channel.close()


async def _connect(endpoint: str, worker_pids: list[int]) -> tuple[grpc.aio.Channel, int | None]:
    port = int(endpoint.rsplit(":", 1)[1])
    before = client_ports(port) if worker_pids else set[int]()
    channel = grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
    async with asyncio.timeout(READY_S_MAX):
        await channel.channel_ready()
    if not worker_pids:
        return channel, None
    return channel, serving_pid(client_ports(port) - before, worker_pids)
