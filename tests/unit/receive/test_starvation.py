"""Calls without a body, over a real socket: what one connection can take from the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest

from collector.buffer.budget import ByteBudget
from collector.buffer.queue import BoundedQueue
from collector.convert.request import Converter
from collector.receive.auth import Gate
from collector.receive.export import Export
from collector.receive.grpc_server import GrpcServer
from collector.receive.turns import Turns
from collector.rows import Signal
from collector.settings import ConvertSettings, ReceiveSettings, TlsSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

OPEN = Gate(TlsSettings(), None)


async def never() -> AsyncGenerator[bytes]:
    """Keep the call open and send nothing."""
    await asyncio.Event().wait()
    yield b""


class Rig:
    """A listening server with few slots and all the patience in the world."""

    def __init__(self) -> None:
        settings = ReceiveSettings(
            grpc_port=0,
            http_port=0,
            request_bytes_max=2**20,
            json_bytes_max=2**20,
            slots=4,
            slots_per_connection=3,
            slot_wait_s_max=60.0,
            read_s_max=300.0,
        )
        self.probe = TestProbe()
        export = Export(
            settings=settings,
            converter=Converter(ConvertSettings(), retention_s=86_400),
            queues={signal: BoundedQueue(1000, ByteBudget(2**20)) for signal in Signal},
            clock=SystemClock(),
            metrics=Metrics(),
            probe=self.probe,
            turns=Turns(SystemClock()),
        )
        self.server = GrpcServer(
            settings, export, gate=OPEN, clock=SystemClock(), metrics=Metrics()
        )

    def channel(self) -> grpc.aio.Channel:
        """Return a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", options=options)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A running server."""
    running = Rig()
    await running.server.start()
    yield running
    await running.server.drain(0)


def open_calls(channel: grpc.aio.Channel, count: int) -> list[Any]:
    """Open calls whose bodies never come."""
    call = channel.stream_unary(TRACES, bytes, bytes)
    return [call(never(), timeout=300.0) for _ in range(count)]


async def test_calls_without_a_body_leave_a_slot_to_other_connections(rig: Rig) -> None:
    """One connection waits for 50 bodies that never come; another one's call is served at once."""
    async with rig.channel() as silent, rig.channel() as honest:
        calls = open_calls(silent, 50)
        await rig.probe.reached("receive.slot_taken", 3)

        reply = await honest.unary_unary(TRACES, bytes, bytes)(b"", timeout=10.0)

        assert reply == b""
        assert rig.probe.counts["receive.slot_taken"] == 4
        for call in calls:
            call.cancel()


async def test_a_connection_gets_its_share_back_when_its_calls_end(rig: Rig) -> None:
    """By the sender's leaving, here: its next call is served as if nothing had been."""
    async with rig.channel() as channel:
        for call in open_calls(channel, 50):
            call.cancel()
        calls = open_calls(channel, 3)
        await rig.probe.reached("receive.slot_taken", 3)
        for call in calls:
            call.cancel()

        assert await channel.unary_unary(TRACES, bytes, bytes)(b"", timeout=10.0) == b""
