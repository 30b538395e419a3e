"""OTLP over gRPC: raw bytes in, ``b""`` out when every item is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, cast

import grpc

from collector.errors import DrainingError, MalformedCallError, SettingsError, TooLargeError
from collector.receive.auth import Gate, names_of_grpc
from collector.receive.certificates import Certificates
from collector.receive.export import Export
from collector.receive.health_service import HealthService
from collector.receive.limits import connections_max
from collector.receive.listeners import authority
from collector.receive.reply import to_reply
from collector.receive.status import Verdict, to_trailers, to_verdict
from collector.receive.verdicts import Verdicts
from collector.rows import Signal
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.metrics import Metrics

SERVICES: Final = {
    "opentelemetry.proto.collector.trace.v1.TraceService": Signal.TRACES,
    "opentelemetry.proto.collector.metrics.v1.MetricsService": Signal.METRICS,
    "opentelemetry.proto.collector.logs.v1.LogsService": Signal.LOGS,
}
_METHODS: Final = {f"/{service}/Export": signal for service, signal in SERVICES.items()}

STREAMS_PER_CONNECTION_MAX: Final = 256
"""Calls of one connection at once; more wait in the sender, who sees no error."""
KEEPALIVE_S: Final = 60
"""A silent connection is asked this often whether it still lives."""
KEEPALIVE_WAIT_S: Final = 20
SENDER_PING_S_MIN: Final = 10
"""Senders may ping us this often, with or without calls; gRPC's own 5 minutes punishes most."""

LOOK_S: Final = 0.1
"""Between two looks whether the server has ended; grpc.aio tells nobody."""

QUIET_S: Final = 0.1
QUIET_S_MAX: Final = 1.0
"""A drain answers new calls with "try again" until none came for the first, or the second is over.

Only then is the server told to stop: what arrives at that very moment gRPC core cancels, and under
load that is most calls (152 of 240 senders saw CANCELLED, without RetryInfo).
"""

