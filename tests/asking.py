"""A reader of the API that speaks ASGI to the application, without a server between them.

>>> asker = Asker(application)
>>> (await asker.get("/api/v1/services", since="5m")).json
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

import orjson
from starlette.types import ASGIApp, Message

ANSWER_S_MAX = 60.0
NDJSON = MappingProxyType({"accept": "application/x-ndjson"})
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Said(NamedTuple):
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What its body holds."""
        return orjson.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The same of a stream of lines."""
        return [orjson.loads(line) for line in self.body.splitlines()]


class Asker:
    """Asks an application, and may leave before it has an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def get(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] = NO_HEADERS,
        leaves: asyncio.Event | None = None,
        **query: Any,
    ) -> Said:
        """Return the answer; the reader is gone once ``leaves`` is set.

        An answer that is not begun has the status 0.
        """
        sent: list[Message] = []
        left = leaves or asyncio.Event()
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        named = {"host": "localhost", **headers}
        scope: dict[str, Any] = {
            "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(),
            "query_string": urlencode(query, doseq=True).encode(), "root_path": "", "state": {},
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._app(scope, receive, send)
        if not sent:
            return Said(0, {}, b"")
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Said(sent[0]["status"], told, b"".join(message["body"] for message in sent[1:]))

    async def json(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer of 200."""
        said = await self.get(path, **query)
        assert said.status == 200, said
        return said.json
