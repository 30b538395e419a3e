"""The listener of OTLP over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc

from collector.receive.auth import Gate
from collector.receive.certificates import Certificates
from collector.receive.export import Export
from collector.receive.grpc_listener import Door, GrpcListener, to_options
from collector.receive.grpc_service import SERVICES, OtlpService
from collector.receive.health_service import HealthService
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

BESIDE_S_MAX: Final = 1.0
"""At a drain the calls of others have so long beyond the last of OTLP, whose answer may be on its way."""


def longest_call_s(settings: ReceiveSettings) -> float:
    """Return how long a call may last at the most, with time for its answer."""
    return settings.slot_wait_s_max + settings.read_s_max + settings.hold_s_max + 5


class GrpcServer(GrpcListener):
    """The OTLP/gRPC listener of one worker; its port is shared with the other workers."""

    def __init__(
        self,
        settings: ReceiveSettings,
        export: Export,
        *,
        gate: Gate,
        certificates: Certificates | None = None,
        clock: Clock,
        metrics: Metrics,
        beside: Sequence[grpc.GenericRpcHandler] = (),
        beside_s_max: float = 0.0,
    ) -> None:
        """``certificates`` None: in clear.

        ``beside`` is what else is answered at this door; its calls last no longer than ``beside_s_max``.
        """
        self._service = OtlpService(export, gate, settings, clock, metrics)
        self._health = HealthService(SERVICES)
        self._draining = False
        call_s_max = max(longest_call_s(settings), beside_s_max)
        super().__init__(
            Door(settings.grpc_host, settings.grpc_port, "receive.grpc_host", "receive.grpc_port"),
            (self._service, self._health, *beside),
            to_options(
                settings, message_bytes_max=settings.request_bytes_max, call_s_max=call_s_max
            ),
            call_s_max=call_s_max,
            certificates=certificates,
            clock=clock,
            logger="otlpg.receive",
        )

    async def drain(self, grace_s: float) -> None:
        """Say NOT_SERVING, refuse what is new, say GOAWAY, and answer the calls that are here.

        After ``grace_s`` they are cancelled; those that are not of OTLP already ``BESIDE_S_MAX`` after
        the last that is. Safe twice and before start; a second call with a shorter grace hurries the
        first.
        """
        self._health.drain()
        if grace_s > 0 and not self._draining and self.is_listening:
            self._draining = True
            await self._service.drain()
        if grace_s <= BESIDE_S_MAX:
            await super().drain(grace_s)
            return
        ending = asyncio.create_task(super().drain(grace_s))
        answered = asyncio.create_task(self._service.answered())
        try:
            await asyncio.wait((ending, answered), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await super().drain(BESIDE_S_MAX)
            await ending
        finally:
            ending.cancel()
            answered.cancel()
