"""OTLP over HTTP/1.1: protobuf and JSON at ``/v1/traces``, ``/v1/metrics`` and ``/v1/logs``.

A reply has the content type of its request. There is no redirect, because the Python SDK takes one
for the end of its data, and no other path.

Spec: opentelemetry-specification protocol/otlp.md, OTLP/HTTP.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.convert.otlp_json import transcode
from collector.errors import (
    DrainingError,
    MalformedCallError,
    TooLargeError,
    UnsupportedMediaError,
)
from collector.receive.auth import CHALLENGE, Gate
from collector.receive.content import largest, read_content
from collector.receive.export import Ack, Export
from collector.receive.http_protocol import LEAVES_AT_S, PEER_NAMES
from collector.receive.listeners import authority
from collector.receive.refusal import to_message
from collector.receive.reply import to_reply
from collector.receive.status import RETRY_AFTER_S, Verdict
from collector.receive.turns import Turns
from collector.receive.verdicts import Verdicts
from collector.rows import Signal
from collector.settings import ReceiveSettings
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_ABSOLUTE: Final = re.compile("https?://[^/?#]+", re.IGNORECASE)


class OriginForm:
    """Takes scheme and authority off a target that has them, as one for a proxy does.

    ``raw_path`` stays: the bound on the head counts it.

    Spec: RFC 9112, section 3.2.2 (absolute-form).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on."""
        if scope["type"] == "http" and (absolute := _ABSOLUTE.match(scope["path"])):
            scope = {**scope, "path": scope["path"][absolute.end() :] or "/"}
        await self._app(scope, receive, send)


class OtlpHttpService:
    """Hands the body of each request to the export body and its verdict to the sender."""

    def __init__(
        self,
        export: Export,
        gate: Gate,
        settings: ReceiveSettings,
        items_max: int,
        clock: Clock,
        metrics: Metrics,
        turns: Turns,
    ) -> None:
        self._export = export
        self._gate = gate
        self._settings = settings
        self._items_max = items_max
        self._turns = turns
        self._verdicts = Verdicts("http", clock, metrics)
        self._json = asyncio.Lock()  # one at a time: each is thirty times its size at the worst
        self._draining = False
        self._exporting: set[asyncio.Task[Ack]] = set()

    def app(self) -> Starlette:
        """Return the application: three paths, with or without a slash behind."""
        routes = [
            Route(path, partial(self._answer, signal), methods=["POST"])
            for signal in Signal
            for path in (f"/v1/{signal}", f"/v1/{signal}/")
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_call})
        app.router.redirect_slashes = False
        if self._settings.cors_origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=self._settings.cors_origins,
                allow_methods=["POST"],
                allow_headers=["*"],
            )
        app.add_middleware(OriginForm)
        return app

    def drain(self) -> None:
        """Refuse every new request; those that are here go on."""
        self._draining = True

    def give_up(self) -> None:
        """Refuse the requests that are here, too."""
        for exporting in self._exporting:
            exporting.cancel()

    async def _answer(self, signal: Signal, request: Request) -> Response:
        head_bytes_max = self._settings.header_bytes_max
        if _head_bytes(request) > head_bytes_max:
            return _status(
                request,
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                code_pb2.RESOURCE_EXHAUSTED,
                f"the request's head is larger than {head_bytes_max} bytes",
                {"connection": "close"},
            )
        media = _media_of(request)
        try:
            credential_id = await self._gate.admit(
                request.headers.items, partial(getattr, request.state, PEER_NAMES)
            )
            ack = await self._until_gone(signal, _supported(media), request, credential_id)
        except ClientDisconnect:
            self._verdicts.count(signal, "CANCELLED")
            return Response(status_code=499)  # nobody reads it
        except asyncio.CancelledError:
            self._verdicts.count(signal, "CANCELLED")
            raise
        except Exception as error:  # noqa: BLE001 -- the edge: an exception's text must not leave
            verdict = self._verdicts.judge(signal, error)
        else:
            self._verdicts.count(signal, "OK")
            return _response(media or JSON, to_reply(signal, ack), request)
        # Past the except block, whose error holds the converted request; see grpc_service.
        self._verdicts.count_verdict(signal, verdict, _peer(request))
        leave = self._draining or _is_ambiguous(request)
        return _refusal(media or JSON, verdict, leave=leave)

    async def _until_gone(
        self, signal: Signal, media: str, request: Request, credential_id: bytes
    ) -> Ack:
        """Export, and stop when the sender goes away before it has its answer.

        Raises:
            DrainingError: nothing new is taken, or it was given up.
            ClientDisconnect: it did.
        """
        if self._draining:
            raise DrainingError
        body_is_here = asyncio.Event()

        async def read() -> bytes:
            body = await self._read(media, request)
            body_is_here.set()
            return body

        async def left() -> None:
            await body_is_here.wait()
            while (await request.receive())["type"] != "http.disconnect":
                pass

        exporting = asyncio.create_task(
            self._export.export(
                signal,
                read,
                left_s=None,
                transcode=partial(self._transcode, signal) if media == JSON else None,
                body_bytes_max=self._body_bytes_max(media, request),
                connection=_peer(request),
                credential_id=credential_id,
            )
        )
        leaving = asyncio.create_task(left())
        self._exporting.add(exporting)
        try:
            await asyncio.wait((exporting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not exporting.done():
                raise ClientDisconnect
            if exporting.cancelled():
                raise DrainingError
            return exporting.result()
        finally:
            self._exporting.discard(exporting)
            exporting.cancel()
            leaving.cancel()
            await asyncio.wait((exporting, leaving))
            # An error on its way out holds this frame, and a task holds its error: a cycle around
            # the whole body. Refused ones of 45 MiB came to 3.6 GiB until the collector came by.
            del exporting, leaving

    def _body_bytes_max(self, media: str, request: Request) -> int:
        """Return the largest that the unpacked body may be."""
        announced = request.headers.get("content-length")
        bytes_max = self._bytes_max(media)
        if announced is None:
            return bytes_max
        return min(bytes_max, largest(int(announced), _coding_of(request)))

    def _bytes_max(self, media: str) -> int:
        settings = self._settings
        return settings.json_bytes_max if media == JSON else settings.request_bytes_max

    async def _read(self, media: str, request: Request) -> bytes:
        """Return the unpacked body.

        Raises:
            RejectedRequestError: it cannot be read, or is too large.
            ClientDisconnect: it did not come to its end.
        """
        if _is_ambiguous(request):
            raise MalformedCallError("Content-Length and Transfer-Encoding exclude each other")
        bytes_max = self._bytes_max(media)
        if _content_length(request) > bytes_max:
            raise TooLargeError(bytes_max)
        return await read_content(request.stream(), _coding_of(request), bytes_max, self._turns)

    async def _transcode(self, signal: Signal, body: bytes) -> bytes:
        """Return JSON in protobuf, once those that came before have theirs.

        Raises:
            RejectedRequestError: it is no JSON, or not of this signal, or too much.
        """
        async with self._json:
            steps = transcode(signal, body, items_max=self._items_max)
            del body
            began_s = self._turns.now_s()
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    wire: bytes = end.value
                    return wire
                began_s = await self._turns.give_way(began_s)


def _media_of(request: Request) -> str | None:
    """Return the content type without parameters; None: not one of ours, or not in UTF-8."""
    media, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media.strip() not in (PROTOBUF, JSON) or charset not in ("", "utf-8"):
        return None
    return media.strip()


def _is_ambiguous(request: Request) -> bool:
    """Tell whether the end of the body depends on who reads.

    A proxy that goes by the length would pass on as body what is a second request here, past all
    that it checks. So nothing behind such a head is read.

    Spec: RFC 9112, section 6.1.
    """
    return "content-length" in request.headers and "transfer-encoding" in request.headers


def _supported(media: str | None) -> str:
    """Return a content type that we read.

    Raises:
        UnsupportedMediaError: it is not one.
    """
    if media is None:
        raise UnsupportedMediaError(f"Content-Type must be {PROTOBUF} or {JSON}")
    return media


def _coding_of(request: Request) -> str:
    return ",".join(request.headers.getlist("content-encoding"))


def _head_bytes(request: Request) -> int:
    """Return the size of the head; h11 bounds only what it has to keep while it waits for more."""
    target = len(request.scope["raw_path"]) + len(request.scope["query_string"])
    return target + sum(len(name) + len(value) for name, value in request.headers.raw)


def _peer(request: Request) -> str:
    """Return the address and port of the other end, one per connection."""
    return authority(*request.client) if request.client else ""


def _content_length(request: Request) -> int:
    """Return what the sender announced, 0 when it announced nothing; h11 has checked the digits."""
    return int(request.headers.get("content-length", "0"))


def _response(media: str, reply: Message, request: Request) -> Response:
    leaves_at_s = getattr(request.state, LEAVES_AT_S)
    is_old = asyncio.get_running_loop().time() >= leaves_at_s
    return Response(
        _encode(media, reply), media_type=media, headers={"connection": "close"} if is_old else None
    )


def _refusal(media: str, verdict: Verdict, *, leave: bool) -> Response:
    """Return an error; ``leave`` ends the connection with it."""
    headers = {"connection": "close"} if leave else {}
    if verdict.retryable:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if verdict.http_status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = CHALLENGE
    return Response(
        _encode(media, to_message(verdict)),
        status_code=verdict.http_status,
        media_type=media,
        headers=headers,
    )


async def _no_such_call(request: Request, error: Exception) -> Response:
    """Answer another path or method than ours, as gRPC answers another method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    return _status(request, error.status_code, code_pb2.UNIMPLEMENTED, phrase, error.headers)


def _status(
    request: Request, http_status: int, code: int, text: str, headers: Mapping[str, str] | None
) -> Response:
    """Return an error that no verdict is about, in the content type of the request or in JSON."""
    media = _media_of(request) or JSON
    content = _encode(media, status_pb2.Status(code=code, message=text))
    return Response(content, http_status, headers, media)


def _encode(media: str, message: Message) -> bytes:
    if media == JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()
