"""The calls of OTLP over gRPC: raw bytes in, ``b""`` out when every item is stored."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

import grpc

from collector.errors import DrainingError, TooLargeError
from collector.receive.auth import Gate, names_of_grpc
from collector.receive.export import Export
from collector.receive.grpc_calls import (
    STATUS_CODES,
    Context,
    header_bytes,
    headers_of,
    peer_context,
    read_one,
)
from collector.receive.refusal import to_trailers
from collector.receive.reply import to_reply
from collector.receive.status import Verdict, to_verdict
from collector.receive.verdicts import Verdicts
from collector.rows import Signal
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}
_METHODS: Final = {f"/{service}/Export": signal for service, signal in SERVICES.items()}

QUIET_S: Final = 0.1
QUIET_S_MAX: Final = 1.0
"""A drain answers new calls with "try again" until none came for the first, or the second is over.

Only then is the server told to stop: what arrives at that very moment gRPC core cancels, and under
load that is most calls (152 of 240 senders saw CANCELLED, without RetryInfo).
"""


class OtlpService(grpc.GenericRpcHandler):
    """Hands the body of each Export call to the export body and its verdict to the sender."""

    def __init__(
        self,
        export: Export,
        gate: Gate,
        settings: ReceiveSettings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._export = export
        self._gate = gate
        self._header_bytes_max = settings.header_bytes_max
        self._verdicts = Verdicts("grpc", clock, metrics)
        self._draining = False
        self._refused_draining = 0
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        # ``stream_unary`` has the wire of ``unary_unary``, but runs before the body is read.
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.stream_unary_rpc_method_handler(
                cast("Any", partial(self._counted, signal))
            )
            for method, signal in _METHODS.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of an Export method; None makes it UNIMPLEMENTED."""
        return self._handlers.get(str(handler_call_details.method))

    async def drain(self) -> None:
        """Refuse every new call, and return when no more come. Calls that are here go on."""
        self._draining = True
        for _ in range(int(QUIET_S_MAX / QUIET_S)):
            before = self._refused_draining
            await asyncio.sleep(QUIET_S)
            if self._refused_draining == before:
                return

    async def answered(self) -> None:
        """Return when no call is here; the last answer may still be on its way."""
        await self._idle.wait()

    async def _counted(self, signal: Signal, requests: object, context: Context) -> bytes:
        self._calls += 1
        self._idle.clear()
        try:
            return await self._call(signal, requests, context)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def _call(self, signal: Signal, _requests: object, context: Context) -> bytes:
        if self._draining:
            self._refused_draining += 1
            return await self._refuse(signal, to_verdict(DrainingError()), context)
        if header_bytes(context) > self._header_bytes_max:
            too_large = TooLargeError(self._header_bytes_max)
            return await self._refuse(signal, to_verdict(too_large), context)
        try:
            credential_id = await self._gate.admit(
                partial(headers_of, context), lambda: names_of_grpc(peer_context(context))
            )
            ack = await self._export.export(
                signal,
                partial(read_one, context),
                left_s=context.time_remaining(),
                connection=context.peer(),
                credential_id=credential_id,
            )
        except asyncio.CancelledError:
            self._verdicts.count(signal, "CANCELLED")
            raise
        except Exception as error:  # noqa: BLE001 -- the edge: an exception's text must not leave
            verdict = self._verdicts.judge(signal, error)
        else:
            self._verdicts.count(signal, "OK")
            return to_reply(signal, ack).SerializeToString()
        # Past the except block: the error's frames hold the converted request, and hundreds of
        # refusals that wait to be sent held as much again as the whole queue.
        return await self._refuse(signal, verdict, context)

    async def _refuse(self, signal: Signal, verdict: Verdict, context: Context) -> bytes:
        try:
            # Trailers-Only: no initial metadata was sent, and abort sends both at once.
            await context.abort(
                STATUS_CODES[verdict.code],
                verdict.text,
                to_trailers(verdict, context.time_remaining()),
            )
        except grpc.aio.InternalError:
            # The call is over already: the sender is gone, or its body was larger than
            # request_bytes_max and core has told it so. We saw a call without a message, and then
            # a cancelled one: core passes up neither the reason nor the size, and no order of
            # events, no code and no clock differs between the two (grpcio 1.85, plain and gzip).
            self._verdicts.count(signal, "CANCELLED")
            return b""
        except grpc.aio.AbortError:
            self._verdicts.count_verdict(signal, verdict, context.peer())
            raise
