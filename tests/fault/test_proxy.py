"""The proxy does what a fault test says it did: whole messages, broken at the chosen moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest

from collector.settings import DatabaseSettings
from collector.store.pool import DRIVER_ERRORS, Connection, connect
from tests.fault.proxy import COMMIT_FAULTS, FINE, Fault, Messages, Proxy, Weather, wire_to

STARTUP = b"\0\0\0\x09\0\3\0\0\0"
QUERY = b"Q\0\0\0\x0bCOMMIT\0"
EMPTY = b"S\0\0\0\x04"
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
ROWS = [(n,) for n in range(1_000)]


@asynccontextmanager
async def echo(proxy: Proxy) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Point the proxy to a server that says everything back, and connect through it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy.target = server.sockets[0].getsockname()[1]
    async with proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield reader, writer
        writer.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_is_cut_into_its_messages_wherever_it_was_torn(seed: int) -> None:
    """However the bytes came, the messages are the same, the one without a type first."""
    whole = [STARTUP, QUERY, EMPTY, EMPTY, QUERY]
    stream = b"".join(whole)
    rng = Random(seed)
    tears = [0, *sorted(rng.sample(range(len(stream)), 7)), len(stream)]

    messages = Messages(startup=True)
    found = [one for a, b in pairwise(tears) for one in messages.feed(stream[a:b])]

    assert found == whole


@pytest.mark.parametrize(
    "weather", [FINE, *(Weather.drawn(Random(seed)) for seed in range(4))], ids=str
)
async def test_no_weather_changes_a_byte(weather: Weather) -> None:
    """Slow, in slices or not: what went in comes out."""
    body = Random(1).randbytes(100_000)
    proxy = Proxy()
    proxy.weather = weather
    async with echo(proxy) as (reader, writer):
        writer.write(body)

        assert await reader.readexactly(len(body)) == body


async def test_slices_arrive_one_by_one() -> None:
    """A sliced wire makes its reader wait in the middle of every head."""
    proxy = Proxy()
    proxy.weather = Weather(sliced=True)
    async with echo(proxy) as (reader, writer):
        writer.write(bytes(200))
        lengths: list[int] = []
        while sum(lengths) < 200:
            lengths.append(len(await reader.read(200)))

    assert len(lengths) > 5


@pytest.mark.parametrize("direction", ["swallow_up", "swallow_down"])
async def test_what_was_swallowed_never_comes(direction: str) -> None:
    """Nor does anything after it, in fine weather either: a stream has no holes."""
    proxy = Proxy()
    async with echo(proxy) as (reader, writer):
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        proxy.weather = Weather(**{direction: True})
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        proxy.weather = FINE
        writer.write(b"after")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_ends_what_is_open(reset: bool) -> None:
    """With RST the reader fails, with FIN it comes to the end."""
    proxy = Proxy()
    async with echo(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)

        assert proxy.cut(reset=reset) == 1

        if reset:
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        else:
            assert await reader.read(1) == b""


async def insert(connection: Connection) -> None:
    """Insert one row as a flush does: BEGIN and COMMIT are messages of their own."""
    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO seen VALUES (1)")
    await connection.execute("COMMIT", timeout=1.0)


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
async def test_a_fault_strikes_one_commit(
    database_settings: DatabaseSettings, connection: Connection, fault: Fault
) -> None:
    """The client never hears; whether the server has committed is what the fault's name says."""
    await connection.execute("CREATE TABLE seen (n int)")
    async with wire_to(database_settings) as (wire, through):
        healthy = await connect(through)
        await insert(healthy)
        wire.fault = fault

        with pytest.raises(DRIVER_ERRORS):
            await insert(healthy)

        healthy.terminate()
        again = await connect(through)
        await insert(again)
        again.terminate()
        assert (wire.struck, wire.fault) == (1, None)
    while await connection.fetchval(OTHERS):
        pass  # until the backend that was left in COMMIT is through
    rows = await connection.fetchval("SELECT count(*) FROM seen")
    assert rows == (2 if fault is Fault.LOSE_COMMIT else 3)


async def test_a_copy_may_end_in_a_black_hole(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The server waits for rows, the client for an answer."""
    await connection.execute("CREATE TABLE seen (n int)")
    async with wire_to(database_settings) as (wire, through):
        healthy = await connect(through)
        await healthy.copy_records_to_table("seen", records=ROWS)
        wire.fault = Fault.BLACK_HOLE_COPY

        with pytest.raises(TimeoutError):
            await healthy.copy_records_to_table("seen", records=ROWS, timeout=0.3)

        healthy.terminate()
        waits = "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'COPY%'"
        assert await connection.fetchval(waits) == "ClientRead"
    assert await connection.fetchval("SELECT count(*) FROM seen") == 1_000
