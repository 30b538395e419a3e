"""A wire between otlpg and PostgreSQL that a test can cut at a chosen moment."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from collector.store.pool import connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collector.settings import DatabaseSettings

_COMMIT = b"COMMIT\0"
"""The whole text of a query; BEGIN says ``READ COMMITTED``."""


class Fault(Enum):
    """What happens to the next COMMIT that comes by."""

    LOSE_COMMIT = "the connection breaks before the server sees it"
    LOSE_REPLY = "the server commits; the connection breaks before its answer is through"
    BLACK_HOLE = "the server commits; nothing comes through any more, and nobody says so"


class Wire:
    """Carries bytes both ways until its fault is due; then it is healthy again."""

    def __init__(self, socket: str) -> None:
        self.fault: Fault | None = None
        self.cuts = 0
        self._socket = socket
        self._writers: list[asyncio.StreamWriter] = []
        self._carriers: list[asyncio.Task[Any]] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until an end of it closes."""
        carrier = asyncio.current_task()
        assert carrier is not None
        self._carriers.append(carrier)
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket)
        self._writers += [writer, up_writer]
        deaf = asyncio.Event()
        down = asyncio.create_task(self._down(up_reader, writer, deaf))
        with suppress(ConnectionError):
            await self._up(reader, up_writer, deaf)
        writer.close()
        up_writer.close()
        await down

    async def _up(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            fault = self.fault if _COMMIT in data else None
            if fault is None:
                server.write(data)
                await server.drain()
                continue
            self.fault = None
            self.cuts += 1
            if fault is Fault.LOSE_COMMIT:
                return
            deaf.set()
            server.write(data)
            await server.drain()
            if fault is Fault.BLACK_HOLE:
                await reader.read(1)  # until the client gives up
            return

    async def _down(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event
    ) -> None:
        with suppress(ConnectionError):
            while data := await server.read(65_536):
                if not deaf.is_set():
                    writer.write(data)
                    await writer.drain()

    async def close(self) -> None:
        """Cut whatever is still carried."""
        for writer in self._writers:
            writer.close()
        if self._carriers:
            await asyncio.wait(self._carriers)


@asynccontextmanager
async def wire_to(settings: DatabaseSettings) -> AsyncGenerator[tuple[Wire, DatabaseSettings]]:
    """Lay a wire to the database of ``settings`` and return it with the settings that use it."""
    connection = await connect(settings)
    folder = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    user = await connection.fetchval("SELECT current_user")
    name = await connection.fetchval("SELECT current_database()")
    await connection.close()
    wire = Wire(f"{folder}/.s.PGSQL.{port}")
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    dsn = SecretStr(f"postgresql://{user}@127.0.0.1:{number}/{name}?sslmode=disable")
    try:
        yield wire, settings.model_copy(update={"dsn": dsn})
    finally:
        server.close()
        await wire.close()
        await server.wait_closed()
