"""The listener over a real socket: limits of a call, verdicts on the wire, health, drain."""

from __future__ import annotations

import asyncio
import gc
import resource
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from structlog.testing import capture_logs

from collector.errors import DrainingError, HoldExpiredError, UndecodableError
from collector.receive import grpc_service, health_service, refusal
from collector.receive.auth import Gate
from collector.receive.export import Ack, Export, Read, Transcode
from collector.receive.grpc_server import GrpcServer
from collector.receive.grpc_service import SERVICES
from collector.receive.limits import LISTENERS, connections_below
from collector.receive.status import Verdict
from collector.rows import Signal
from collector.settings import ReceiveSettings, TlsSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.catalogue import raw

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LIMIT = 1024 * 1024

OPEN = Gate(TlsSettings(), None)


class FakeExport(Export):
    """Reads the body and does what the test says; the real one has its own tests."""

    def __init__(self) -> None:
        self.bodies: list[tuple[Signal, bytes]] = []
        self.lefts: list[float | None] = []
        self.verdict: Callable[[], Ack] = Ack
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def export(
        self,
        signal: Signal,
        read: Read,
        *,
        left_s: float | None,
        transcode: Transcode | None = None,
        body_bytes_max: int | None = None,
        connection: str = "",
        credential_id: bytes = b"",
    ) -> Ack:
        """Note what came in and answer."""
        del transcode, body_bytes_max, connection, credential_id
        self.lefts.append(left_s)
        self.reading.set()
        self.bodies.append((signal, await read()))
        await self.go_on.wait()
        return self.verdict()


class Rig:
    """A server with a fake export body, and a channel to it."""

    def __init__(self, server: GrpcServer, export: FakeExport, metrics: Metrics) -> None:
        self.server = server
        self.export = export
        self.metrics = metrics
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")

    async def send(self, body: bytes, method: str = TRACES, **options: Any) -> bytes:
        """Make a unary call, as every sender does."""
        options.setdefault("timeout", 10.0)
        return await self.channel.unary_unary(method, bytes, bytes)(body, **options)

    async def failure(self, call: Any) -> grpc.aio.AioRpcError:
        """Return the status that a call ends with."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return caught.value

    async def first_word(self, call: Any) -> Any:
        """Return the first reply of a call, or the code that it ends with instead."""
        try:
            return await call.read()
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            call.cancel()

    def stream(self, bodies: Iterator[bytes]) -> Any:
        """Make a call with any number of messages, which no sender of OTLP should."""
        return self.channel.stream_unary(TRACES, bytes, bytes)(bodies, timeout=10.0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A listening server with small limits."""
    export, metrics = FakeExport(), Metrics()
    settings = ReceiveSettings(grpc_port=0, http_port=0, request_bytes_max=LIMIT)
    server = GrpcServer(settings, export, gate=OPEN, clock=SystemClock(), metrics=metrics)
    await server.start()
    serving = asyncio.create_task(server.run())
    running = Rig(server, export, metrics)
    yield running
    export.go_on.set()
    await running.channel.close()
    await server.drain(0)
    await serving


def trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Return the trailing metadata as a dictionary."""
    return dict(error.trailing_metadata() or ())


@pytest.mark.parametrize(("service", "signal"), SERVICES.items())
async def test_each_service_has_its_signal(rig: Rig, service: str, signal: Signal) -> None:
    """The raw bytes arrive unchanged, and OK is an empty message."""
    reply = await rig.send(b"body", method=f"/{service}/Export")

    assert reply == b""
    assert rig.export.bodies == [(signal, b"body")]
    assert rig.metrics.requests.values == {(signal, "grpc", "OK"): 1}


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"]
)
async def test_the_size_limit_is_exact(rig: Rig, compression: grpc.Compression) -> None:
    """The limit itself passes; one byte more is refused for good, without RetryInfo."""
    await rig.send(bytes(LIMIT), compression=compression)

    error = await rig.failure(rig.send(bytes(LIMIT + 1), compression=compression))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not trailers(error)
    assert [len(body) for _, body in rig.export.bodies] == [LIMIT]


async def test_a_call_that_ends_under_its_reader_is_counted_as_cancelled(rig: Rig) -> None:
    """A sender that is gone and a body that core refused look alike; neither is our error."""
    with capture_logs() as logged:
        await rig.failure(rig.send(bytes(LIMIT + 1)))
        await rig.server.drain(5.0)  # the handler has ended by then

    assert rig.metrics.requests.values == {("traces", "grpc", "CANCELLED"): 1}
    assert logged == []


@pytest.mark.parametrize("bodies", [[], [b"a", b"b"]], ids=["none", "two"])
async def test_a_call_holds_exactly_one_message(rig: Rig, bodies: list[bytes]) -> None:
    """Anything else breaks the protocol, and nothing of it is taken."""
    error = await rig.failure(rig.stream(iter(bodies)))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not rig.export.bodies


async def test_headers_are_bounded(rig: Rig) -> None:
    """15 KiB pass, 17 KiB do not."""
    await rig.send(b"", metadata=[("x-note", "n" * 15_000)])

    error = await rig.failure(rig.send(b"", metadata=[("x-note", "n" * 17_000)]))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_headers_are_bounded_for_those_who_ignore_settings_too(rig: Rig) -> None:
    """Core takes 16 MiB from them; the body is not read."""
    headers = raw.call_headers(_path=TRACES.encode())
    for size, code in ((15_000, 0), (17_000, 8), (1_000_000, 8)):
        sent = raw.in_frames(headers + raw.header("x-note", b"n" * size)) + raw.data(
            raw.message(b"")
        )

        end = await asyncio.to_thread(raw.call, rig.server.port, sent, acknowledge=False)

        assert end.status == code
    assert len(rig.export.bodies) == 1


async def test_an_unknown_method_is_unimplemented(rig: Rig) -> None:
    """So is a known service with another method."""
    error = await rig.failure(rig.send(b"", method=TRACES.replace("Export", "Import")))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_path_that_is_no_text_costs_no_other_call(rig: Rig) -> None:
    """Even though gRPC gives up its server there: calls that are here are answered, others served."""
    rig.export.go_on.clear()
    held = asyncio.create_task(rig.send(b"held"))
    await rig.export.reading.wait()
    bad = raw.open_call(raw.call_headers(_path=TRACES.encode() + b"\xff")) + raw.data(b"")
    health = "/grpc.health.v1.Health/Check"
    options = [("grpc.use_local_subchannel_pool", 1)]

    with capture_logs() as logged:
        for _ in range(3):
            await asyncio.to_thread(raw.call, rig.server.port, bad)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.server.port}", options) as other:
                check = other.unary_unary(health, bytes, bytes)
                assert await check(b"", timeout=10.0, wait_for_ready=True) == b"\x08\x01"
        rig.export.go_on.set()

    assert await held == b""
    told = [line for line in logged if line["event"].startswith("gRPC gave up its server")]
    assert [line["cause"] for line in told] == ["UnicodeDecodeError"]


async def test_the_deadline_of_the_sender_reaches_the_export_body(rig: Rig) -> None:
    """None when there is none; what is left of it otherwise."""
    await rig.send(b"", timeout=None)
    await rig.send(b"", timeout=5.0)

    none, left = rig.export.lefts
    assert none is None
    assert left == pytest.approx(5.0, abs=0.5)


async def test_a_refusal_carries_retry_info_in_both_trailers(rig: Rig) -> None:
    """Over the wire, as a Python SDK and a Go collector will read them."""

    def refuse() -> Ack:
        raise DrainingError

    rig.export.verdict = refuse
    error = await rig.failure(rig.send(b"body", timeout=1.0))

    info = error_details_pb2.RetryInfo.FromString(trailers(error)["google.rpc.retryinfo-bin"])
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "grpc-status-details-bin" in trailers(error)
    assert 0.3 < info.retry_delay.ToMilliseconds() / 1000 <= 0.6  # half of what is left
    await rig.server.drain(5.0)  # the handler, which counts after the reply, has ended by then
    assert rig.metrics.refusals.values == {("traces", "draining"): 1}


async def test_a_rejection_carries_no_retry_info(rig: Rig) -> None:
    """The code alone tells the sender to give up."""

    def reject() -> Ack:
        raise UndecodableError("traces")

    rig.export.verdict = reject
    error = await rig.failure(rig.send(b"body"))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not trailers(error)


async def test_a_bug_of_ours_leaks_nothing_and_is_retryable(rig: Rig) -> None:
    """No class name, no text; the log has it once."""

    def fail() -> Ack:
        raise ZeroDivisionError("SELECT secret FROM dsn")

    rig.export.verdict = fail
    with capture_logs() as logged:
        error = await rig.failure(rig.send(b"body"))
        await rig.server.drain(5.0)  # the handler, which logs after the reply, has ended by then

    said = f"{error.details()} {error.trailing_metadata()}"
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "SELECT" not in said
    assert "ZeroDivision" not in said
    bug, refusal = logged
    assert isinstance(bug["exc_info"], ZeroDivisionError)
    assert (refusal["event"], refusal["cause"]) == ("request refused", "internal")


async def test_a_bug_that_every_request_meets_is_one_traceback(rig: Rig) -> None:
    """A sender that found it cannot fill the disk with it; another bug is told as well."""
    bugs: list[Exception] = [ZeroDivisionError(), ZeroDivisionError(), KeyError()]

    def fail() -> Ack:
        raise bugs[len(rig.export.bodies) - 1]

    rig.export.verdict = fail
    with capture_logs() as logged:
        for _ in bugs:
            await rig.failure(rig.send(b"body"))
        await rig.server.drain(5.0)

    told = [line for line in logged if line["event"] == "request failed by our own fault"]
    assert [(line["log_level"], type(line["exc_info"])) for line in told] == [
        ("error", ZeroDivisionError),
        ("error", KeyError),
    ]


@pytest.mark.parametrize(
    ("method", "response", "field"),
    [
        (TRACES, trace_service_pb2.ExportTraceServiceResponse, "rejected_spans"),
        (
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            metrics_service_pb2.ExportMetricsServiceResponse,
            "rejected_data_points",
        ),
        (
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            logs_service_pb2.ExportLogsServiceResponse,
            "rejected_log_records",
        ),
    ],
    ids=["traces", "metrics", "logs"],
)
async def test_partial_success_is_told_in_the_signals_own_response(
    rig: Rig, method: str, response: Any, field: str
) -> None:
    """The count of rejected items and the message arrive under the official field names."""
    rig.export.verdict = lambda: Ack(2, "2 items cannot be stored (nul)")

    reply = response.FromString(await rig.send(b"body", method=method))

    assert getattr(reply.partial_success, field) == 2
    assert reply.partial_success.error_message == "2 items cannot be stored (nul)"


async def test_a_sender_that_leaves_cancels_its_call(rig: Rig) -> None:
    """The handler hears of it, and the counters too; a drain need not wait for it."""
    rig.export.go_on.clear()
    call = asyncio.create_task(rig.send(b"body"))
    await rig.export.reading.wait()

    call.cancel()
    await asyncio.wait((call,))
    await rig.server.drain(30.0)

    assert rig.metrics.requests.values == {("traces", "grpc", "CANCELLED"): 1}


async def test_connections_leave_descriptors_for_the_rest(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is closed at once, and its sender may come when another has gone."""

    def room_for_three_connections(_kind: int) -> tuple[int, int]:
        return 6 * LISTENERS, 6 * LISTENERS

    monkeypatch.setattr(resource, "getrlimit", room_for_three_connections)
    server = GrpcServer(
        ReceiveSettings(grpc_port=0, http_port=0),
        rig.export,
        gate=OPEN,
        clock=SystemClock(),
        metrics=rig.metrics,
    )
    await server.start()
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
    said = [await reader.read(1) for reader, _ in idle]

    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        reply = await channel.unary_unary(TRACES, bytes, bytes)(
            b"body", timeout=10.0, wait_for_ready=True
        )

    await server.drain(0)
    assert [len(first) for first in said] == [1, 1, 1, 0]
    assert reply == b""


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(64, 32), (256, 128), (1024, 896), (-1, 1_000_000)]
)
def test_half_of_a_low_limit_is_for_connections(descriptors: int, connections: int) -> None:
    """All but 128 of a usual one; without a limit a number that nobody reaches."""
    assert connections_below(descriptors) == connections


