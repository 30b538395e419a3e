"""TLS in front of uvicorn: accepts, shakes hands, and hands the connection over.

uvicorn hands the loop one ``ssl`` context for all time, a minute for each handshake, and no bound on
those under way. Here each connection gets the context of its moment, so a renewed certificate or
client CA holds at once; a handshake ends in time; and what shakes hands counts as a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from collector.receive.limits import connections_max
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.serving import EmbeddedServer

GOODBYE_S_MAX: Final = 2.0
"""A peer that is told good-bye may answer so long."""
PAUSE_S: Final = 0.5
"""Without descriptors, until accepting is tried again."""


class TlsListener:
    """Accepts for an ``EmbeddedServer``; ``run`` is its ``Accept``."""

    def __init__(
        self, context: Callable[[], ssl.SSLContext], *, handshake_s_max: float, clock: Clock
    ) -> None:
        self._context = context
        self._handshake_s_max = handshake_s_max
        self._trouble = Trouble("otlpg.receive", clock)

    async def run(self, server: EmbeddedServer, sockets: Sequence[socket.socket]) -> None:
        """Accept on all ``sockets``, which are bound, until cancelled; then close them."""
        shaking: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as tasks:
                for listener in sockets:
                    listener.setblocking(False)
                    listener.listen(server.config.backlog)
                    tasks.create_task(self._accept(server, listener, tasks, shaking))
        finally:
            for listener in sockets:
                listener.close()

    async def _accept(
        self,
        server: EmbeddedServer,
        listener: socket.socket,
        tasks: asyncio.TaskGroup,
        shaking: set[asyncio.Task[None]],
    ) -> None:
        """Accept for ever; ``shaking`` holds the handshakes under way on all listeners."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except ConnectionAbortedError:
                continue  # it left before it was accepted
            except OSError as error:  # no descriptor, no memory: others may give them back
                self._trouble.warn("connections wait", errno.errorcode.get(error.errno or 0, ""))
                await asyncio.sleep(PAUSE_S)
                continue
            if len(shaking) + len(server.server_state.connections) >= connections_max():
                connection.close()
                await asyncio.sleep(0)
                continue
            task = tasks.create_task(self._shake_hands(server, connection))
            shaking.add(task)
            task.add_done_callback(shaking.discard)
            await asyncio.sleep(0)  # sock_accept does not wait while others stand in line

    async def _shake_hands(self, server: EmbeddedServer, connection: socket.socket) -> None:
        """Make a connection of uvicorn's out of an accepted one, or close it."""
        make = cast("Any", server.config.http_protocol_class)
        with contextlib.suppress(OSError):  # not TCP's
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: make(
                    config=server.config,
                    server_state=server.server_state,
                    app_state=server.lifespan.state,
                ),
                connection,
                ssl=self._context(),
                ssl_handshake_timeout=self._handshake_s_max,
                ssl_shutdown_timeout=GOODBYE_S_MAX,
            )
        except Exception as error:  # noqa: BLE001 -- the edge: one certificate that ssl cannot read
            # (a name that is not UTF-8) must not end the listener. Mostly it is an SSLError.
            connection.close()
            reason = error.reason if isinstance(error, ssl.SSLError) else None
            self._trouble.warn("TLS handshake failed", reason or type(error).__name__)
