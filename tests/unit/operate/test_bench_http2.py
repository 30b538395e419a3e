"""The benchmark's client speaks gRPC: every kind of answer of a real grpc.aio server."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from collector.operate.bench.http2 import Connection, Reply, call_headers, status_of
from tests.certificates import Authority
from tests.grpc_servers import end

PATH = "/test.Service/Call"
Body = Callable[[bytes, Any], Awaitable[bytes]]


class OneMethod(grpc.GenericRpcHandler):
    """Answers every call with ``body``."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Take our one method."""
        assert handler_call_details.method == PATH
        return grpc.unary_unary_rpc_method_handler(self._body)  # pyright: ignore[reportUnknownVariableType] -- the stubs leave its types open


@asynccontextmanager
async def server(body: Body, **options: int) -> AsyncGenerator[tuple[Connection, bytes]]:
    """Lend a connection to a server of its own, and the headers of a call."""
    channel_options = [
        (f"grpc.{name}", value)
        for name, value in {"max_receive_message_length": -1, **options}.items()
    ]
    before = asyncio.all_tasks()
    running = grpc.aio.server(options=channel_options)
    running.add_generic_rpc_handlers((OneMethod(body),))
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    connection = await Connection.open("127.0.0.1", port)
    try:
        yield connection, call_headers(f"127.0.0.1:{port}", PATH, 10)
    finally:
        connection.close()
        await end(running, before)


async def test_ok_without_a_message() -> None:
    """What otlpg answers for stored requests, a thousand times on one connection at once."""

    async def body(request: bytes, context: Any) -> bytes:
        return b""

    async with server(body) as (connection, headers):
        replies = await asyncio.gather(*(connection.call(headers, b"x") for _ in range(1_000)))

    assert set(replies) == {Reply(0, has_message=False)}


async def test_a_message_is_noticed() -> None:
    """A partial success is a message; what it says does not matter here."""

    async def body(request: bytes, context: Any) -> bytes:
        return b"partial"

    async with server(body) as (connection, headers):
        assert await connection.call(headers, b"x") == Reply(0, has_message=True)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT])
async def test_a_refusal_carries_its_status(code: grpc.StatusCode) -> None:
    """Trailers-only replies, details and metadata included, end the call with their status."""

    async def body(request: bytes, context: Any) -> bytes:
        await context.abort(code, "no room", (("google.rpc.retryinfo-bin", b"\x00\x01"),))
        return b""

    async with server(body) as (connection, headers):
        replies = [await connection.call(headers, b"x") for _ in range(3)]

    assert replies == [Reply(code.value[0], has_message=False)] * 3


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_384, 65_535, 3_000_000])
async def test_bodies_arrive_whole(size: int) -> None:
    """Bodies beyond a frame and beyond the windows arrive byte for byte, also many at once."""
    arrived: list[bytes] = []

    async def body(request: bytes, context: Any) -> bytes:
        arrived.append(hashlib.sha256(request).digest())
        return b""

    bodies = [bytes([number]) * size for number in range(5)]
    async with server(body) as (connection, headers):
        await asyncio.gather(*(connection.call(headers, sent) for sent in bodies))

    assert sorted(arrived) == sorted(hashlib.sha256(sent).digest() for sent in bodies)


async def test_a_server_that_stops_fails_open_calls() -> None:
    """An answer that cannot come any more is an error, not a wait without end."""
    entered = asyncio.Event()

    async def body(request: bytes, context: Any) -> bytes:
        entered.set()
        await asyncio.Event().wait()
        return b""

    async with server(body) as (connection, headers):
        call = asyncio.create_task(connection.call(headers, b"x"))
        await entered.wait()
        connection.close()
        with pytest.raises(ConnectionError):
            await call
        assert connection.ended
        with pytest.raises(ConnectionError):
            await connection.call(headers, b"x")


async def test_the_end_of_a_connection_lets_open_calls_finish() -> None:
    """After GOAWAY the open call is answered, no new one is taken, and our end closes.

    A server that drains waits for its clients to close.
    """
    release = asyncio.Event()

    async def body(request: bytes, context: Any) -> bytes:
        await release.wait()
        return b""

    options = {"max_connection_age_ms": 50, "max_connection_age_grace_ms": 10_000}
    async with server(body, **options) as (connection, headers):
        call = asyncio.create_task(connection.call(headers, b"x"))
        await connection.going_away.wait()
        release.set()

        assert await call == Reply(0, has_message=False)
        assert connection.ended
        await connection.closed.wait()


async def test_over_tls_our_end_closes_too(tmp_path: Path) -> None:
    """A server that drains waits for the socket, and not for what TLS says before it is closed."""
    authority = Authority()
    pair = authority.server()
    running = grpc.aio.server()
    port = running.add_secure_port(
        "localhost:0", grpc.ssl_server_credentials([(pair.key, pair.certificate)])
    )
    await running.start()
    tls = ssl.create_default_context(cafile=str(authority.write(tmp_path)))
    connection = await Connection.open("localhost", port, tls=tls, name="localhost")

    async with asyncio.timeout(10):
        await running.stop(60)

    await connection.closed.wait()
    assert connection.ended


async def test_the_servers_deadline_is_ours() -> None:
    """The time limit of a call travels in its headers; the server ends the call."""

    async def body(request: bytes, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with server(body) as (connection, _):
        headers = call_headers("test", PATH, 0.05)

        assert (await connection.call(headers, b"x")).status == 4


async def test_a_cancelled_call_disturbs_nobody() -> None:
    """The answer to a caller that has left is dropped; the next call works."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def body(request: bytes, context: Any) -> bytes:
        entered.set()
        await release.wait()
        return b""

    async with server(body) as (connection, headers):
        left = asyncio.create_task(connection.call(headers, b"x"))
        await entered.wait()
        left.cancel()
        release.set()

        assert await connection.call(headers, b"y") == Reply(0, has_message=False)


async def test_no_server_is_an_error() -> None:
    """A peer that closes without a word is no HTTP/2 server."""
    silent = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]

    async with silent:
        with pytest.raises(ConnectionError):
            await Connection.open("127.0.0.1", port)


def test_trailers_in_another_encoding_are_refused() -> None:
    """Better an error than a status made up."""
    with pytest.raises(ConnectionError, match="plain"):
        status_of(b"\x82\x83")
