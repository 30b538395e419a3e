"""A listener that speaks gRPC: its limits, its end, and its replacement when gRPC gives it up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from collector.errors import SettingsError
from collector.receive.certificate_files import Material
from collector.receive.certificates import Certificates
from collector.receive.grpc_stop import stop
from collector.receive.limits import connections_max, descriptors_are_short
from collector.receive.listeners import authority
from collector.receive.replacements import Pauses, keep_paths_out_of_the_log
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

STREAMS_PER_CONNECTION_MAX: Final = 256
"""Calls of one connection at once; more wait in the sender, who sees no error."""
KEEPALIVE_S: Final = 60
"""A silent connection is asked this often whether it still lives."""
KEEPALIVE_WAIT_S: Final = 20
SENDER_PING_S_MIN: Final = 10
"""Senders may ping us this often, with or without calls; gRPC's own 5 minutes punishes most."""

LOOK_S: Final = 0.1
"""Between two looks whether the server has ended; grpc.aio tells nobody."""
RETIRING_MAX: Final = 4
"""Servers that were given up and may answer their calls; each counts connections for itself."""


def to_options(
    settings: ReceiveSettings, *, message_bytes_max: int, call_s_max: float
) -> list[tuple[str, int]]:
    """Return gRPC core's channel arguments for the limits of ``settings`` and of this process.

    Core spreads the connection age by 10 % by itself. Its grace is longer than any call may last,
    so that an aged connection never costs a call. Windows do not grow with the bandwidth, because
    bodies that wait for a slot lie in them: 400 calls of 170 kB held 57 MiB instead of 27.
    """
    return [
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_metadata_size", settings.header_bytes_max),
        ("grpc.absolute_max_metadata_size", settings.header_bytes_max),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        ("grpc.max_allowed_incoming_connections", connections_max()),
        ("grpc.max_connection_age_ms", int(settings.connection_age_s_max * 1000)),
        ("grpc.max_connection_age_grace_ms", int(call_s_max * 1000)),
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_WAIT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", SENDER_PING_S_MIN * 1000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", SENDER_PING_S_MIN * 1000),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.so_reuseport", 1),
    ]


class Door(NamedTuple):
    """Where to listen; a path is a socket of this machine, in clear, and wins over the rest."""

    host: str
    port: int
    host_setting: str
    port_setting: str
    path: Path | None = None