# -- health and drain ----------------------------------------------------------------------------


def check(rig: Rig, service: str) -> Any:
    """Ask the health service about ``service``."""
    return rig.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service=service), timeout=5.0)


async def test_health_is_serving_for_the_server_and_each_service(rig: Rig) -> None:
    """Another name is NOT_FOUND, as the protocol says."""
    for service in ("", *SERVICES):
        assert (await check(rig, service)).status == health_pb2.HealthCheckResponse.SERVING

    error = await rig.failure(check(rig, "nobody"))

    assert error.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "body", [b"", b"\n\x7f", bytes(2**16), b"\n\xff\xff\x03" + b"a" * 65535], ids=len
)
@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_health_request_is_small_or_refused(rig: Rig, method: str, body: bytes) -> None:
    """Nobody's name is that long, and a watch would hold it for as long as it lasts."""
    call = rig.channel.unary_stream(f"/grpc.health.v1.Health/{method}", bytes, bytes)

    heard = await rig.first_word(call(body, timeout=10.0))

    expected = grpc.StatusCode.INVALID_ARGUMENT if body else b"\x08\x01"
    assert heard == expected


async def test_a_large_health_request_is_forgotten_at_once(rig: Rig) -> None:
    """Not when the garbage collector comes by: twenty would be the memory of a busy worker."""
    call = rig.channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
    body = bytes(LIMIT)
    await rig.failure(call(body, timeout=10.0))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(20):
            await rig.failure(call(body, timeout=10.0))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()

    assert kept < 4 * LIMIT


