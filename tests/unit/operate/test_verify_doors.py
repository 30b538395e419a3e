"""What the doors of `otlpg verify` hear from a server that refuses, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from collector.operate.access import Access
from collector.operate.endpoint import EXPORT_METHODS
from collector.operate.verify.doors import Answer
from collector.operate.verify.grpc_door import GrpcDoor
from collector.operate.verify.http_door import HttpDoor
from collector.operate.verify.options import Protocol
from collector.rows import Signal
from tests.grpc_servers import end

WAIT_S = 20.0


def details(*messages: Any) -> bytes:
    """Return a status with these details, as a trailer carries it."""
    packed: list[AnyMessage] = []
    for message in messages:
        packed.append(AnyMessage())
        packed[-1].Pack(message)
    return Status(details=packed).SerializeToString()


LATER = RetryInfo(retry_delay=Duration(seconds=1, nanos=600_000_000))


async def ask_grpc(code: grpc.StatusCode, trailer: bytes | None) -> Answer:
    """Return what the door makes of a call that ends with this code and these details."""

    async def refuse(_: bytes, context: Any) -> bytes:
        trailing = () if trailer is None else (("grpc-status-details-bin", trailer),)
        await context.abort(code, "not now", trailing)
        return b""

    service, _, name = EXPORT_METHODS[Signal.LOGS][1:].partition("/")
    before = asyncio.all_tasks()
    server = grpc.aio.server()
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    door = GrpcDoor(f"http://127.0.0.1:{port}", Access())
    try:
        return await door.send(Signal.LOGS, b"", WAIT_S)
    finally:
        await door.close()
        await end(server, before)


@pytest.mark.parametrize(
    ("code", "trailer", "outcome", "retry_s"),
    [
        (grpc.StatusCode.UNAVAILABLE, details(LATER), "retry", 1.6),
        (grpc.StatusCode.UNAVAILABLE, details(ErrorInfo(reason="x"), LATER), "retry", 1.6),
        (grpc.StatusCode.UNAVAILABLE, details(ErrorInfo(reason="x")), "retry", None),
        (grpc.StatusCode.UNAVAILABLE, b"\xff", "retry", None),
        (grpc.StatusCode.UNAVAILABLE, None, "retry", None),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, details(LATER), "retry", 1.6),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, None, "never", None),
        (grpc.StatusCode.UNAUTHENTICATED, None, "never", None),
    ],
)
async def test_grpc_comes_again_as_retry_info_says(
    code: grpc.StatusCode, trailer: bytes | None, outcome: str, retry_s: float | None
) -> None:
    """Among other details, too; without it RESOURCE_EXHAUSTED is for good."""
    answer = await ask_grpc(code, trailer)

    assert answer == (outcome, code.name, "not now", retry_s)


async def ask_http(reply: bytes) -> Answer:
    """Return what the door makes of a reply."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    door = HttpDoor(f"http://127.0.0.1:{port}", Protocol.HTTP_PROTOBUF, Access())
    async with server:
        return await door.send(Signal.LOGS, b"", WAIT_S)


@pytest.mark.parametrize(
    ("status", "header", "outcome", "retry_s"),
    [
        (503, "retry-after: 2", "retry", 2.0),
        (429, "Retry-After: 0", "retry", 0.0),
        (503, "retry-after: Wed, 21 Oct 2026 07:28:00 GMT", "retry", None),
        (503, "retry-after: -1", "retry", None),
        (503, "x-other: 2", "retry", None),
        (401, "www-authenticate: Bearer", "never", None),
        (500, "retry-after: 2", "never", 2.0),
    ],
)
async def test_http_comes_again_as_retry_after_says(
    status: int, header: str, outcome: str, retry_s: float | None
) -> None:
    """In seconds; the status alone decides whether at all."""
    answer = await ask_http(
        f"HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: 0\r\n\r\n".encode()
    )

    assert answer == (outcome, str(status), "", retry_s)


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", b"no HTTP\r\n\r\n"]
)
async def test_http_tries_an_answer_that_is_cut_short_again(reply: bytes) -> None:
    """The request may be stored or not; only the same bytes once more can tell."""
    answer = await ask_http(reply)

    assert (answer.outcome, answer.code) == ("retry", "CUT_SHORT")
