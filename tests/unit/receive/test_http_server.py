"""The HTTP listener over a real socket: paths, forms of a body, verdicts, connections, drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import http.client
import json
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, cast

import pytest
from google.rpc import status_pb2
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.errors import (
    HoldExpiredError,
    OtlpgError,
    QueueFullError,
    TooManyItemsError,
    UnauthenticatedError,
    UndecodableError,
)
from collector.receive import http_protocol
from collector.receive.auth import Gate
from collector.receive.export import Ack, Export, Read, Transcode
from collector.receive.http_server import HttpServer
from collector.receive.http_service import JSON, PROTOBUF
from collector.receive.turns import Turns
from collector.rows import Signal
from collector.settings import ReceiveSettings, TlsSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics

LIMIT, JSON_LIMIT = 1024 * 1024, 64 * 1024
WAIT_S = 10.0
LINGERS_S = http_protocol.LINGER_S_MAX

OPEN = Gate(TlsSettings(), None)


class FakeExport(Export):
    """Reads the body and does what the test says; the real one has its own tests."""

    def __init__(self) -> None:
        self.bodies: list[tuple[Signal, bytes]] = []
        self.connections: list[str] = []
        self.verdict: Callable[[], Ack] = Ack
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.cancelled = asyncio.Event()

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
        del body_bytes_max, credential_id
        assert left_s is None
        self.connections.append(connection)
        body = await read()
        self.bodies.append((signal, await transcode(body) if transcode else body))
        self.held.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.verdict()

    def fail_with(self, error: Exception) -> None:
        """Let every request end with ``error``."""

        def verdict() -> Ack:
            raise error

        self.verdict = verdict


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection on which a test writes what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Line:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(
        self,
        path: str = "/v1/traces",
        body: bytes = b"",
        *,
        method: str = "POST",
        content_type: str | None = PROTOBUF,
        **headers: str,
    ) -> Reply:
        """Send one request and read its answer."""
        self.write(path, body, method=method, content_type=content_type, **headers)
        return await self.reply(has_body=method != "HEAD")

    def write(
        self,
        path: str = "/v1/traces",
        body: bytes = b"",
        *,
        method: str = "POST",
        content_type: str | None = PROTOBUF,
        **headers: str,
    ) -> None:
        """Send one request."""
        lines = [f"{method} {path} HTTP/1.1", "host: x"]
        headers.setdefault("content_length", str(len(body)))
        if content_type is not None:
            lines.append(f"content-type: {content_type}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def reply(self, *, has_body: bool = True) -> Reply:
        """Read one answer."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *rest = head.decode().strip().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in rest)
            }
            size = int(headers.get("content-length", "0")) if has_body else 0
            body = await self.reader.readexactly(size)
        return Reply(int(first.split()[1]), headers, body)

    async def send_for_ever(self) -> None:
        """Send whatever the other end takes; raise ConnectionError when it takes no more."""
        while True:
            self.writer.write(bytes(2**16))
            await self.writer.drain()

    async def is_closed(self) -> bool:
        """Wait for the other end to close."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


class Rig:
    """A listener with a fake export body behind it."""

    def __init__(self, settings: ReceiveSettings) -> None:
        self.export = FakeExport()
        self.metrics = Metrics()
        self.server = HttpServer(
            settings,
            self.export,
            gate=OPEN,
            items_max=1_000,
            clock=SystemClock(),
            metrics=self.metrics,
            turns=Turns(SystemClock()),
        )
        self._lines: list[Line] = []
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""
        self.server.bind()
        self._running = asyncio.create_task(self.server.run())
        await self.server.listening()

    async def line(self) -> Line:
        """Open a connection."""
        line = await Line.to(self.server.port)
        self._lines.append(line)
        return line

    async def ask(self, *args: Any, **options: Any) -> Reply:
        """Send one request on a connection of its own."""
        return await (await self.line()).ask(*args, **options)

    async def stop(self) -> None:
        """Stop at once."""
        self.export.go_on.set()
        for line in self._lines:
            line.writer.close()
        await self.server.drain(0)
        assert self._running is not None
        await self._running


def settings(**changes: object) -> ReceiveSettings:
    """Return settings with small limits."""
    small = {"http_port": 0, "request_bytes_max": LIMIT, "json_bytes_max": JSON_LIMIT}
    return ReceiveSettings.model_validate({**small, **changes})


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A listener with small limits."""
    running = Rig(settings())
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_each_path_has_its_signal(rig: Rig, signal: Signal, slash: str) -> None:
    """The bytes arrive unchanged; OK has no byte, like the empty message that it is."""
    reply = await rig.ask(f"/v1/{signal}{slash}?x=1", b"body")

    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"] == PROTOBUF
    assert rig.export.bodies == [(signal, b"body")]
    assert rig.metrics.requests.values == {(signal, "http", "OK"): 1}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://x/v1/traces", 200),
        ("HTTPS://collector.example:4318/v1/traces/?x=http://y/", 200),
        ("http://x", 404),
        ("http://x/http://x/v1/traces", 404),
        ("ftp://x/v1/traces", 404),
        ("/http://x/v1/traces", 404),
    ],
)
async def test_a_target_may_name_scheme_and_host(rig: Rig, target: str, status: int) -> None:
    """As senders write it that take us for their proxy.

    Spec: RFC 9112, section 3.2.2: a server MUST accept the absolute-form.
    """
    reply = await rig.ask(target, b"body")

    assert reply.status == status
    assert [body for _, body in rig.export.bodies] == ([b"body"] if status == 200 else [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/traces", 405),
        ("PUT", "/v1/traces", 405),
        ("HEAD", "/v1/traces", 405),
        ("OPTIONS", "/v1/traces", 405),
        ("POST", "//v1/traces", 404),
        ("POST", "/V1/Traces", 404),
        ("POST", "/v1/traces//", 404),
        ("POST", "/v1/profiles", 404),
        ("POST", "/", 404),
        ("POST", "/v1/../v1/traces", 404),
        ("POST", "/v1%2ftraces/x", 404),
    ],
)
async def test_nothing_else_is_there_and_nothing_redirects(
    rig: Rig, method: str, path: str, status: int
) -> None:
    """A redirect would be the silent end of the data of some SDKs."""
    reply = await rig.ask(path, method=method)

    assert reply.status == status
    assert "location" not in reply.headers
    assert reply.headers["content-type"] == PROTOBUF
    if method != "HEAD":
        assert status_pb2.Status.FromString(reply.body).code == 12  # UNIMPLEMENTED
    assert not rig.export.bodies


