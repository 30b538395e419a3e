"""The OTLP/HTTP listener: uvicorn on a shared port, and its drain."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import uvicorn

from collector.receive.auth import Gate
from collector.receive.certificates import Certificates
from collector.receive.export import Export
from collector.receive.http_protocol import protocol_for, status_complaint
from collector.receive.http_service import OtlpHttpService
from collector.receive.listeners import shared_sockets
from collector.receive.tls_listener import TlsListener
from collector.receive.turns import Turns
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics
from collector.telemetry.serving import Accept, EmbeddedServer

KEEP_ALIVE_S: Final = 75
"""An idle connection stays this long: above the minute at which SDKs export metrics."""

LAST_WORD_S: Final = 0.5
"""Time for the answers to requests that were given up."""

QUIET_S: Final = 0.2
"""A drain answers new requests with "try again" for so long before the listener closes."""


class HttpServer:
    """The OTLP/HTTP listener of one worker; its port is shared with the other workers."""

    def __init__(
        self,
        settings: ReceiveSettings,
        export: Export,
        *,
        gate: Gate,
        certificates: Certificates | None = None,
        items_max: int,
        clock: Clock,
        metrics: Metrics,
        turns: Turns,
    ) -> None:
        """``items_max`` is the cap on the items of one request; ``certificates`` None: in clear."""
        self._settings = settings
        self._service = OtlpHttpService(export, gate, settings, items_max, clock, metrics, turns)
        self._certificates = certificates
        self._clock = clock
        self._server: EmbeddedServer | None = None
        self._sockets: list[socket.socket] = []
        self._draining = False
        self._ended = asyncio.Event()
        self.port = 0

    def bind(self) -> None:
        """Take the address; afterwards ``port`` is the real one, and ``run`` serves.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        settings = self._settings
        self._sockets = shared_sockets(
            settings.http_host, settings.http_port, setting="receive.http_port"
        )
        self.port = self._sockets[0].getsockname()[1]
        self._server = EmbeddedServer(
            uvicorn.Config(
                self._service.app(),
                http=protocol_for(settings.connection_age_s_max, status_complaint),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # or a header of the sender's would name the connection
                h11_max_incomplete_event_size=settings.header_bytes_max,
                timeout_keep_alive=KEEP_ALIVE_S,
            ),
            accept=self._accept(),
        )

    def _accept(self) -> Accept | None:
        """Return what accepts with TLS; None without a certificate: uvicorn does, in clear."""
        certificates = self._certificates
        if certificates is None:
            return None
        return TlsListener(
            lambda: certificates.current().context,
            handshake_s_max=certificates.settings.handshake_s_max,
            clock=self._clock,
        ).run

    async def run(self) -> None:
        """Serve until ``drain``; ``bind`` came first."""
        assert self._server is not None
        try:
            await self._server.serve(sockets=self._sockets)
        finally:
            self._ended.set()

    async def listening(self) -> None:
        """Return once senders can connect."""
        assert self._server is not None
        await self._server.listening.wait()

    async def drain(self, grace_s: float) -> None:
        """Refuse what is new, close the listener, and let the requests that are here be answered.

        After ``grace_s`` they are refused. Safe twice and before ``run``; a second call with a
        shorter grace hurries the first.
        """
        self._service.drain()
        server = self._server
        if server is None or not server.listening.is_set():
            return
        if grace_s > 0 and not self._draining:
            self._draining = True
            await asyncio.sleep(min(QUIET_S, grace_s))
        server.should_exit = True
        try:
            async with asyncio.timeout(grace_s):
                await self._ended.wait()
        except TimeoutError:
            self._service.give_up()
            try:
                async with asyncio.timeout(LAST_WORD_S):
                    await self._ended.wait()
            except TimeoutError:
                server.force_exit = True
                await self._ended.wait()
