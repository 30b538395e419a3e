"""The listener of the API."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from collector.api.errors import problem_complaint
from collector.receive.certificates import Certificates
from collector.receive.http_protocol import protocol_for
from collector.receive.listeners import shared_sockets
from collector.receive.tls_listener import TlsListener
from collector.settings import Settings
from collector.telemetry.clock import Clock
from collector.telemetry.serving import EmbeddedServer

UNSENT_BYTES_MAX: Final = 128 * 1024
"""What the kernel takes of an answer beyond what is on its way. Left alone it takes megabytes, and
a slow reader of a live tail would see what is minutes old, instead of what it can keep up with."""

KEEP_ALIVE_S: Final = 75
STOP_S_MAX: Final = 2
"""Answers under way have so long at a stop; then connections are cut."""


class ApiServer:
    """Serves an application, which decides who may read."""

    def __init__(
        self,
        settings: Settings,
        app: ASGIApp,
        *,
        certificates: Certificates | None,
        clock: Clock,
    ) -> None:
        """``certificates`` None: in clear."""
        self._settings = settings
        self._certificates = certificates
        self._clock = clock
        self._app = app
        self._server: EmbeddedServer | None = None
        self._sockets: list[socket.socket] = []
        self.port = 0

    def bind(self) -> None:
        """Take the address; afterwards ``port`` is the real one, and ``run`` serves.

        Raises:
            SettingsError: the address cannot be listened on.
        """
        api, receive = self._settings.api, self._settings.receive
        self._sockets = shared_sockets(api.host, api.port, setting="api.port")
        self.port = self._sockets[0].getsockname()[1]
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections have it of their listener
            for listener in self._sockets:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)
        accept = None
        if self._certificates is not None:
            certificates = self._certificates
            accept = TlsListener(
                lambda: certificates.current().context,
                handshake_s_max=self._settings.tls.handshake_s_max,
                clock=self._clock,
            ).run
        self._server = EmbeddedServer(
            uvicorn.Config(
                self._app,
                http=protocol_for(receive.connection_age_s_max, problem_complaint),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=receive.header_bytes_max,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=2 * STOP_S_MAX,
            ),
            accept=accept,
        )

    async def run(self) -> None:
        """Serve until ``stop``; ``bind`` came first."""
        assert self._server is not None
        await self._server.serve(sockets=self._sockets)

    async def listening(self) -> None:
        """Return once readers can connect."""
        assert self._server is not None
        await self._server.listening.wait()

    def stop(self) -> None:
        """Stop soon. Safe twice and before ``run``."""
        if self._server is not None and not self._server.should_exit:
            self._server.should_exit = True
            asyncio.get_running_loop().call_later(STOP_S_MAX, self._cut, self._server)

    @staticmethod
    def _cut(server: EmbeddedServer) -> None:
        """Leave readers who take nothing: uvicorn would cancel their answers, and log each as a fault."""
        for connection in list(server.server_state.connections):
            if connection.transport is not None:  # pyright: ignore[reportUnnecessaryComparison] -- at first
                connection.transport.abort()