async def test_json_is_transcoded_and_answered_in_json(rig: Rig) -> None:
    """The export body sees protobuf only."""
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a", "kind": 2}]}]}]}

    reply = await rig.ask(
        "/v1/traces", json.dumps(document).encode(), content_type="application/json; charset=UTF-8"
    )

    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.headers["content-type"] == JSON
    ((_, wire),) = rig.export.bodies
    assert (
        ExportTraceServiceRequest.FromString(wire).resource_spans[0].scope_spans[0].spans[0].kind
        == 2
    )


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
async def test_a_partial_success_is_told_in_the_form_of_the_request(
    rig: Rig, content_type: str
) -> None:
    """64-bit numbers are strings in JSON."""
    rig.export.verdict = lambda: Ack(rejected=3, message="three are broken")
    body = b"{}" if content_type == JSON else b""

    reply = await rig.ask("/v1/logs", body, content_type=content_type)

    assert reply.status == 200
    if content_type == JSON:
        told = {"rejectedLogRecords": "3", "errorMessage": "three are broken"}
        assert json.loads(reply.body) == {"partialSuccess": told}
    else:
        partial = ExportLogsServiceResponse.FromString(reply.body).partial_success
        assert (partial.rejected_log_records, partial.error_message) == (3, "three are broken")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UndecodableError("traces"), 400, 3),
        (TooManyItemsError(5), 413, 8),
        (UnauthenticatedError("no key"), 401, 16),
        (HoldExpiredError(4.5), 503, 14),
        (QueueFullError(offered_items=1, offered_bytes=2, free_items=0, free_bytes=0), 503, 14),
        (RuntimeError("SELECT secret"), 503, 14),
    ],
)
async def test_errors_are_a_status_in_the_form_of_the_request(
    rig: Rig, content_type: str, error: Exception, status: int, code: int
) -> None:
    """Retry-After exactly when the sender may try again; never the text of a foreign exception."""
    rig.export.fail_with(error)
    body = b"{}" if content_type == JSON else b""

    reply = await rig.ask("/v1/traces", body, content_type=content_type)

    text = str(error) if isinstance(error, OtlpgError) else "try again later"
    assert reply.status == status
    assert reply.headers["content-type"] == content_type
    assert reply.headers.get("retry-after") == ("2" if status == 503 else None)
    if content_type == JSON:
        assert json.loads(reply.body) == {"code": code, "message": text}
    else:
        found = status_pb2.Status.FromString(reply.body)
        assert (found.code, found.message) == (code, text)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/json; charset=utf-16", "application/grpc", "x", ""],
)
async def test_other_media_types_are_refused(rig: Rig, content_type: str | None) -> None:
    """The body is not looked at."""
    reply = await rig.ask("/v1/traces", b"{}", content_type=content_type)

    assert reply.status == 415
    assert b"application/x-protobuf or application/json" in reply.body
    assert not rig.export.bodies


