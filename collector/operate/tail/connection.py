"""One answer of ``GET /api/v1/tail``: opened, judged by its head, read piece by piece until it ends."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast
from urllib.parse import urlsplit

import h11

from collector import __version__
from collector.errors import (
    ForbiddenError,
    SettingsError,
    TailLostError,
    UnauthenticatedError,
    UsageError,
)
from collector.operate.access import Access

CONNECT_S_MAX: Final = 10.0
"""For name, TCP and TLS together."""
HEAD_S_MAX: Final = 5.0
"""From the request to the head of its answer, which a server sends before it looks for items."""
SILENCE_S_MAX: Final = 45.0
"""The server's heart beats every 15 s: after three that did not come nobody is there."""
EVENT_STREAM: Final = "text/event-stream"

_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}
"""OpenSSL's words, of its versions, for an answer in clear."""
_READ_BYTES: Final = 2**16
_MESSAGE_BYTES_MAX: Final = 2**16
_MESSAGE_CHARS_MAX: Final = 500
_MESSAGE_S_MAX: Final = 5.0


class Server(NamedTuple):
    """Where the API is, and how to get in. ``repr`` would show the key: it is never printed."""

    url: str
    host: str
    port: int
    authority: str
    prefix: str
    """A path before ``/api``, where a proxy serves it under one."""
    tls: ssl.SSLContext | None
    key: str

    @classmethod
    def from_environment(
        cls, url: str, environ: Mapping[str, str], ca_file: Path | None = None
    ) -> Self:
        """Return the server of this URL, with the key of ``OTLPG_API_KEY``.

        CA and client certificate are those of the senders' variables (see ``access``); their headers
        are not, since a key that may send is not one that may read.

        Raises:
            SettingsError: it is no such URL, the key cannot be sent, or a file cannot be used.
        """
        refused = SettingsError(f"{url!a} is no address of an API; write http://host:port")
        try:
            parts = urlsplit(url)
            port = parts.port
            name = (parts.hostname or "").encode("idna")  # as who connects encodes it
        except ValueError:  # a port that is no number, half an IPv6 address, or an empty label
            raise refused from None
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in {"http", "https"} or not name or not plain or port == 0:
            raise refused
        if not url.isascii() or not url.isprintable() or " " in url:
            raise refused
        key = environ.get("OTLPG_API_KEY", "").strip()
        if not (key.isascii() and key.isprintable()):
            raise SettingsError("OTLPG_API_KEY holds a character that no key has")
        files = {n: v for n, v in environ.items() if n != "OTEL_EXPORTER_OTLP_HEADERS"}
        secure = parts.scheme == "https"
        return cls(
            url=url,
            host=name.decode(),
            port=port or (443 if secure else 80),
            authority=parts.netloc,
            prefix=parts.path.rstrip("/"),
            tls=Access.from_environment(files, ca_file).context() if secure else None,
            key=key,
        )


class Answer:
    """An answer on an open connection, whose body goes on."""

    def __init__(
        self, wire: h11.Connection, reader: asyncio.StreamReader, silence_s_max: float
    ) -> None:
        self._wire = wire
        self._reader = reader
        self._silence_s_max = silence_s_max

    async def head(self, head_s_max: float) -> h11.Response:
        """Return the head; what is only provisional is passed over.

        Raises:
            TailLostError: the connection ended before, broke, or speaks no HTTP; or the head was not
                whole in time.
        """
        try:
            async with asyncio.timeout(head_s_max):
                while True:
                    event = await self._event()
                    if isinstance(event, h11.Response):
                        return event
                    if not isinstance(event, h11.InformationalResponse):
                        raise TailLostError("the connection ended before an answer came")
        except TimeoutError:
            raise TailLostError(f"no answer within {head_s_max:g} s", is_silence=True) from None

    async def piece(self) -> bytes:
        """Return the next piece of the body; nothing at its end.

        Raises:
            TailLostError: the connection broke, or was silent for too long.
        """
        try:
            event = await self._event()
        except TailLostError as error:
            if isinstance(error.__cause__, h11.RemoteProtocolError):
                raise TailLostError("the connection broke off") from error
            raise
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> object:
        with _explained():
            while (event := self._wire.next_event()) is h11.NEED_DATA:
                try:
                    async with asyncio.timeout(self._silence_s_max):
                        self._wire.receive_data(await self._reader.read(_READ_BYTES))
                except TimeoutError:
                    raise TailLostError(f"nothing heard for {self._silence_s_max:g} s") from None
            return event


