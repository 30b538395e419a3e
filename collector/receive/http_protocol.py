"""uvicorn's HTTP/1.1 connection, with the ends that it lacks: late heads, old age, too many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import h11
from google.rpc import code_pb2
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from collector.receive.auth import names_of_peer
from collector.receive.limits import connections_max
from collector.receive.lingering import LingeringTransport

HEAD_S_MAX: Final = 10.0
"""From a connection's first moment, or the first byte of a later request, to the end of its head."""

LINGER_S_MAX: Final = 5.0
"""An answer may come before the end of the body; the rest is taken and forgotten for so long. To
close at once would reset the connection, and most senders would never see the answer."""

LINGER_BYTES_MAX: Final = 2**30
"""And no more than so many: what a fast network brings in that time."""

LEAVES_AT_S: Final = "leaves_at_s"
"""Key in ``scope["state"]``: the loop's time at which the connection should be closed."""

ABORT: Final = "abort"
"""Key in ``scope["state"]``: ends the connection at once, whatever still waits to be sent."""

PEER_NAMES: Final = "peer_names"
"""Key in ``scope["state"]``: the names in the sender's certificate; none without one."""

Complaint = Callable[[str], tuple[str, bytes]]
"""Makes content type and body of the answer to what is no HTTP, of a text that says so."""


def status_complaint(text: str) -> tuple[str, bytes]:
    """Complain in a ``google.rpc.Status``; in JSON, since no content type is known."""
    content = {"code": code_pb2.INVALID_ARGUMENT, "message": text}
    return "application/json", json.dumps(content).encode()


def protocol_for(age_s_max: float, complaint: Complaint) -> type[H11Protocol]:
    """Return a protocol whose connections should live about ``age_s_max``."""

    class AgingProtocol(BoundedProtocol):
        age_s = age_s_max
        complain = staticmethod(complaint)

    return AgingProtocol


class BoundedProtocol(H11Protocol):
    """One connection of a sender, which cannot stay for ever without sending a request."""

    age_s: float
    complain: Complaint
    _line: LingeringTransport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._end_timer: asyncio.TimerHandle | None = None
        self._forgotten_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or end at once where there are too many."""
        self._line = LingeringTransport(transport, self._begin_last_linger)
        super().connection_made(self._line)
        if len(self.connections) > connections_max():
            transport.abort()
            return
        # Spread by 10 %, as gRPC core does: senders that came together do not leave together.
        spread = 0.9 + 0.2 * (id(self) // 16 % 64) / 64
        self.app_state = {
            **self.app_state,
            LEAVES_AT_S: self.loop.time() + self.age_s * spread,
            PEER_NAMES: names_of_peer(transport.get_extra_info("peercert")),
            ABORT: transport.abort,
        }
        self._end_in(HEAD_S_MAX)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and see whether they end a head."""
        if self._lingers() and self._forget(len(data)):
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE and not self._lingers():
            self._cancel_end()
        elif self._end_timer is None and not self.transport.is_closing():
            self._end_in(HEAD_S_MAX)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for what is left of this one."""
        super().on_response_complete()
        self._forgotten_bytes = 0
        if self._lingers() and not self.transport.is_closing():
            self._end_in(LINGER_S_MAX)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as any other bad call."""
        content_type, content = self.complain(msg)
        headers = [
            ("content-type", content_type),
            ("content-length", str(len(content))),
            ("connection", "close"),
        ]
        head = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers)
        for event in (head, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._cancel_end()
        super().connection_lost(exc)

    def _lingers(self) -> bool:
        """Whether the answer is given and the body is still on its way."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete

    def _forget(self, size: int) -> bool:
        """Count bytes that come behind an answer; return whether nobody needs to look at them.

        On a connection that stays, the protocol looks for the end of the body among them.
        """
        self._forgotten_bytes += size
        if self._forgotten_bytes > LINGER_BYTES_MAX:
            self._line.end()
        return self.transport.is_closing()

    def _begin_last_linger(self) -> bool:
        """Bound the wait for a body that is still on its way behind the last answer, if one is.

        Return whether.
        """
        if not self._lingers():
            return False
        self._end_in(LINGER_S_MAX)
        return True

    def _end_in(self, wait_s: float) -> None:
        self._cancel_end()
        self._end_timer = self.loop.call_later(wait_s, self._line.end)

    def _cancel_end(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