_Context = grpc.aio.ServicerContext[bytes, bytes]


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
        # ``stream_unary`` has the wire of ``unary_unary``, but runs before the body is read.
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.stream_unary_rpc_method_handler(cast("Any", partial(self._call, signal)))
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

    async def _call(self, signal: Signal, _requests: object, context: _Context) -> bytes:
        if self._draining:
            self._refused_draining += 1
            return await self._refuse(signal, to_verdict(DrainingError()), context)
        if _header_bytes(context) > self._header_bytes_max:
            too_large = TooLargeError(self._header_bytes_max)
            return await self._refuse(signal, to_verdict(too_large), context)
        try:
            credential_id = await self._gate.admit(
                partial(_headers, context), lambda: names_of_grpc(_peer_context(context))
            )
            ack = await self._export.export(
                signal,
                partial(_read_one, context),
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

    async def _refuse(self, signal: Signal, verdict: Verdict, context: _Context) -> bytes:
        try:
            # Trailers-Only: no initial metadata was sent, and abort sends both at once.
            await context.abort(
                verdict.code, verdict.text, to_trailers(verdict, context.time_remaining())
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


def _header_bytes(context: _Context) -> int:
    """Return the size of what a sender put into its headers.

    Core holds its limit only against senders that acknowledge its settings; for others it is 16 MiB.
    """
    metadata: Iterable[tuple[str, str | bytes]] = context.invocation_metadata() or ()
    return sum(len(name) + len(value) for name, value in metadata)


async def _read_one(context: _Context) -> bytes:
    """Return the one message of a call.

    Raises:
        MalformedCallError: there is none, or a second one.
    """
    message = await context.read()
    if message is grpc.aio.EOF:
        raise MalformedCallError("the call holds no message")
    if await context.read() is not grpc.aio.EOF:
        raise MalformedCallError("the call holds more than one message")
    return message


def longest_call_s(settings: ReceiveSettings) -> float:
    """Return how long a call may last at the most, with time for its answer."""
    return settings.slot_wait_s_max + settings.read_s_max + settings.hold_s_max + 5


def _headers(context: _Context) -> Sequence[tuple[str, str | bytes]]:
    return cast("Any", context.invocation_metadata()) or ()


def _peer_context(context: _Context) -> dict[str, list[bytes]]:
    """Return what gRPC core knows of the connection's other end; its stub has no types."""
    return cast("Any", context).auth_context()


def to_options(settings: ReceiveSettings) -> list[tuple[str, int]]:
    """Return gRPC core's channel arguments for the limits of ``settings`` and of this process.

    Core spreads the connection age by 10 % by itself. Its grace is longer than any call may last,
    so that an aged connection never costs a call. Windows do not grow with the bandwidth, because
    bodies that wait for a slot lie in them: 400 calls of 170 kB held 57 MiB instead of 27.
    """
    grace_s = longest_call_s(settings)
    return [
        ("grpc.max_receive_message_length", settings.request_bytes_max),
        ("grpc.max_metadata_size", settings.header_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.header_bytes_max),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        ("grpc.max_allowed_incoming_connections", connections_max()),
        ("grpc.max_connection_age_ms", int(settings.connection_age_s_max * 1000)),
        ("grpc.max_connection_age_grace_ms", int(grace_s * 1000)),
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_WAIT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", SENDER_PING_S_MIN * 1000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", SENDER_PING_S_MIN * 1000),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.so_reuseport", 1),
    ]


class GrpcServer:
    """The OTLP/gRPC listener of one worker; its port is shared with the other workers.

    grpc.aio (1.85) decodes the path of a call outside of any ``try``: a single call whose path is
    not UTF-8 ends its accept loop, and with it the listener, for good. Nothing in front of that
    loop can be asked to look at paths, so ``run`` replaces a server that has ended in this way.
    """

    def __init__(
        self,
        settings: ReceiveSettings,
        export: Export,
        *,
        gate: Gate,
        certificates: Certificates | None = None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``certificates`` None: in clear."""
        self._settings = settings
        self._certificates = certificates
        self._servers: list[grpc.aio.Server] = []  # the last one listens
        self._service = OtlpService(export, gate, settings, clock, metrics)
        self._health = HealthService(SERVICES)
        self._trouble = Trouble("otlpg.receive", clock)
        self._draining = False
        self._is_stopped = False
        self.port = settings.grpc_port

    async def start(self) -> None:
        """Listen; afterwards ``port`` is the real one.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        options = to_options(self._settings)
        if self._certificates is not None:
            handshake_ms = int(self._certificates.settings.handshake_s_max * 1000)
            options.append(("grpc.server_handshake_timeout_ms", handshake_ms))
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((self._service, self._health))
        address = authority(self._settings.grpc_host, self.port)
        try:
            if self._certificates is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, self._credentials(self._certificates))
        except RuntimeError as error:
            raise SettingsError(
                f"receive.grpc_host, receive.grpc_port: cannot listen on {address}"
            ) from error
        await server.start()
        self._servers.append(server)

    async def run(self) -> None:
        """Keep a server listening until ``drain``; ``start`` came first.

        The calls of one that was given up go on: only its listener and its connections end, the
        latter with a GOAWAY, and their senders come to its successor. A call that comes just before
        its sender has read the GOAWAY hears CANCELLED, which OTLP lets it repeat.

        Raises:
            SettingsError: the port has been taken meanwhile.
        """
        async with asyncio.TaskGroup() as retiring:
            while not self._is_stopped:
                server = self._servers[-1]
                try:
                    await server.wait_for_termination(LOOK_S)
                except Exception as error:  # noqa: BLE001 -- whatever ended it, others must be served
                    if self._is_stopped:
                        return
                    cause = type(error).__name__  # its text is the sender's
                    self._trouble.error("gRPC gave up its server, which is replaced", cause)
                    retiring.create_task(self._retire(server))
                    await self.start()

    async def _retire(self, server: grpc.aio.Server) -> None:
        await server.stop(longest_call_s(self._settings))
        self._servers.remove(server)

    def _credentials(self, certificates: Certificates) -> grpc.ServerCredentials:
        """Return credentials that ask for the certificate at each handshake, on gRPC's thread."""
        return grpc.dynamic_ssl_server_credentials(
            certificates.current().grpc,
            lambda: certificates.current().grpc,
            require_client_authentication=certificates.settings.client_ca_file is not None,
        )

    async def drain(self, grace_s: float) -> None:
        """Say NOT_SERVING, refuse what is new, say GOAWAY, and answer the calls that are here.

        After ``grace_s`` they are cancelled. Safe twice and before start; a second call with a
        shorter grace hurries the first.
        """
        self._health.drain()
        if not self._servers:
            return
        if grace_s > 0 and not self._draining:
            self._draining = True
            await self._service.drain()
        self._is_stopped = True
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))