async def test_two_codings_are_refused_in_one_header_or_two(rig: Rig) -> None:
    """A body that is packed twice would have to be unpacked twice."""
    packed = gzip.compress(gzip.compress(b"body"))

    reply = await rig.ask("/v1/traces", packed, content_encoding="gzip\r\ncontent-encoding: gzip")

    assert reply.status == 415


@pytest.mark.parametrize(
    ("content_type", "limit"), [(PROTOBUF, LIMIT), (JSON, JSON_LIMIT)], ids=["protobuf", "json"]
)
@pytest.mark.parametrize("how", ["length", "chunked", "gzip"])
async def test_the_size_limit_is_exact(rig: Rig, content_type: str, limit: int, how: str) -> None:
    """The limit itself passes; one byte more is refused for good, and the answer arrives."""

    async def send(size: int) -> Reply:
        body = b"{}".ljust(size) if content_type == JSON else bytes(size)
        options = {"content_type": content_type}
        if how == "gzip":
            body, options["content_encoding"] = gzip.compress(body), "gzip"
        if how == "chunked":
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            options |= {"transfer_encoding": "chunked", "content_length": ""}
        return await rig.ask("/v1/traces", body, **options)

    assert (await send(limit)).status == 200
    too_large = await send(limit + 1)
    assert too_large.status == 413
    assert "retry-after" not in too_large.headers
    assert len(rig.export.bodies) == 1


async def test_an_announced_body_that_is_too_large_is_not_waited_for(rig: Rig) -> None:
    """The verdict comes before the first byte; the rest may come, and is forgotten."""
    line = await rig.line()
    line.write(content_length=str(10 * LIMIT))

    assert (await line.reply()).status == 413
    line.writer.write(bytes(10 * LIMIT))
    assert (await line.ask("/v1/logs", b"next")).status == 200


@pytest.mark.parametrize("times", [10, 64])
async def test_a_last_request_that_is_too_large_hears_so(rig: Rig, times: int) -> None:
    """With ``Connection: close``, and a sender that looks for an answer only behind its body."""

    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", rig.server.port, timeout=WAIT_S)
        headers = {"content-type": PROTOBUF, "connection": "close"}
        with contextlib.closing(connection):
            connection.request("POST", "/v1/traces", bytes(times * LIMIT), headers)
            with connection.getresponse() as response:
                return response.status, response.read()

    status, body = await asyncio.to_thread(ask)

    assert status == 413
    assert status_pb2.Status.FromString(body).code == 8  # RESOURCE_EXHAUSTED


@pytest.mark.parametrize("bound", ["LINGER_S_MAX", "LINGER_BYTES_MAX"])
async def test_a_last_request_is_not_heard_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """A sender that only ever sends is cut off, by time and by bytes."""
    monkeypatch.setattr(http_protocol, bound, 0.05)
    line = await rig.line()
    line.write(content_length=str(10**15), connection="close")

    assert (await line.reply()).status == 413
    assert await line.is_closed()
    async with asyncio.timeout(LINGERS_S / 2):
        with pytest.raises(ConnectionError):
            await line.send_for_ever()


