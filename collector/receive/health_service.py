"""The gRPC health service: SERVING from start to drain.

Not the servicer of grpcio-health-checking: its ``Watch`` streams never end, so that one open watch
would stretch every graceful stop to its full grace. Here a watch ends by itself after it has said
NOT_SERVING.

It does not turn NOT_SERVING while PostgreSQL is away: calls are held and refused retryably then,
and a balancer that drops every address would only hide that. ``/health/ready`` tells it.

Spec: grpc/health/v1/health.proto.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

_Response = health_pb2.HealthCheckResponse
_Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, _Response]


class HealthService(grpc.GenericRpcHandler):
    """Answers Check and Watch for the whole server ("") and for each of ``services``."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._drained = asyncio.Event()

    def drain(self) -> None:
        """Say NOT_SERVING from now on, and end every watch with it. Safe twice."""
        self._drained.set()

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the two methods; None for any other."""
        codec: dict[str, Any] = {
            "request_deserializer": health_pb2.HealthCheckRequest.FromString,
            "response_serializer": _Response.SerializeToString,
        }
        if handler_call_details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self._check, **codec)
        if handler_call_details.method == "/grpc.health.v1.Health/Watch":
            return grpc.unary_stream_rpc_method_handler(self._watch, **codec)
        return None

    def _status(self) -> _Response:
        drained = self._drained.is_set()
        return _Response(status=_Response.NOT_SERVING if drained else _Response.SERVING)

    async def _check(self, request: health_pb2.HealthCheckRequest, context: _Context) -> _Response:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self._status()

    async def _watch(
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[_Response]:
        del context
        if request.service not in self._services:
            yield _Response(status=_Response.SERVICE_UNKNOWN)
        elif not self._drained.is_set():
            yield self._status()
        await self._drained.wait()
        if request.service in self._services:
            yield self._status()