async def test_health_requests_without_a_message_do_not_silence_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are given up in time, and hold no more than their connection's share until then."""
    monkeypatch.setattr(health_service, "READ_S_MAX", 0.2)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.server.port}", options) as other:
        silent = other.stream_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        calls = [silent(timeout=30.0) for _ in range(20)]
        first = await rig.failure(calls[0])

        assert (await check(rig, "")).status == health_pb2.HealthCheckResponse.SERVING
        errors = [first, *[await rig.failure(call) for call in calls[1:]]]

    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}


async def test_a_drain_answers_the_calls_that_are_here_and_takes_no_new_ones(rig: Rig) -> None:
    """The open call gets its OK; a watch hears NOT_SERVING and ends; the next call is refused."""
    watch = rig.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service=""), timeout=30.0)
    said: list[Any] = [await watch.read()]
    rig.export.go_on.clear()
    call = asyncio.create_task(rig.send(b"body"))
    await rig.export.reading.wait()

    drain = asyncio.create_task(rig.server.drain(30.0))
    said.append(await watch.read())
    end = await watch.read()
    late = await rig.failure(rig.send(b"late", wait_for_ready=False, timeout=5.0))
    rig.export.go_on.set()

    assert await call == b""
    await drain
    assert [answer.status for answer in said] == [
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    ]
    assert end is grpc.aio.EOF
    assert late.code() is grpc.StatusCode.UNAVAILABLE
    assert [body for _, body in rig.export.bodies] == [b"body"]


async def test_draining_twice_or_before_start_is_harmless() -> None:
    """The order of calls at a failed start is nobody's worry."""
    server = GrpcServer(
        ReceiveSettings(grpc_port=0, http_port=0),
        FakeExport(),
        gate=OPEN,
        clock=SystemClock(),
        metrics=Metrics(),
    )
    await server.drain(0)
    await server.start()
    await server.drain(0)
    await server.drain(0)

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_refusal_keeps_nothing_of_its_request(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time the refusal is sent, the converted request is gone from memory."""

    class Converted:
        """Stands for a converted request: something large that the export body holds."""

    converted: list[weakref.ref[Converted]] = []
    alive: list[bool] = []

    def refuse() -> Ack:
        request = Converted()
        converted.append(weakref.ref(request))
        raise HoldExpiredError(1.0)

    def note(verdict: Verdict, left_s: float | None) -> tuple[tuple[str, bytes], ...]:
        alive.append(converted[0]() is not None)
        return refusal.to_trailers(verdict, left_s)

    rig.export.verdict = refuse
    monkeypatch.setattr(grpc_service, "to_trailers", note)

    error = await rig.failure(rig.send(b"body"))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert alive == [False]


async def test_drains_at_the_same_time_end_the_server_once() -> None:
    """Also where the grace of all is over at once: gRPC itself frees its server under the others."""
    for _ in range(20):
        settings = ReceiveSettings(grpc_port=0, http_port=0)
        server = GrpcServer(
            settings, FakeExport(), gate=OPEN, clock=SystemClock(), metrics=Metrics()
        )
        await server.start()

        await asyncio.gather(*(server.drain(grace_s) for grace_s in (0.01, 0.01, 0, 0)))

        await server.drain(30.0)  # there is nothing left to end