async def test_a_body_that_goes_on_after_its_verdict_ends_the_connection(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads for ever what nobody wants."""
    monkeypatch.setattr(http_protocol, "LINGER_S_MAX", 0.05)
    line = await rig.line()
    line.write(content_length=str(10 * LIMIT))
    await line.reply()

    assert await line.is_closed()


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/traces HTT", b"POST /v1/traces HTTP/1.1\r\na: b\r\n"]
)
async def test_a_connection_that_asks_nothing_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Silent or half a head: it does not stay."""
    monkeypatch.setattr(http_protocol, "HEAD_S_MAX", 0.05)
    line = await rig.line()
    line.writer.write(sent)

    assert await line.is_closed()


async def test_half_a_head_after_a_request_is_not_waited_for_either(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was good once has no more rights."""
    line = await rig.line()
    assert (await line.ask()).status == 200
    monkeypatch.setattr(http_protocol, "HEAD_S_MAX", 0.05)
    line.writer.write(b"P")

    assert await line.is_closed()


async def test_an_old_connection_is_closed_with_its_next_answer() -> None:
    """So that load spreads over the workers again; the sender loses nothing by it."""
    running = Rig(settings(connection_age_s_max=1e-9))
    await running.start()
    try:
        line = await running.line()
        reply = await line.ask()

        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await line.is_closed()
    finally:
        await running.stop()


async def test_too_many_connections_are_cut(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors are kept for PostgreSQL."""
    monkeypatch.setattr(http_protocol, "connections_max", lambda: 2)
    lines = [await rig.line() for _ in range(2)]
    for line in lines:
        assert (await line.ask()).status == 200

    assert await (await rig.line()).is_closed()
    assert (await lines[0].ask()).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\nbad\0name: 1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\n\r\n",
    ],
    ids=["no HTTP", "two lengths", "negative", "NUL", "no host"],
)
async def test_a_broken_head_ends_the_connection(rig: Rig, head: bytes) -> None:
    """With an answer, and without a request."""
    line = await rig.line()
    line.writer.write(head)

    reply = await line.reply()
    assert (reply.status, reply.headers["content-type"]) == (400, JSON)
    assert json.loads(reply.body)["code"] == 3  # INVALID_ARGUMENT
    assert await line.is_closed()
    assert not rig.export.bodies


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/logs", {"a": "b" * 20_000}),
        ("/v1/logs", {f"a{n}": "b" * 50 for n in range(400)}),
        ("/v1/logs?" + "x" * 20_000, {}),
    ],
    ids=["one header", "many headers", "target"],
)
async def test_a_large_head_is_refused(rig: Rig, path: str, headers: dict[str, str]) -> None:
    """One long header, many short ones or a long target; gRPC refuses the same size."""
    line = await rig.line()

    reply = await line.ask(path, **cast("Any", headers))

    assert (reply.status, reply.headers["connection"]) == (431, "close")
    assert status_pb2.Status.FromString(reply.body).code == 8  # RESOURCE_EXHAUSTED
    assert not rig.export.bodies


async def test_a_length_beside_chunks_ends_the_connection(rig: Rig) -> None:
    """What a proxy took for the body would be the next request here: a smuggler's.

    Spec: RFC 9112, section 6.1.
    """
    smuggled = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    line = await rig.line()
    line.writer.write(
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
        b"content-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        % (len(smuggled) + 5)
        + smuggled
    )

    reply = await line.reply()

    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert await line.is_closed()
    assert not rig.export.bodies


async def test_a_refused_request_is_forgotten_at_once(rig: Rig) -> None:
    """Not when the garbage collector comes by: a few dozen would be the memory of a busy worker."""

    class Converted:
        """Stands for a converted request: something large that the export body holds."""

    freed = asyncio.Event()
    converted: list[weakref.ref[Converted]] = []

    def refuse() -> Ack:
        request = Converted()
        converted.append(weakref.ref(request, lambda _ref: freed.set()))
        raise HoldExpiredError(1.0)

    rig.export.verdict = refuse
    gc.collect()
    gc.disable()
    try:
        reply = await rig.ask(body=b"body")
        async with asyncio.timeout(WAIT_S):
            await freed.wait()
    finally:
        gc.enable()

    assert reply.status == 503


