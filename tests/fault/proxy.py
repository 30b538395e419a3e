"""A wire between otlpg and PostgreSQL, or a sender and otlpg, that a test can hurt.

It is hurt in three ways: by its ``weather``, which holds for every byte until it changes; by a
``cut`` of what is open; and, between otlpg and PostgreSQL, by a ``fault`` that waits for a moment of
the protocol, strikes once, and leaves the wire healthy. What the test does not choose (the length of
a slice, a delay, FIN or RST) is drawn from the seed.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from collector.store.pool import connect

if TYPE_CHECKING:
    from collector.settings import DatabaseSettings

READ_BYTES = 65_536
SLICED_BYTES = 512
"""So much of what was read is cut into slices, the rest follows as it is: heads and lengths stand in
front, and a megabyte in pieces of four bytes would measure only this proxy."""
THROTTLED_BYTES = 4_096
"""A slow wire carries pieces of this size."""

COMMIT = re.compile(rb"Q.{4}COMMIT(?: /\*[^*]*\*/)?\x00", re.DOTALL)
"""A simple query, whole, with or without a comment. BEGIN says ``READ COMMITTED``, so the word alone
would not do."""
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""CommandComplete: the server has committed."""
COPY_DATA = b"d"


class Fault(Enum):
    """What happens at the next COMMIT or COPY that comes by."""

    LOSE_COMMIT = "the connection breaks before the server sees COMMIT"
    BREAK_IN_COMMIT = "the connection breaks while the server works on COMMIT"
    LOSE_REPLY = "the server has committed; the connection breaks before its answer is through"
    BLACK_HOLE = "the server has committed; nothing comes through any more, and nobody says so"
    BLACK_HOLE_COPY = "rows of a COPY are swallowed, and what comes after them; nobody says so"


COMMIT_FAULTS = tuple(fault for fault in Fault if fault is not Fault.BLACK_HOLE_COPY)


@dataclass(frozen=True)
class Weather:
    """How bytes are carried, both ways. Once a connection lost a byte, it never carries again."""

    delay_s: float = 0.0  # at most, before each read is passed on
    bytes_per_s: float | None = None
    sliced: bool = False  # segments of one to seven bytes
    swallow_up: bool = False  # towards the server: accepted, and never seen again
    swallow_down: bool = False

    @classmethod
    def drawn(cls, rng: Random) -> Self:
        """Return bad weather that still carries."""
        return cls(
            delay_s=rng.choice((0.0, 0.01, 0.03)),
            bytes_per_s=rng.choice((None, 500_000.0, 2_000_000.0)),
            sliced=rng.random() < 0.7,
        )


FINE = Weather()


class Messages:
    """Cuts one direction of PostgreSQL's protocol, version 3 without TLS, into whole messages."""

    def __init__(self, *, startup: bool) -> None:
        """``startup``: the first message has no type, as the first one of a client."""
        self._type_bytes = 0 if startup else 1
        self._rest = b""

    def feed(self, data: bytes) -> Generator[bytes]:
        """Yield every message that is complete with ``data``."""
        self._rest += data
        while len(self._rest) >= self._type_bytes + 4:
            (length,) = struct.unpack_from("!I", self._rest, self._type_bytes)
            end = self._type_bytes + length
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            self._type_bytes = 1
            yield message


