"""api.unsent: what readers do not take is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from collector.api.unsent import PIECE_BYTES, Unsent
from collector.errors import TooManyAnswersError
from collector.receive.http_protocol import ABORT

BODY = bytes(range(256)) * (PIECE_BYTES // 256 * 3)
WAIT_S_MAX = 30.0


class Connection:
    """What a server gives an application; its reader takes so many messages, and no more."""

    def __init__(self, taken_max: int | None = None) -> None:
        self.sent: list[Message] = []
        self._taken_max = taken_max
        self.is_stuck = asyncio.Event()
        self._lost = asyncio.Event()
        self.scope: Scope = {"type": "http", "state": {ABORT: self._lost.set}}

    @property
    def body(self) -> bytes:
        """What has been taken of the body."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def was_cut(self) -> bool:
        """Whether the application has cut it."""
        return self._lost.is_set()

    async def send(self, message: Message) -> None:
        """Take a message, or wait for ever."""
        if len(self.sent) == self._taken_max:
            self.is_stuck.set()
            await asyncio.Event().wait()
        self.sent.append(message)

    async def receive(self) -> Message:
        """Wait until it is cut."""
        await self._lost.wait()
        return {"type": "http.disconnect"}

    async def ask(self, unsent: Unsent) -> None:
        """Let an application answer through it."""
        async with asyncio.timeout(WAIT_S_MAX):
            await unsent(self.scope, self.receive, self.send)


def answering(body: bytes, **limits: Any) -> Unsent:
    """Return an application whose every answer is this."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return Unsent(app, **limits)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, len(BODY)])
async def test_an_answer_arrives_as_it_was_made(size: int) -> None:
    """In pieces where it is large; the last message alone says that it is the last."""
    reader = Connection()

    await reader.ask(answering(BODY[:size]))

    assert reader.body == BODY[:size]
    assert max(len(message.get("body", b"")) for message in reader.sent) <= PIECE_BYTES
    assert [bool(message.get("more_body")) for message in reader.sent[1:]].index(False) == (
        len(reader.sent) - 2
    )


async def test_a_reader_who_takes_nothing_is_let_go() -> None:
    """Its connection is cut in time, and what it did not take is forgotten."""
    unsent = answering(BODY, bytes_max=len(BODY), send_s_max=0.05)
    silent, next_one = Connection(taken_max=2), Connection()

    with pytest.raises(ClientDisconnect):
        await silent.ask(unsent)
    await next_one.ask(unsent)

    assert silent.was_cut
    assert next_one.body == BODY


async def test_what_waits_is_bounded() -> None:
    """One more large answer is refused before its head is out; small ones go."""
    unsent, silent = answering(BODY, bytes_max=len(BODY)), Connection(taken_max=2)
    waiting = asyncio.create_task(silent.ask(unsent))
    await silent.is_stuck.wait()

    refused = Connection()
    with pytest.raises(TooManyAnswersError):
        await refused.ask(unsent)
    waiting.cancel()
    await asyncio.wait((waiting,))
    served = Connection()
    await served.ask(unsent)

    assert refused.sent == []
    assert served.body == BODY


async def test_small_answers_go_while_large_ones_wait() -> None:
    """They are what the server holds anyway."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["body"], "more_body": False})

    unsent, silent, small = Unsent(app, bytes_max=1), Connection(taken_max=2), Connection()
    silent.scope["body"], small.scope["body"] = BODY, BODY[:PIECE_BYTES]
    waiting = asyncio.create_task(silent.ask(unsent))
    await silent.is_stuck.wait()

    await small.ask(unsent)
    waiting.cancel()
    await asyncio.wait((waiting,))

    assert small.body == BODY[:PIECE_BYTES]
