"""What Jaeger asks at the port of OTLP, passed on to the API as it is, and back.

Jaeger has one address for a remote storage: it writes OTLP to it and reads ``jaeger.storage.v2`` from
it. Reading is no work for a worker: messages go through as bytes, one in memory at a time, a few
calls at once; a caller that takes none for as long as a statement may last is let go. What the port
of OTLP lets in without a key is for senders; so where it can be reached from elsewhere, reading
through it needs one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import grpc

from collector.errors import (
    ApiAwayError,
    DrainingError,
    ForbiddenError,
    NotTakenError,
    ReadTimeoutError,
    TooLargeError,
    TooManyQuestionsError,
)
from collector.receive.auth import TO_READ, Gate, names_of_grpc
from collector.receive.grpc_calls import (
    STATUS_CODES,
    Context,
    header_bytes,
    headers_of,
    peer_context,
    read_one,
)
from collector.receive.refusal import to_trailers
from collector.receive.status import is_expected, to_verdict
from collector.settings import Settings
from collector.settings.models import is_loopback
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

PREFIX: Final = "/jaeger.storage.v2."
CALLS_MAX: Final = 8
"""At once, per worker; the API answers no more than a few at once anyway."""
REQUEST_BYTES_MAX: Final = 2**18
"""As the API has it; core lets through what OTLP may send."""
WAITS_S_MAX: Final = 15.0
"""For a turn in the API, and for what PostgreSQL takes to end two questions."""

_KEYS: Final = ("authorization", "x-api-key")
_AWAY: Final = "the API, which reads for Jaeger, does not answer"


def longest_reading_s(settings: Settings) -> float:
    """Return how long a call may last in the API, with time for its answer.

    It waits for its message and for a turn; to find traces and to read them are two questions.
    """
    return settings.receive.read_s_max + 2 * settings.api.statement_s_max + WAITS_S_MAX


class JaegerPassage(grpc.GenericRpcHandler):
    """Hands each call to the API, and the API's words to the caller."""

    def __init__(self, settings: Settings, gate: Gate, path: Path | None, *, clock: Clock) -> None:
        """``path`` is where the API listens for us; None: there is no such place."""
        self._receive = settings.receive
        self._gate = gate
        self._is_for_readers = gate.asks_for_keys or is_loopback(settings.receive.grpc_host)
        self._why_not = _why_not(settings, path)
        self._path = path
        self._write_s_max = settings.api.statement_s_max
        self._channel: grpc.aio.Channel | None = None
        self._calls: set[asyncio.Timeout] = set()
        self._draining = False
        self._trouble = Trouble("otlpg.receive", clock)

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of a call that is Jaeger's; the API knows which of them there are."""
        method = str(handler_call_details.method)
        if not method.startswith(PREFIX):
            return None
        return grpc.stream_stream_rpc_method_handler(cast("Any", partial(self._call, method)))

    def drain(self) -> None:
        """Take no more calls, and end those that are here; their callers are told to come again.

        Safe twice. A call whose caller takes nothing hangs in gRPC core until its server ends.
        """
        self._draining = True
        now_s = asyncio.get_running_loop().time()
        for call in self._calls:
            call.reschedule(now_s)

    async def stop(self) -> None:
        """Close the way to the API. Safe twice and before the first call."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _call(self, method: str, _requests: object, context: Context) -> None:
        try:
            code, text, trailers = await self._pass(method, context)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 -- the edge: an exception's text must not leave
            if not is_expected(error):
                self._trouble.error(
                    "call failed by our own fault", type(error).__name__, exc_info=error
                )
            verdict = to_verdict(error)
            code, text = STATUS_CODES[verdict.code], verdict.text
            trailers = to_trailers(verdict, context.time_remaining())
        if code is not grpc.StatusCode.OK:
            await context.abort(code, text, cast("Any", trailers))

    async def _pass(
        self, method: str, context: Context
    ) -> tuple[grpc.StatusCode, str, Sequence[tuple[str, str | bytes]]]:
        """Answer the call with what the API says; return how it ended there."""
        await self._admit(context)
        if self._draining:
            raise DrainingError
        if len(self._calls) >= CALLS_MAX:
            raise TooManyQuestionsError(CALLS_MAX)
        call = asyncio.timeout(None)  # until a drain
        try:
            async with call:
                self._calls.add(call)
                return await self._relay(method, context)
        except TimeoutError:
            if call.expired():
                raise DrainingError from None
            raise
        finally:
            self._calls.discard(call)

    async def _relay(
        self, method: str, context: Context
    ) -> tuple[grpc.StatusCode, str, Sequence[tuple[str, str | bytes]]]:
        body = await self._message(context)
        call = self._way().unary_stream(method)(
            body,
            timeout=context.time_remaining(),
            metadata=[pair for pair in headers_of(context) if pair[0] in _KEYS],
        )
        try:
            async for message in call:
                await self._write(context, message)
        except grpc.aio.AioRpcError as error:
            return _end_of(error)
        finally:
            call.cancel()
        return grpc.StatusCode.OK, "", ()

    async def _write(self, context: Context, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._write_s_max):
                await context.write(message)
        except TimeoutError:
            raise NotTakenError(self._write_s_max) from None

    async def _admit(self, context: Context) -> None:
        if header_bytes(context) > self._receive.header_bytes_max:
            raise TooLargeError(self._receive.header_bytes_max)
        await self._gate.admit(
            partial(headers_of, context),
            lambda: names_of_grpc(peer_context(context)),
            allowed=TO_READ,
        )
        if not self._is_for_readers:
            raise ForbiddenError("reading on the port of OTLP needs keys: see auth.keys")
        if self._why_not:
            raise ApiAwayError(self._why_not)

    async def _message(self, context: Context) -> bytes:
        try:
            async with asyncio.timeout(self._receive.read_s_max):
                body = await read_one(context)
        except TimeoutError:
            raise ReadTimeoutError(self._receive.read_s_max) from None
        if len(body) > REQUEST_BYTES_MAX:
            raise TooLargeError(REQUEST_BYTES_MAX)
        return body

    def _way(self) -> Any:
        """Return the channel, of which the stub knows too little."""
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(
                f"unix:{self._path}",
                options=[
                    ("grpc.max_receive_message_length", -1),  # one span may be a whole request
                    ("grpc.max_reconnect_backoff_ms", 1_000),
                    ("grpc.enable_http_proxy", 0),
                ],
            )
        return self._channel


def _why_not(settings: Settings, path: Path | None) -> str:
    """Return why nothing can be passed on; empty when it can."""
    if not settings.api.enabled:
        return "the API, which reads for Jaeger, is off: see api.enabled"
    if not settings.api.jaeger_grpc:
        return "nothing is read for Jaeger: see api.jaeger_grpc"
    if path is None:
        return "there is no folder for a socket to the API: use api.jaeger_grpc_port"
    return ""


def _end_of(
    error: grpc.aio.AioRpcError,
) -> tuple[grpc.StatusCode, str, Sequence[tuple[str, str | bytes]]]:
    """Return the status of the API; where it has said nothing, that it is away.

    Raises:
        ApiAwayError: core speaks of a connection that is none.
    """
    trailers = cast("Any", error.trailing_metadata()) or ()
    if error.code() is grpc.StatusCode.UNAVAILABLE and not trailers:
        raise ApiAwayError(_AWAY) from error
    return error.code(), error.details() or "", tuple(trailers)