class GrpcListener:
    """Serves handlers at one door; a port may be shared with other processes.

    grpc.aio (1.85) decodes the path of a call outside of any ``try``: a single call whose path is
    not UTF-8 ends its accept loop, and with it the listener, for good. Nothing in front of that
    loop can be asked to look at paths, so ``run`` replaces a server that has ended in this way.

    What is left of the harm: whoever may connect, with or without a key, can make all others that
    this process serves connect again, and close the port for ``Pauses`` between two servers. No call that
    is here is lost by one such call in a while; those of ``RETIRING_MAX`` servers go on at once,
    and beyond, or when descriptors run short, the oldest server's are cancelled, which OTLP lets
    their senders repeat. A proxy in front, or client certificates, keep strangers from it.
    """

    def __init__(
        self,
        door: Door,
        handlers: Sequence[grpc.GenericRpcHandler],
        options: Sequence[tuple[str, int]],
        *,
        call_s_max: float,
        certificates: Certificates | None = None,
        clock: Clock,
        logger: str,
    ) -> None:
        """``certificates`` None: in clear. A call of a server that was given up gets ``call_s_max``."""
        self._door = door
        self._handlers = tuple(handlers)
        self._options = list(options)
        self.call_s_max = call_s_max
        self._certificates = certificates
        self._listening: grpc.aio.Server | None = None
        self._retiring: dict[grpc.aio.Server, None] = {}  # oldest first
        self._changing = asyncio.Lock()  # so that a drain sees each server that was started
        self._clock = clock
        self._trouble = Trouble(logger, clock)
        self._stopped = asyncio.Event()
        self.port = door.port

    @property
    def retiring(self) -> int:
        """How many servers were given up and still have calls or connections."""
        return len(self._retiring)

    async def start(self) -> None:
        """Listen; afterwards ``port`` is the real one.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        options = list(self._options)
        if self._certificates is not None:
            handshake_ms = int(self._certificates.settings.handshake_s_max * 1000)
            options.append(("grpc.server_handshake_timeout_ms", handshake_ms))
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(self._handlers)
        address = self._address()
        try:
            if self._certificates is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, self._credentials(self._certificates))
        except RuntimeError as error:
            raise SettingsError(
                f"{self._door.host_setting}, {self._door.port_setting}: cannot listen on {address}"
            ) from error
        await server.start()
        self._listening = server

    def _address(self) -> str:
        if self._door.path is not None:
            return f"unix:{self._door.path}"
        return authority(self._door.host, self.port)

    async def run(self) -> None:
        """Keep a server listening until ``drain``; ``start`` came first.

        The calls of one that was given up go on: only its listener and its connections end, the
        latter with a GOAWAY, and their senders come to its successor. A call that comes just before
        its sender has read the GOAWAY hears CANCELLED, which OTLP lets it repeat.

        Raises:
            SettingsError: the port has been taken meanwhile.
        """
        keep_paths_out_of_the_log()
        pauses = Pauses()
        async with asyncio.TaskGroup() as retiring:
            while (server := self._listening) is not None:
                began_s = self._clock.monotonic_s()
                await self._end_of(server)
                if self._stopped.is_set():
                    return
                self._listening = None
                self._retiring[server] = None
                retiring.create_task(self._retire(server))
                await self._pause(pauses.after(self._clock.monotonic_s() - began_s))
                await self._shorten(RETIRING_MAX)
                async with self._changing:
                    if not self._stopped.is_set():
                        await self.start()

    async def _end_of(self, server: grpc.aio.Server) -> None:
        """Return once the server has stopped or gRPC has given it up, which is logged."""
        while not self._stopped.is_set():
            try:
                await server.wait_for_termination(LOOK_S)
            except Exception as error:  # noqa: BLE001 -- whatever ended it, others must be served
                if not self._stopped.is_set():
                    cause = type(error).__name__  # its text is the sender's
                    self._trouble.error("gRPC gave up its server, which is replaced", cause)
                return

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stopped.wait()

    async def _retire(self, server: grpc.aio.Server) -> None:
        """Let the calls of a server that was given up end, while there are descriptors for it."""
        stopping = asyncio.create_task(stop(server, self.call_s_max))
        try:
            while not stopping.done():
                await asyncio.wait((stopping,), timeout=LOOK_S)
                if descriptors_are_short():
                    await self._shorten(0)
            await stopping
        finally:
            stopping.cancel()
            self._retiring.pop(server, None)

    async def _shorten(self, count: int) -> None:
        """Cut the oldest servers that were given up until no more than ``count`` are left."""
        while len(self._retiring) > count:
            oldest = next(iter(self._retiring))
            self._trouble.warn("calls of a replaced gRPC server are cut", "too_many")
            await stop(oldest, 0)
            self._retiring.pop(oldest, None)

    def _credentials(self, certificates: Certificates) -> grpc.ServerCredentials:
        """Return credentials that ask for the certificate at each handshake, on gRPC's thread."""
        used = certificates.current()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """Return what handshakes use from now on; None: what the last one used."""
            nonlocal used
            current = certificates.current()
            if current is used:
                return None
            used = current
            return _to_grpc(current)

        return grpc.dynamic_ssl_server_credentials(
            _to_grpc(used),
            renewed,  # pyright: ignore[reportArgumentType] -- gRPC takes None, its stubs do not
            require_client_authentication=certificates.settings.client_ca_file is not None,
        )

    async def drain(self, grace_s: float) -> None:
        """Refuse what is new, say GOAWAY, and let the calls that are here end.

        After ``grace_s`` they are cancelled. Safe twice and before start; a second call with a
        shorter grace hurries the first.
        """
        async with self._changing:
            self._stopped.set()
            servers = [*self._retiring, *([self._listening] if self._listening else [])]
        await asyncio.gather(*(stop(server, grace_s) for server in servers))

    @property
    def is_listening(self) -> bool:
        """Whether a server listens now; between two of them none does."""
        return self._listening is not None


def _to_grpc(material: Material) -> grpc.ServerCertificateConfiguration:
    """Return what gRPC wants for one handshake; it parses the texts itself."""
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.chain)], material.authority
    )
