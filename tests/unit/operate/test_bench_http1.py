"""The benchmark's client speaks HTTP/1.1: whole answers, broken ones, and none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import h11
import pytest

from collector.operate.bench.connect import AnyLine, HttpLine, Outcome, new_line, places
from collector.operate.bench.http1 import Connection, Reply, request_head
from collector.operate.verify.options import Protocol
from collector.rows import Signal

HEAD = request_head("test", "/v1/traces", "application/x-protobuf", [("x-api-key", "secret")])
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def port_of(serve: Serve) -> AsyncGenerator[int]:
    """Lend the port of a server that does ``serve`` with each connection, and then closes it.

    Its clients have closed theirs when the block ends.
    """
    serving: list[asyncio.Task[object]] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):  # the client has left
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*serving)


@asynccontextmanager
async def client_of(serve: Serve) -> AsyncGenerator[Connection]:
    """Lend a connection to a server that does ``serve``."""
    async with port_of(serve) as port:
        connection = await Connection.connect("127.0.0.1", port)
        try:
            yield connection
        finally:
            connection.close()


async def request_body(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next request, whose head says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.split(b"content-length: ")[1]))


def always(*answers: bytes) -> Serve:
    """Return a server that gives ``answers``, one for each request, the last one ever after."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(answers)
        while True:
            await request_body(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])

    return serve


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
async def test_requests_arrive_whole_one_after_another(size: int) -> None:
    """A strict server reads head and body as they were meant, again and again on one connection."""
    seen: list[tuple[h11.Request, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = h11.Connection(h11.SERVER)
        while True:
            parts: list[bytes | bytearray] = []
            request = None
            while not isinstance(event := wire.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    wire.receive_data(await reader.read(65_536))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    parts.append(event.data)
                else:
                    return
            assert request is not None
            seen.append((request, b"".join(parts)))
            answer = h11.Response(status_code=200, headers=[("Content-Length", "2")])
            for event in (answer, h11.Data(data=b"{}"), h11.EndOfMessage()):
                writer.write(wire.send(event) or b"")
            wire.start_next_cycle()

    bodies = [bytes([number]) * size for number in range(3)]
    async with client_of(serve) as connection:
        replies = [await connection.call(HEAD, body) for body in bodies]

    assert replies == [Reply(200, b"{}")] * 3
    assert [body for _, body in seen] == bodies
    assert seen[0][0].method == b"POST"
    assert seen[0][0].target == b"/v1/traces"
    assert dict(seen[0][0].headers)[b"x-api-key"] == b"secret"


async def test_an_answer_in_single_bytes_is_one_answer() -> None:
    """However it is cut on the way, the reply is whole."""
    entered = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await request_body(reader)
        entered.set()
        await reader.read()

    async with client_of(serve) as connection:
        call = asyncio.create_task(connection.call(HEAD, b"x"))
        await entered.wait()
        for byte in b"HTTP/1.1 503 Service Unavailable\r\nContent-Length:  3 \r\nx: y\r\n\r\nabc":
            connection.data_received(bytes([byte]))

        assert await call == Reply(503, b"abc")
        assert not connection.ended


async def test_connection_close_ends_it_after_the_answer() -> None:
    """The answer counts; what comes next goes over another connection."""
    last = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n"
    async with client_of(always(last)) as connection:
        assert await connection.call(HEAD, b"x") == Reply(200, b"")
        assert connection.ended
        with pytest.raises(ConnectionError):
            await connection.call(HEAD, b"x")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-content-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"x" * 20_000,
    ],
)
async def test_what_it_cannot_read_is_an_error(answer: bytes) -> None:
    """Better an error than an answer made up."""
    async with client_of(always(answer)) as connection:
        with pytest.raises(ConnectionError):
            await connection.call(HEAD, b"x")
        assert connection.ended


async def test_two_answers_to_one_request_end_the_connection() -> None:
    """The second would be taken for the answer to the next request."""
    async with client_of(always(OK + OK)) as connection:
        assert await connection.call(HEAD, b"x") == Reply(200, b"")
        assert connection.ended


async def test_a_server_that_leaves_fails_the_open_call() -> None:
    """An answer that cannot come any more is an error, not a wait without end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_body(reader)
        writer.write(OK[:20])

    async with client_of(serve) as connection:
        with pytest.raises(ConnectionError):
            await connection.call(HEAD, b"x")
        assert connection.ended


async def test_a_cancelled_call_ends_the_connection() -> None:
    """Its answer, should it still come, belongs to nobody."""
    entered = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_body(reader)
        entered.set()
        await reader.read()

    async with client_of(serve) as connection:
        call = asyncio.create_task(connection.call(HEAD, b"x"))
        await entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert connection.ended


@pytest.mark.parametrize(
    ("protocol", "status", "body", "outcome"),
    [
        (Protocol.HTTP_PROTOBUF, 200, b"", Outcome.OK),
        (Protocol.HTTP_PROTOBUF, 200, b"\x0a\x02\x08\x01", Outcome.FAILED),
        (Protocol.HTTP_JSON, 200, b"{}", Outcome.OK),
        (Protocol.HTTP_JSON, 200, b'{"partialSuccess":{}}', Outcome.FAILED),
        (Protocol.HTTP_PROTOBUF, 429, b"", Outcome.REFUSED),
        (Protocol.HTTP_PROTOBUF, 503, b"", Outcome.REFUSED),
        (Protocol.HTTP_PROTOBUF, 400, b"", Outcome.FAILED),
        (Protocol.HTTP_JSON, 202, b"{}", Outcome.FAILED),
    ],
)
async def test_what_an_answer_means(
    protocol: Protocol, status: int, body: bytes, outcome: Outcome
) -> None:
    """Only a complete success is one; "try again" is no failure, a part left out is."""
    nothing = b"{}" if protocol is Protocol.HTTP_JSON else b""
    answers = (
        b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (code, len(text), text)
        for code, text in ((200, nothing), (status, body))
    )
    async with port_of(always(*answers)) as port:
        line = new_line(f"127.0.0.1:{port}", protocol)

        assert await line.export(line.head(Signal.TRACES, 5.0), b"request") is outcome

        line.close()


async def test_silence_is_an_error_and_the_next_call_has_another_connection() -> None:
    """A request that is not answered in its time is refused; it does not end the run."""
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(len(served))
        await request_body(reader)
        writer.write(OK)
        await request_body(reader)
        if len(served) > 1:
            writer.write(OK)
        await reader.read()

    async with port_of(serve) as port:
        line = HttpLine(f"127.0.0.1:{port}", Protocol.HTTP_PROTOBUF)
        patient = line.head(Signal.TRACES, 5.0)
        with pytest.raises(TimeoutError):
            await line.export(patient._replace(timeout_s=0.02), b"request")

        assert await line.export(patient, b"request") is Outcome.OK
        assert len(served) == 2

        line.close()


async def test_a_door_that_says_no_is_an_error() -> None:
    """Whoever is not let in hears of it when connecting, not as a thousand failures."""
    refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
    async with port_of(always(refusal)) as port:
        line = HttpLine(f"127.0.0.1:{port}", Protocol.HTTP_JSON)
        with pytest.raises(ConnectionError, match="401"):
            await line.open()


async def test_only_grpc_has_many_requests_on_one_line() -> None:
    """Over HTTP no more are open than there are lines, and each has its own."""
    grpc: list[AnyLine] = [new_line("x:1", Protocol.GRPC) for _ in range(2)]
    http: list[AnyLine] = [new_line("x:1", Protocol.HTTP_JSON) for _ in range(2)]

    assert places(grpc, 5) == [*grpc, *grpc, grpc[0]]
    assert places(http, 5) == http
    assert places(http, 1) == http[:1]
