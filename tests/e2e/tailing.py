"""A reader of live tails that speaks HTTP itself, so that a test sees every byte of the stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

EVENT_S_MAX = 30.0
PATH = "/api/v1/tail"


class Event(NamedTuple):
    """One event of the stream."""

    kind: str
    data: Any
    id: str | None


class Tail:
    """An answer of the route; for a stream, its events."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        self._reader = reader
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        self._rest = b""
        self.seen: list[Event] = []

    async def body(self) -> Any:
        """Return the JSON of an answer that is no stream."""
        raw = await self._reader.readexactly(int(self.headers["content-length"]))
        return orjson.loads(raw)

    async def event(self) -> Event:
        """Return the next event.

        Raises:
            EOFError: the stream is over, in order or not.
        """
        async with asyncio.timeout(EVENT_S_MAX):
            while True:
                while b"\n\n" not in self._rest:
                    size = int(await self._reader.readuntil(b"\r\n"), 16)
                    chunk = await self._reader.readexactly(size + 2)
                    if not size:
                        raise EOFError
                    self._rest += chunk[:-2]
                raw, _, self._rest = self._rest.partition(b"\n\n")
                found = _parse(raw)
                if found is not None:
                    self.seen.append(found)
                    return found

    async def until_here(self) -> str:
        """Return the id that stands behind all that has come; more may come before it."""
        while not self._rest.startswith(b"id: ") or b"\n\n" not in self._rest:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            self._rest += (await self._reader.readexactly(size + 2))[:-2]
        return self._rest.split(b"\n")[0].removeprefix(b"id: ").decode()

    async def until(self, kind: str, **data: Any) -> Event:
        """Return the next event of a kind with these members; those before it are in ``seen``."""
        while True:
            event = await self.event()
            if event.kind == kind and data.items() <= event.data.items():
                return event

    async def bodies(self, count: int) -> list[str]:
        """Return the bodies of the next ``count`` log records, which come in one piece."""
        found: list[str] = []
        while len(found) < count:
            found.append((await self.until("item")).data["body"])
        return found

    def skipped(self, why: str) -> int:
        """Return how many items were told to be missing for a reason."""
        return sum(
            event.data["items"]
            for event in self.seen
            if event.kind == "skipped" and event.data["why"] == why
        )


def _parse(raw: bytes) -> Event | None:
    """Return an event; None for a comment or an id alone.

    Spec: WHATWG HTML, server-sent events.
    """
    fields = dict(line.split(": ", 1) for line in raw.decode().split("\n") if line[:1] != ":")
    if "event" not in fields:  # an id alone
        return None
    return Event(fields["event"], orjson.loads(fields["data"]), fields.get("id"))


@contextlib.asynccontextmanager
async def tailing(
    port: int,
    query: str = "signal=logs",
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    context: ssl.SSLContext | None = None,
    path: str = PATH,
    method: str = "GET",
    host: str = "localhost",
) -> AsyncGenerator[Tail]:
    """Ask for a tail; in the block the head of the answer is there."""
    reader, writer = await asyncio.open_connection(
        "localhost" if context else "127.0.0.1", port, ssl=context, limit=2**22
    )
    try:
        lines = [f"{method} {path}?{query} HTTP/1.1", f"host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(EVENT_S_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
        yield Tail(reader, head)
    finally:
        writer.transport.abort()
