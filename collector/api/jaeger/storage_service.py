"""The door of ``jaeger.storage.v2``: who may read, how many at once, and what a failure is called.

As with OTLP, a call is admitted before its message is read, and its message is small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

import grpc

from collector.api.counting import LEFT, Answer, Answers
from collector.api.errors import Failures, verdict_of
from collector.api.jaeger.storage_calls import Call
from collector.api.questions import Turns
from collector.errors import ReadTimeoutError, TooLargeError
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
from collector.settings import ReceiveSettings

REQUEST_BYTES_MAX: Final = 2**18
"""The ids of all traces that may be asked for at once, with their times, and some."""


class StorageService(grpc.GenericRpcHandler):
    """Answers calls by path, for whoever may read."""

    def __init__(
        self,
        calls: Mapping[str, Call],
        gate: Gate,
        turns: Turns,
        failures: Failures,
        answers: Answers,
        settings: ReceiveSettings,
    ) -> None:
        """``turns`` are those of all questions: a client that takes its traces slowly holds one."""
        self._gate = gate
        self._turns = turns
        self._failures = failures
        self._answers = answers
        self._settings = settings
        # A stream of one message has the wire of a single reply, and a call that reads for itself
        # is admitted before its message is read.
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            path: grpc.stream_stream_rpc_method_handler(
                cast("Any", partial(self._call, path, call))
            )
            for path, call in calls.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of a path; None makes it UNIMPLEMENTED."""
        return self._handlers.get(str(handler_call_details.method))

    async def _call(self, path: str, call: Call, _requests: object, context: Context) -> None:
        answer, status = self._answers.expect(), LEFT
        try:
            await self._answer(call, context, answer)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 -- the edge: an exception's text must not leave
            self._failures.note(error)
            verdict = verdict_of(error)
            status = verdict.code.name
        else:
            status = "OK"
            return
        finally:
            answer.end(path, status)
        await context.abort(
            STATUS_CODES[verdict.code],
            verdict.text,
            to_trailers(verdict, context.time_remaining()),
        )

    async def _answer(self, call: Call, context: Context, answer: Answer) -> None:
        settings = self._settings
        if header_bytes(context) > settings.header_bytes_max:
            raise TooLargeError(settings.header_bytes_max)
        await self._gate.admit(
            partial(headers_of, context),
            lambda: names_of_grpc(peer_context(context)),
            allowed=TO_READ,
        )
        body = await _message(context, settings.read_s_max)

        async def write(message: bytes) -> None:
            answer.begin()
            await context.write(message)

        async with self._turns.one():
            await call(body, write)


async def _message(context: Context, read_s_max: float) -> bytes:
    try:
        async with asyncio.timeout(read_s_max):
            return await read_one(context)
    except TimeoutError:
        raise ReadTimeoutError(read_s_max) from None
