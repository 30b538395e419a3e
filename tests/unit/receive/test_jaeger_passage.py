"""receive.jaeger_passage: callers that read nothing, at the door of OTLP, and an API that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self, cast

import grpc
import pytest

from collector.api.questions import TURN_S_MAX
from collector.query.view import ANSWER_S_MAX, END_S_MAX
from collector.receive import jaeger_passage
from collector.receive.grpc_calls import Context
from collector.receive.grpc_server import BESIDE_S_MAX, GrpcServer, longest_call_s
from collector.receive.jaeger_passage import JaegerPassage, longest_reading_s
from collector.settings import ApiSettings, ReceiveSettings, Settings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.unit.receive.test_grpc_server import OPEN, TRACES, FakeExport

STREAM = f"{jaeger_passage.PREFIX}TraceReader/GetTraces"
SHORT = f"{jaeger_passage.PREFIX}TraceReader/GetServices"
MESSAGES, MESSAGE = 100, bytes(100_000)
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 2**16)]
"""A client whose window stays small: what it does not take waits at the server."""
WAIT_S = 30.0


class Api(grpc.GenericRpcHandler):
    """Answers with ten megabytes, or with one byte; the real one has its own tests."""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the handler of a path."""
        answer = [MESSAGE] * MESSAGES if handler_call_details.method == STREAM else [b"1"]

        async def call(_requests: object, context: Context) -> None:
            await context.read()
            for message in answer:
                await context.write(message)

        return grpc.stream_stream_rpc_method_handler(cast("Any", call))


class Rig:
    """A door of OTLP through which an API is asked, and one caller."""

    def __init__(self, folder: Path, *, statement_s_max: float = 60.0) -> None:
        settings = Settings(
            receive=ReceiveSettings(grpc_port=0, http_port=0),
            api=ApiSettings(statement_s_max=statement_s_max),
        )
        path, clock = folder / "read", SystemClock()
        self.api = grpc.aio.server()
        self.api.add_generic_rpc_handlers((Api(),))
        self.api.add_insecure_port(f"unix:{path}")
        self.passage = JaegerPassage(settings, OPEN, path, clock=clock)
        self.export = FakeExport()
        self.server = GrpcServer(
            settings.receive,
            self.export,
            gate=OPEN,
            clock=clock,
            metrics=Metrics(),
            beside=(self.passage,),
            beside_s_max=longest_reading_s(settings),
        )

    async def __aenter__(self) -> Self:
        await self.api.start()
        await self.server.start()
        self.channel = cast(
            "Any", grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}", NARROW)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.export.go_on.set()
        await self.channel.close()
        await self.server.drain(0)
        await self.passage.stop()
        await self.api.stop(None)

    async def stalled(self) -> Any:
        """Return a call that has one message, and takes no other."""
        call = self.channel.unary_stream(STREAM)(b"", timeout=WAIT_S)
        assert await call.read() == MESSAGE
        return call

    async def short(self) -> bytes | grpc.StatusCode:
        """Return a short answer, or the code that its call ends with."""
        try:
            return await self.channel.unary_unary(SHORT)(b"", timeout=WAIT_S)
        except grpc.aio.AioRpcError as error:
            return error.code()

    async def rest_of(self, call: Any) -> grpc.aio.AioRpcError:
        """Take all that a call still has, and return how it fails."""
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("the call did not fail")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A door that waits long for its callers."""
    async with Rig(tmp_path) as running:
        yield running


async def test_a_caller_that_takes_nothing_gives_its_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ``api.statement_s_max``; it hears so behind what it had not taken."""
    monkeypatch.setattr(jaeger_passage, "CALLS_MAX", 1)
    async with Rig(tmp_path, statement_s_max=0.3) as rig:
        call = await rig.stalled()
        assert await rig.short() is grpc.StatusCode.UNAVAILABLE

        async with asyncio.timeout(10):
            while await rig.short() != b"1":
                pass
        failed = await rig.rest_of(call)

    assert failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failed.details() == "nothing of the answer was taken within 0.3 s"


async def test_a_drain_ends_what_is_under_way_and_takes_no_more(rig: Rig) -> None:
    """Both are told to come again."""
    call = await rig.stalled()

    rig.passage.drain()

    assert await rig.short() is grpc.StatusCode.UNAVAILABLE
    failed = await rig.rest_of(call)
    assert failed.code() is grpc.StatusCode.UNAVAILABLE
    assert "google.rpc.retryinfo-bin" in dict(failed.trailing_metadata() or ())


async def test_a_caller_that_takes_nothing_does_not_delay_the_drain_of_ingest(rig: Rig) -> None:
    """A call of OTLP that is here is answered first, however long that takes."""
    await rig.stalled()
    rig.export.go_on.clear()
    export = asyncio.ensure_future(rig.channel.unary_unary(TRACES)(b"", timeout=WAIT_S))
    await rig.export.reading.wait()

    rig.passage.drain()
    drain = asyncio.create_task(rig.server.drain(WAIT_S))
    await asyncio.wait((drain,), timeout=2 * BESIDE_S_MAX)
    assert not drain.done()
    rig.export.go_on.set()

    assert await export == b""
    async with asyncio.timeout(10):
        await drain


@pytest.mark.parametrize("statement_s_max", [0.1, 3_600.0])
def test_an_old_connection_ends_no_call_of_a_reader(statement_s_max: float) -> None:
    """Its grace is longer than what the API may take: to find traces, and then to read them."""
    settings = Settings(api=ApiSettings(statement_s_max=statement_s_max))
    question_s = statement_s_max + ANSWER_S_MAX + END_S_MAX
    server = GrpcServer(
        settings.receive,
        FakeExport(),
        gate=OPEN,
        clock=SystemClock(),
        metrics=Metrics(),
        beside_s_max=longest_reading_s(settings),
    )

    assert server.call_s_max >= settings.receive.read_s_max + TURN_S_MAX + 2 * question_s
    assert server.call_s_max >= longest_call_s(settings.receive)
