"""OTLP over HTTP, protobuf or JSON: one connection per request, as a short-lived sender has it.

Written on h11, which the daemon's own listener rests on: an HTTP client that follows redirects,
reads proxy variables or tries again by itself would hide what the canary is there to see.
"""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import h11
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from collector import __version__
from collector.operate.access import Access
from collector.operate.endpoint import parse
from collector.operate.verify.doors import RESPONSES, Answer, answer_of
from collector.operate.verify.options import Protocol
from collector.restore.equality import ExportRequest
from collector.restore.otlp_json import to_json
from collector.rows import Signal

CONTENT_TYPES: Final = {
    Protocol.HTTP_PROTOBUF: "application/x-protobuf",
    Protocol.HTTP_JSON: "application/json",
}
REPLY_BYTES_MAX: Final = 2**20
_READ_BYTES: Final = 2**16

RETRYABLE_STATUSES: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Spec: opentelemetry-specification protocol/otlp.md, "Retryable Response Codes"."""


class HttpDoor:
    """Holds nothing open between two requests."""

    def __init__(
        self, endpoint: str, protocol: Protocol, access: Access, *, agent: str = "otlpg-verify"
    ) -> None:
        self._authority, secure = parse(endpoint)
        url = urlsplit(f"//{self._authority}")
        self._host, self._port = url.hostname or "", url.port or 443
        self._protocol = protocol
        self._headers = access.headers
        self._agent = agent
        self._tls = access.context() if secure else None

    def encode(self, request: ExportRequest) -> bytes:
        """Return the message in this door's encoding."""
        if self._protocol is Protocol.HTTP_JSON:
            return to_json(request)
        return request.SerializeToString()

    async def send(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        """Make one request; a daemon that is away, or an answer cut short, is to be tried again."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(signal, body)
        except TimeoutError:
            return Answer("retry", "TIMEOUT", f"no answer within {timeout_s:g} s")
        except ssl.SSLError as error:
            return Answer("retry", "TLS", error.reason or type(error).__name__)
        except OSError as error:
            return Answer("retry", "UNREACHABLE", error.strerror or type(error).__name__)
        except h11.RemoteProtocolError:
            return Answer("retry", "CUT_SHORT", "the connection ended before its answer did")

    async def close(self) -> None:
        """Do nothing: no connection outlives its request."""

    async def _exchange(self, signal: Signal, body: bytes) -> Answer:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            wire = h11.Connection(h11.CLIENT)
            writer.write(
                b"".join(
                    wire.send(event) or b""
                    for event in (
                        self._head(signal, len(body)),
                        h11.Data(data=body),
                        h11.EndOfMessage(),
                    )
                )
            )
            await writer.drain()
            return self._heard(signal, *await _response(wire, reader))
        finally:
            writer.close()

    def _head(self, signal: Signal, length: int) -> h11.Request:
        return h11.Request(
            method="POST",
            target=f"/v1/{signal}",
            headers=[
                ("host", self._authority),
                ("user-agent", f"{self._agent}/{__version__}"),
                ("content-type", CONTENT_TYPES[self._protocol]),
                ("content-length", str(length)),
                ("connection", "close"),
                *self._headers,
            ],
        )

    def _heard(self, signal: Signal, head: h11.Response, body: bytes) -> Answer:
        if head.status_code != HTTPStatus.OK:
            outcome = "retry" if head.status_code in RETRYABLE_STATUSES else "never"
            return Answer(outcome, str(head.status_code), "", _retry_after_s(head))
        response = RESPONSES[signal]()
        try:
            if self._protocol is Protocol.HTTP_JSON:
                json_format.Parse(body, response, ignore_unknown_fields=True)
            else:
                response.ParseFromString(body)
        except (DecodeError, json_format.ParseError):
            return Answer("never", "UNDECODABLE", "the reply is no OTLP response")
        return answer_of(response)


async def _response(
    wire: h11.Connection, reader: asyncio.StreamReader
) -> tuple[h11.Response, bytes]:
    """Return head and body of the answer.

    Raises:
        h11.RemoteProtocolError: it ended too early, is no HTTP, or is too long.
    """
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > REPLY_BYTES_MAX:
                raise h11.RemoteProtocolError("the reply is too long")
        elif head is not None and isinstance(event, h11.EndOfMessage):
            return head, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("the connection was closed")


def _retry_after_s(head: h11.Response) -> float | None:
    """Return the seconds of Retry-After; a date, which otlpg never sends, is not read."""
    text = dict(head.headers).get(b"retry-after", b"").decode("ascii", "replace")
    return float(text) if text.isdecimal() else None