class Proxy:
    """Listens on ``port`` of loopback inside ``async with``, and carries to its target.

    ``struck`` counts the faults that met their moment, ``carried`` the connections so far.
    """

    def __init__(self, target: str | int = 0, *, postgres: bool = False, seed: int = 0) -> None:
        """``target``: a port of loopback, or the path of a UNIX socket."""
        self.target = target
        self.postgres = postgres
        self.rng = Random(f"proxy {seed}")
        self.weather = FINE
        self.fault: Fault | None = None
        self.port = 0
        self.struck = 0
        self.carried = 0
        self._struck = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._carriers: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        while self._carriers:  # one may still be on its way to the target
            self.cut(reset=False)
            await asyncio.wait(self._carriers, return_when=asyncio.FIRST_COMPLETED)
        await self._server.wait_closed()

    def cut(self, *, reset: bool | None = None) -> int:
        """End every connection, with RST or FIN (None: drawn); return how many there were."""
        links = self._links.copy()
        for link in links:
            link.cut(reset=self.rng.random() < 0.5 if reset is None else reset)
        return len(links)

    async def strike(self, fault: Fault) -> None:
        """Let ``fault`` wait for its moment, and return once it has struck."""
        self._struck.clear()
        self.fault = fault
        await self._struck.wait()

    def strikes(self, *moments: Fault) -> Fault | None:
        """Return the fault that waits for one of these moments, and wait no longer."""
        if self.fault not in moments:
            return None
        fault, self.fault = self.fault, None
        self.struck += 1
        self._struck.set()
        return fault

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrier = asyncio.current_task()
        assert carrier is not None
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)
        try:
            if isinstance(self.target, str):
                server = await asyncio.open_unix_connection(self.target)
            else:
                server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()  # as a load balancer does whose server is away
            return
        self.carried += 1
        link = _Link(self, (reader, writer), server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.remove(link)


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: _Streams, server: _Streams) -> None:
        self._proxy = proxy
        self._client_reader, self._client = client
        self._server_reader, self._server = server
        self._dark_up = self._dark_down = False
        self._in_commit: Fault | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Carry both ways until one end closes or the link is cut; a dark one hears no close."""
        up, down = asyncio.create_task(self._up()), asyncio.create_task(self._down())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({up, down, ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._dark_up or self._dark_down:
                await ended
        finally:
            for task in (up, down, ended):
                task.cancel()
            await asyncio.wait({up, down, ended})
            self._client.close()
            self._server.close()

    def cut(self, *, reset: bool) -> None:
        """End both sides. FIN lets the server see what it was sent; RST may throw that away."""
        for writer in (self._client, self._server):
            if not reset:
                writer.close()
                continue
            sock = writer.get_extra_info("socket")
            if sock.fileno() >= 0:  # the other end may have gone already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._ended.set()

    async def _up(self) -> None:
        messages = Messages(startup=True).feed if self._proxy.postgres else _whole
        with suppress(ConnectionError):
            while data := await self._client_reader.read(READ_BYTES):
                for message in messages(data):
                    await self._pass_up(message)

    async def _down(self) -> None:
        messages = Messages(startup=False).feed if self._proxy.postgres else _whole
        with suppress(ConnectionError):
            while data := await self._server_reader.read(READ_BYTES):
                for message in messages(data):
                    await self._pass_down(message)

    async def _pass_up(self, message: bytes) -> None:
        proxy = self._proxy
        if proxy.postgres and not self._dark_up:
            if COMMIT.fullmatch(message):
                self._in_commit = proxy.strikes(*COMMIT_FAULTS)
            elif message.startswith(COPY_DATA):
                self._dark_up = proxy.strikes(Fault.BLACK_HOLE_COPY) is not None
        if self._in_commit is Fault.LOSE_COMMIT:
            self.cut(reset=proxy.rng.random() < 0.5)
            raise ConnectionResetError
        self._dark_up = self._dark_up or proxy.weather.swallow_up
        if not self._dark_up:
            await self._write(self._server, message)
        if self._in_commit is Fault.BREAK_IN_COMMIT:
            self.cut(reset=False)
            raise ConnectionResetError

    async def _pass_down(self, message: bytes) -> None:
        if message == COMMITTED and self._in_commit is Fault.LOSE_REPLY:
            self.cut(reset=self._proxy.rng.random() < 0.5)
            raise ConnectionResetError
        if message == COMMITTED and self._in_commit is Fault.BLACK_HOLE:
            self._dark_up = self._dark_down = True
        self._dark_down = self._dark_down or self._proxy.weather.swallow_down
        if not self._dark_down:
            await self._write(self._client, message)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        weather, rng = self._proxy.weather, self._proxy.rng
        if weather.delay_s:
            await asyncio.sleep(rng.uniform(0.0, weather.delay_s))
        for piece in _pieces(data, weather, rng):
            writer.write(piece)
            await writer.drain()
            if weather is not FINE:  # so that pieces leave one by one
                await asyncio.sleep(len(piece) / (weather.bytes_per_s or float("inf")))


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _pieces(data: bytes, weather: Weather, rng: Random) -> Generator[bytes]:
    """Yield ``data`` in the segments in which this weather carries it."""
    start = 0
    while start < len(data):
        length = len(data) if weather.bytes_per_s is None else THROTTLED_BYTES
        if weather.sliced and start < SLICED_BYTES:
            length = rng.randint(1, 7)
        yield data[start : start + length]
        start += length


@asynccontextmanager
async def wire_to(
    settings: DatabaseSettings, *, seed: int = 0
) -> AsyncGenerator[tuple[Proxy, DatabaseSettings]]:
    """Lay a wire to the database of ``settings`` and return it with the settings that use it."""
    connection = await connect(settings)
    user = await connection.fetchval("SELECT current_user")
    name = await connection.fetchval("SELECT current_database()")
    path = await socket_of(connection)
    await connection.close()
    async with Proxy(path, postgres=True, seed=seed) as proxy:
        dsn = SecretStr(f"postgresql://{user}@127.0.0.1:{proxy.port}/{name}?sslmode=disable")
        yield proxy, settings.model_copy(update={"dsn": dsn})


async def socket_of(connection: Any) -> str:
    """Return the path of the UNIX socket of the server at the other end."""
    folder = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    return f"{folder}/.s.PGSQL.{port}"
