"""The gRPC health service: SERVING from start to drain.

Not the servicer of grpcio-health-checking: its ``Watch`` streams never end, so that one open watch
would stretch every graceful stop to its full grace. Here a watch ends by itself after it has said
NOT_SERVING.

It does not turn NOT_SERVING while PostgreSQL is away: calls are held and refused retryably then,
and a balancer that drops every address would only hide that. ``/health/ready`` tells it.

A request is read as an Export's body is: gRPC decompresses up to ``request_bytes_max`` before it
shows a message, so few are read at once, and none that is larger than a name is kept. (A watch for
a "service" of 60 MiB held that for ever, and cost its sender 60 kB.)

Spec: grpc/health/v1/health.proto.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, cast

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from collector.errors import NoSlotError
from collector.receive.limits import Slots

REQUEST_BYTES_MAX: Final = 1024
SLOTS: Final = 2
"""Requests that are read at once."""
READ_S_MAX: Final = 1.0
CONNECTIONS_AHEAD: Final = 5
"""A request waits its turn behind so many that are never sent."""

_Response = health_pb2.HealthCheckResponse
_Context = grpc.aio.ServicerContext[bytes, _Response]


class HealthService(grpc.GenericRpcHandler):
    """Answers Check and Watch for the whole server ("") and for each of ``services``."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._drained = asyncio.Event()
        self._slots = Slots(SLOTS, per_connection=1)

    def drain(self) -> None:
        """Say NOT_SERVING from now on, and end every watch with it. Safe twice."""
        self._drained.set()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the two methods; None for any other."""
        serializer: Any = _Response.SerializeToString
        if handler_call_details.method == "/grpc.health.v1.Health/Check":
            return grpc.stream_unary_rpc_method_handler(
                cast("Any", self._check), response_serializer=serializer
            )
        if handler_call_details.method == "/grpc.health.v1.Health/Watch":
            return grpc.stream_stream_rpc_method_handler(
                cast("Any", self._watch), response_serializer=serializer
            )
        return None

    def _status(self) -> _Response:
        drained = self._drained.is_set()
        return _Response(status=_Response.NOT_SERVING if drained else _Response.SERVING)

    async def _check(self, _requests: object, context: _Context) -> _Response:
        if await self._read(context) not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._status()

    async def _watch(self, _requests: object, context: _Context) -> AsyncIterator[_Response]:
        service = await self._read(context)
        if service not in self._services:
            yield _Response(status=_Response.SERVICE_UNKNOWN)
        elif not self._drained.is_set():
            yield self._status()
        await self._drained.wait()
        if service in self._services:
            yield self._status()

    async def _read(self, context: _Context) -> str:
        """Return the name of the service that is asked about; end the call if there is none."""
        try:
            async with self._slots.take(context.peer(), READ_S_MAX * CONNECTIONS_AHEAD):
                async with asyncio.timeout(READ_S_MAX):
                    service = await _name_or_none(context)
        except (NoSlotError, TimeoutError):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try again later")
        if service is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a health request")
        return service


async def _name_or_none(context: _Context) -> str | None:
    """Return what the message of a call asks about, None for a message that is no such question.

    Only here is the message seen: the error of an abort lives as long as the call and keeps every
    local variable between it and the abort.
    """
    message = await context.read()
    if message is grpc.aio.EOF or len(message) > REQUEST_BYTES_MAX:
        return None
    try:
        return health_pb2.HealthCheckRequest.FromString(message).service
    except DecodeError:
        return None