@asynccontextmanager
async def opened(
    server: Server,
    target: str,
    *,
    last_event_id: str = "",
    connect_s_max: float = CONNECT_S_MAX,
    head_s_max: float = HEAD_S_MAX,
    silence_s_max: float = SILENCE_S_MAX,
) -> AsyncGenerator[Answer]:
    """Open a tail and lend the answer, its head read; the connection is gone afterwards.

    Raises:
        TailLostError: nobody is there, the connection broke, or the server cannot serve now.
        UsageError: the server says what is wrong with the filter or a parameter.
        UnauthenticatedError: it wants a key, or knows not this one.
        ForbiddenError: the key is for something else.
    """
    with _explained():
        try:
            async with asyncio.timeout(connect_s_max):
                reader, writer = await asyncio.open_connection(
                    server.host, server.port, ssl=server.tls
                )
        except TimeoutError:
            raise TailLostError(f"no connection within {connect_s_max:g} s") from None
    try:
        wire = h11.Connection(h11.CLIENT)
        request = _request(server, target, last_event_id)
        writer.write((wire.send(request) or b"") + (wire.send(h11.EndOfMessage()) or b""))
        answer = Answer(wire, reader, silence_s_max)
        await _judge(server, await answer.head(head_s_max), answer)
        yield answer
    finally:
        writer.transport.abort()  # a goodbye could wait for a server that is gone


@contextmanager
def _explained() -> Generator[None]:
    """Make what the network does to a connection a TailLostError."""
    try:
        yield
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or type(error).__name__
        if reason in _NO_TLS:
            reason = "it does not speak it; http:// may be meant"
        raise TailLostError(f"TLS: {reason}") from error
    except OSError as error:
        # asyncio's own text of a refused connection is a Python tuple
        number = error.errno or 0
        text = os.strerror(number) if number > 0 else error.strerror
        raise TailLostError(text or str(error) or type(error).__name__) from error
    except h11.RemoteProtocolError as error:
        raise TailLostError("the answer is broken off, or no HTTP") from error


def _request(server: Server, target: str, last_event_id: str) -> h11.Request:
    optional = {"x-api-key": server.key, "last-event-id": last_event_id}
    return h11.Request(
        method="GET",
        target=server.prefix + target,
        headers=[
            ("host", server.authority),
            ("user-agent", f"otlpg-tail/{__version__}"),
            ("accept", EVENT_STREAM),
            ("accept-encoding", "identity"),
            ("cache-control", "no-store"),
            *((name, text) for name, text in optional.items() if text),
        ],
    )


async def _judge(server: Server, head: h11.Response, answer: Answer) -> None:
    """Return when the stream of a tail follows; see ``opened`` for what else there is."""
    headers = dict(head.headers)
    if head.status_code == HTTPStatus.OK:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if (
            kind != EVENT_STREAM.encode()
            or headers.get(b"content-encoding", b"identity") != b"identity"
        ):
            raise TailLostError("it answers, but not as otlpg's API does")
        return
    message = await _message(answer)
    match head.status_code:
        case HTTPStatus.BAD_REQUEST:
            raise UsageError(message or "the server takes no such filter or parameter")
        case HTTPStatus.UNAUTHORIZED:
            raise UnauthenticatedError(
                f"{server.url} does not know the key in OTLPG_API_KEY"
                if server.key
                else f"{server.url} wants an API key: put one of scope query into OTLPG_API_KEY"
            )
        case HTTPStatus.FORBIDDEN:
            raise ForbiddenError(
                f"{server.url} does not let the key in OTLPG_API_KEY read: it needs scope query"
                if server.key
                else f"{server.url} lets nobody in without another certificate or key"
            )
        case code:
            raise TailLostError(
                f"it answers {code}" + (f": {message}" if message else ""),
                retry_after_s=_retry_after_s(headers.get(b"retry-after", b"")),
                is_answer=bool(message)
                and code != HTTPStatus.NOT_FOUND,  # nor does ours say that here
            )


async def _message(answer: Answer) -> str:
    """Return what a problem document says, on one line; nothing when there is none.

    Spec: RFC 9457, member ``detail``.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_MESSAGE_S_MAX):
            while len(body) < _MESSAGE_BYTES_MAX and (piece := await answer.piece()):
                body += piece
        status: Any = json.loads(body)
    except (TimeoutError, TailLostError, ValueError, RecursionError):
        return ""  # the status code says enough
    message = cast("dict[str, Any]", status).get("detail") if isinstance(status, dict) else None
    return " ".join(message.split())[:_MESSAGE_CHARS_MAX] if isinstance(message, str) else ""


def _retry_after_s(text: bytes) -> float | None:
    """Return the seconds of Retry-After; a date, which otlpg never sends, is not read."""
    return float(text) if text.isdigit() else None
