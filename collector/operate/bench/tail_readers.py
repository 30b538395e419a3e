"""The process that reads live tails, as many clients of ``GET /api/v1/tail`` do: over sockets.

The first one parses every item, as a client does before it shows one, and notes the time. The
others count theirs, since the CPU that they burn would be missing in ingest; in production readers
sit elsewhere. One may be stuck: it asks, sees that an answer begins, and reads no further until it
is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import monotonic, time_ns

import orjson

from collector.operate.bench.orders import obey_orders

HOST = "127.0.0.1"
PATH = "/api/v1/tail?signal=traces"
LIVE_S_MAX = 30.0
POLL_S = 0.05
STUCK_RECEIVE_BYTES = 4_096
"""The least that a kernel gives; what it keeps for a reader is no matter of ours."""

END = b"\n\n"
ITEM = b"\nevent: item\n"
"""In every item; within JSON a line feed is an escape."""
OTHERS = (b"event: skipped\n", b"event: live\n")

UNKNOWN = "unknown"
"""Under which skipped items are counted whose number nobody knows: how often, not how many."""


@dataclass(frozen=True, slots=True)
class Open:
    """Let go of all readers, and open ``readers`` of them; with ``stuck`` one more that is stuck.

    All are open once ``workers`` workers publish, which may take some seconds after Redis was away.
    """

    port: int
    readers: int
    workers: int
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until every reader knows what became of ``items`` items, for ``seconds`` at most.

    A stuck one reads from now on.
    """

    items: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Let go of all readers."""


ReadersOrder = Open | Await | Close


@dataclass(slots=True)
class Seen:
    """What one reader was shown, and what it was told that it was not."""

    items: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    """Items by reason."""
    arrivals: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Of the first reader: span id in hex, and the Unix time in nanoseconds when it was parsed."""

    @property
    def accounted(self) -> int:
        """How many committed items it knows of."""
        return self.items + sum(n for why, n in self.skipped.items() if why != UNKNOWN)


class TailReader:
    """One client."""

    def __init__(self, *, notes: bool) -> None:
        self.seen = Seen()
        self.workers = 0
        self.failure: Exception | None = None
        self._notes = notes
        self._live = asyncio.Event()
        self._rest = b""
        self._task: asyncio.Task[None] | None = None
        self._stuck: socket.socket | None = None

    async def open(self, port: int) -> None:
        """Return once it is told that what it sees is live.

        Raises:
            OSError: nobody answers, or not with a tail.
            TimeoutError: it is not told in time.
        """
        stream, writer = await asyncio.open_connection(HOST, port)
        writer.write(_request(port))
        self._task = asyncio.create_task(self._read(stream, writer))
        async with asyncio.timeout(LIVE_S_MAX):
            live = asyncio.create_task(self._live.wait())
            await asyncio.wait((live, self._task), return_when=asyncio.FIRST_COMPLETED)
            live.cancel()
        if self.failure is not None:
            raise OSError("a live tail was not opened") from self.failure

    async def open_stuck(self, port: int) -> None:
        """Return once the answer begins; nothing is read until ``unstick``."""
        loop = asyncio.get_running_loop()
        self._stuck = socket.socket()
        self._stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STUCK_RECEIVE_BYTES)
        self._stuck.setblocking(False)
        await loop.sock_connect(self._stuck, (HOST, port))
        await loop.sock_sendall(self._stuck, _request(port))
        async with asyncio.timeout(LIVE_S_MAX):
            await loop.sock_recv(self._stuck, 1)

    async def unstick(self) -> None:
        """Read all that has waited, and go on."""
        if self._stuck is not None:
            held, self._stuck = self._stuck, None
            stream, writer = await asyncio.open_connection(sock=held)
            self._task = asyncio.create_task(self._read(stream, writer))

    async def close(self) -> None:
        """Leave; safe twice."""
        if self._stuck is not None:
            self._stuck.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _read(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until cancelled, or the end.

        Spec: RFC 9112, 7.1: each chunk is its length in hex, CRLF, its bytes, CRLF.
        """
        with contextlib.closing(writer):
            try:
                _check(await stream.readuntil(b"\r\n\r\n"))
                while size := int(await stream.readline(), 16):
                    self.take((await stream.readexactly(size + 2))[:-2])
            except (OSError, EOFError, ValueError) as error:
                self.failure = error

    def take(self, chunk: bytes) -> None:
        """Take in the next bytes of the stream, wherever they are cut."""
        whole, end, self._rest = (self._rest + chunk).rpartition(END)
        self.seen.items += whole.count(ITEM)
        for event in whole.split(END) if self._notes else _others(END + whole + end):
            lines = dict(line.split(b": ", 1) for line in event.split(b"\n") if b": " in line)
            self._look(lines.get(b"event", b""), lines.get(b"data", b"null"))

    def _look(self, kind: bytes, data: bytes) -> None:
        """Do with an event what is to be done beside counting items."""
        if kind == b"item":
            if self._notes:
                self.seen.arrivals.append((orjson.loads(data)["span_id"], time_ns()))
        elif kind == b"skipped":
            told = orjson.loads(data)
            known = told["items"] is not None
            self.seen.skipped[told["why"] if known else UNKNOWN] += told["items"] or 1
        elif kind == b"live":
            self.workers = orjson.loads(data)["workers"]
            self._live.set()


class TailReaders:
    """The state between orders."""

    def __init__(self) -> None:
        self._readers: list[TailReader] = []

    async def obey(self, order: ReadersOrder) -> list[Seen]:
        """Carry out ``order``; what each reader has seen, a stuck one last."""
        match order:
            case Open():
                await self.close()
                await self._open(order)
            case Await():
                await self._await(order)
            case Close():
                await self.close()
        return [reader.seen for reader in self._readers]

    async def close(self) -> None:
        """Let go of all."""
        for reader in self._readers:
            await reader.close()
        self._readers = []

    async def _open(self, order: Open) -> None:
        end = monotonic() + LIVE_S_MAX
        while not self._readers:
            first = TailReader(notes=True)
            await first.open(order.port)
            if first.workers >= order.workers:
                self._readers.append(first)
            else:
                await first.close()
                if monotonic() > end:
                    raise TimeoutError("the workers do not publish")
                await asyncio.sleep(POLL_S)
        for _ in range(order.readers - 1):
            self._readers.append(TailReader(notes=False))
            await self._readers[-1].open(order.port)
        if order.stuck:
            self._readers.append(TailReader(notes=False))
            await self._readers[-1].open_stuck(order.port)

    async def _await(self, order: Await) -> None:
        end = monotonic() + order.seconds
        for reader in self._readers:
            await reader.unstick()
        while monotonic() < end:
            if all(reader.seen.accounted >= order.items for reader in self._readers):
                return
            await asyncio.sleep(POLL_S)


def _others(events: bytes) -> Iterator[bytes]:
    """Yield the events that are no items, without a look at those that are; each has an end."""
    for name in OTHERS:
        at = events.find(name)
        while at >= 0:
            yield events[events.rindex(END, 0, at) + len(END) : events.index(END, at)]
            at = events.find(name, at + len(name))


def _check(head: bytes) -> None:
    """Raise OSError when the answer is no 200."""
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise OSError(head.decode(errors="replace"))


def _request(port: int) -> bytes:
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )


def main(orders: Connection) -> None:
    """Obey orders from the other end until it goes away."""
    readers = TailReaders()
    obey_orders(orders, readers.obey, readers.close)