async def test_a_sender_that_leaves_is_cancelled(rig: Rig) -> None:
    """What no flusher has taken is then removed from the queue; see test_export."""
    rig.export.go_on.clear()
    line = await rig.line()
    line.write(body=b"body")
    await rig.export.held.wait()

    line.writer.close()

    async with asyncio.timeout(WAIT_S):
        await rig.export.cancelled.wait()
        while not rig.metrics.requests.values:
            await rig.ask(method="GET")
    assert rig.metrics.requests.values == {("traces", "http", "CANCELLED"): 1}


async def test_a_sender_that_leaves_in_its_body_is_forgotten(rig: Rig) -> None:
    """It is counted as gone, and others are served."""
    line = await rig.line()
    line.write(body=b"half", content_length="100")
    assert (await rig.ask("/v1/logs")).status == 200
    line.writer.close()
    await line.writer.wait_closed()

    async with asyncio.timeout(WAIT_S):
        while len(rig.metrics.requests.values) == 1:
            await rig.ask("/v1/logs", b"good")
    assert rig.metrics.requests.values["traces", "http", "CANCELLED"] == 1
    assert b"half" not in {body for _, body in rig.export.bodies}


async def test_pipelined_requests_are_answered_in_order(rig: Rig) -> None:
    """Nobody does it, and HTTP/1.1 allows it."""
    line = await rig.line()
    for number in range(3):
        line.write(body=b"%d" % number)

    replies = [await line.reply() for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert [body for _, body in rig.export.bodies] == [b"0", b"1", b"2"]
    assert len(set(rig.export.connections)) == 1


async def test_a_sender_that_asks_first_is_told_to_go_on(rig: Rig) -> None:
    """As curl does with larger bodies."""
    line = await rig.line()
    line.write(content_length="4", expect="100-continue")
    async with asyncio.timeout(WAIT_S):
        assert b"100" in await line.reader.readuntil(b"\r\n\r\n")
    line.writer.write(b"body")

    assert (await line.reply()).status == 200


async def test_a_drain_answers_what_is_here_and_refuses_what_comes(rig: Rig) -> None:
    """Held requests get their verdict; new ones learn that they should go elsewhere."""
    rig.export.go_on.clear()
    held, other = await rig.line(), await rig.line()
    held.write(body=b"held")
    await rig.export.held.wait()
    draining = asyncio.create_task(rig.server.drain(WAIT_S))
    await asyncio.sleep(0)

    refused = await other.ask()
    rig.export.go_on.set()

    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert (await held.reply()).status == 200
    await draining
    with pytest.raises(ConnectionRefusedError):
        await Line.to(rig.server.port)


async def test_a_drain_waits_no_longer_than_it_was_told(rig: Rig) -> None:
    """A request that does not end is refused, so that its sender tries elsewhere."""
    rig.export.go_on.clear()
    held = await rig.line()
    held.write(body=b"held")
    await rig.export.held.wait()

    await rig.server.drain(0.3)

    assert (await held.reply()).status == 503
    assert rig.export.cancelled.is_set()


async def test_web_pages_may_send_only_where_they_were_named() -> None:
    """Cross-origin rules are for browsers, and exact."""
    running = Rig(settings(cors_origins=["https://shop.example.com"]))
    await running.start()
    try:
        asks = {"access_control_request_method": "POST", "access_control_request_headers": "x-a"}
        for origin, allowed in (
            ("https://shop.example.com", True),
            ("https://shop.example.com.evil", False),
            ("http://shop.example.com", False),
        ):
            reply = await running.ask("/v1/traces", method="OPTIONS", origin=origin, **asks)
            found = reply.headers.get("access-control-allow-origin")
            assert found == (origin if allowed else None)
            assert reply.status == (200 if allowed else 400)
        sent = await running.ask("/v1/traces", origin="https://shop.example.com")
        assert sent.headers["access-control-allow-origin"] == "https://shop.example.com"
    finally:
        await running.stop()
