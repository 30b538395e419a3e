"""A path that is no text ends gRPC's server: how often, how many at once, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest

from collector.receive import grpc_listener, limits, replacements
from collector.receive.grpc_listener import RETIRING_MAX
from collector.receive.grpc_server import GrpcServer
from collector.receive.replacements import CALM_S, PAUSE_S, PAUSE_S_MAX, Pauses
from collector.settings import ReceiveSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.catalogue import raw
from tests.unit.receive.test_grpc_server import OPEN, TRACES, FakeExport

PATH = b"/sender's text \xff"
BAD = raw.open_call(raw.call_headers(_path=PATH)) + raw.data(b"")
WAIT_S = 10.0
CUT = grpc.StatusCode.UNAVAILABLE


class Gate(GrpcServer):
    """A server whose replacements begin to listen when the test says so."""

    def __init__(self) -> None:
        self.export = FakeExport()
        super().__init__(
            ReceiveSettings(grpc_port=0, http_port=0),
            self.export,
            gate=OPEN,
            clock=SystemClock(),
            metrics=Metrics(),
        )
        self.serving: asyncio.Task[None]
        self.starts = 0
        self.starting = asyncio.Event()
        self.listens = asyncio.Event()
        self.pausing = asyncio.Event()
        self.shortened = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()

    async def start(self) -> None:
        """Listen, once that is allowed."""
        self.starts += 1
        self.starting.set()
        await self.may_start.wait()
        await super().start()
        self.listens.set()

    async def _pause(self, pause_s: float) -> None:
        self.pausing.set()
        await super()._pause(pause_s)

    async def _shorten(self, count: int) -> None:
        await super()._shorten(count)
        self.shortened.set()

    async def give_up(self) -> None:
        """Make the call that ends gRPC's server, and return when its successor is about to listen."""
        self.starting.clear()
        await asyncio.to_thread(raw.call, self.port, BAD)
        async with asyncio.timeout(WAIT_S):
            await self.starting.wait()

    def call(self) -> tuple[grpc.aio.Channel, asyncio.Task[bytes]]:
        """Make a call on a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options)

        async def send() -> bytes:
            return await channel.unary_unary(TRACES, bytes, bytes)(
                b"body", timeout=60.0, wait_for_ready=True
            )

        return channel, asyncio.create_task(send())

    async def held_call(self) -> tuple[grpc.aio.Channel, asyncio.Task[bytes]]:
        """Make a call that is not answered before ``export.go_on``."""
        self.export.go_on.clear()
        self.export.reading.clear()
        made = self.call()
        async with asyncio.timeout(WAIT_S):
            await self.export.reading.wait()
        return made


@pytest.fixture
async def server() -> AsyncIterator[Gate]:
    """A server that runs."""
    running = Gate()
    await running.start()
    running.serving = asyncio.create_task(running.run())
    yield running
    running.may_start.set()
    running.export.go_on.set()
    await running.drain(0)
    await running.serving


def test_pauses_grow_while_servers_end_often_and_begin_anew_after_a_calm() -> None:
    """Connections hear GOAWAY no more often than that."""
    pauses = Pauses()

    row = [pauses.after(0.1) for _ in range(8)]

    assert row == [0.0, PAUSE_S, 0.2, 0.4, 0.8, 1.6, PAUSE_S_MAX, PAUSE_S_MAX]
    assert [pauses.after(CALM_S), pauses.after(CALM_S - 1)] == [0.0, PAUSE_S]


async def test_servers_that_were_given_up_are_bounded(
    server: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is cut, its call retryably; the calls of the others are answered."""
    monkeypatch.setattr(replacements, "PAUSE_S_MAX", PAUSE_S)
    calls: list[tuple[grpc.aio.Channel, asyncio.Task[bytes]]] = []
    alive: list[int] = []
    for _ in range(RETIRING_MAX + 2):
        calls.append(await server.held_call())
        await server.give_up()
        alive.append(server.retiring)
    server.export.go_on.set()

    ends = await asyncio.gather(*(call for _, call in calls), return_exceptions=True)

    assert alive == [1, 2, 3, 4, 4, 4]
    cut, answered = ends[:2], ends[2:]
    assert [isinstance(end, grpc.aio.AioRpcError) and end.code() for end in cut] == [CUT, CUT]
    assert answered == [b""] * RETIRING_MAX
    for channel, _ in calls:
        await channel.close()


async def test_a_server_that_was_given_up_makes_room_where_descriptors_run_short(
    server: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections are beside those of its successor, which has a quota of its own."""
    channel, call = await server.held_call()
    await server.give_up()
    assert not call.done()
    used = psutil.Process().num_fds()

    def hardly_any_left(_kind: int) -> tuple[int, int]:
        return used + 2, used + 2

    server.shortened.clear()
    monkeypatch.setattr(resource, "getrlimit", hardly_any_left)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        await server.shortened.wait()  # the caller may hear of the end before it is over here

    assert caught.value.code() is CUT
    assert server.retiring == 0
    await channel.close()


@pytest.mark.parametrize(("limit", "are_short"), [(64, True), (10**6, False), (-1, False)])
def test_descriptors_are_short_when_half_of_what_is_kept_is_gone(
    limit: int, are_short: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With no limit they never are."""
    held = [(tmp_path / str(number)).open("w") for number in range(64)]

    def getrlimit(_kind: int) -> tuple[int, int]:
        return limit, limit

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    assert limits.descriptors_are_short() is are_short
    for file in held:
        file.close()


async def test_a_drain_stops_the_server_that_is_about_to_listen(server: Gate) -> None:
    """It waits for it: one that began to listen behind the drain would never end."""
    server.may_start.clear()
    server.listens.clear()
    await server.give_up()

    drain = asyncio.create_task(server.drain(0))
    await asyncio.wait((drain,), timeout=grpc_listener.LOOK_S)
    server.may_start.set()
    async with asyncio.timeout(WAIT_S):
        await server.listens.wait()
        await drain

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_drain_in_a_pause_ends_it(server: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing begins to listen afterwards."""
    monkeypatch.setattr(replacements, "PAUSE_S", 3_600.0)
    monkeypatch.setattr(replacements, "PAUSE_S_MAX", 3_600.0)
    await server.give_up()
    channel, call = server.call()
    assert await call == b""
    server.pausing.clear()
    await asyncio.to_thread(raw.call, server.port, BAD)

    async with asyncio.timeout(WAIT_S):
        await server.pausing.wait()
        await server.drain(0)
        await server.serving

    assert server.starts == 2
    await channel.close()


async def test_nothing_that_a_sender_wrote_is_in_the_log(
    server: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what asyncio says of grpc.aio's task, nor what grpc.aio says of its error."""
    await server.give_up()

    assert not [record for record in caplog.records if record.name.startswith(("asyncio", "grpc"))]
    assert "text" not in caplog.text
    assert "decode" not in caplog.text


def test_other_errors_of_asyncio_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Of the same kind, but not out of grpc.aio's loop."""
    replacements.keep_paths_out_of_the_log()
    try:
        b"\xff".decode()
    except UnicodeDecodeError:
        logging.getLogger("asyncio").exception("a task failed")
    logging.getLogger("asyncio").error("another one")

    assert [record.msg for record in caplog.records] == ["a task failed", "another one"]
