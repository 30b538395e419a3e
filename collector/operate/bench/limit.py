"""The limit: the rows of a load again, by raw binary COPY, as fast as PostgreSQL takes them.

Decision: the rows are read back from the tables after the daemon stored them, in PostgreSQL's own
binary form, so the limit writes exactly the same rows and no encoder of ours is on trial. They are
cut into statements as large as a full group commit and sent over as many connections as are asked
for, into the same partitioned tables with the same indexes. What the daemon adds (decoding, ledger,
``traces``, dimensions, OK to the sender) is what the ratio shows.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO
from multiprocessing.connection import Connection
from time import perf_counter

import asyncpg

from collector.operate.bench.orders import obey_orders

HEADER_BYTES = 19
"""Spec: COPY, "File Header" of the binary format: signature, flags, no extension."""
TRAILER = b"\xff\xff"

SLICE_BYTES = 256 * 1024
"""Bytes per CopyData message: large enough to cost nothing, small enough to wait for the socket."""

_COUNT = struct.Struct("!h")
_LENGTH = struct.Struct("!i")


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read all rows of ``table`` and keep them as COPY streams of ``rows_max`` rows."""

    dsn: str
    table: str
    columns: tuple[str, ...]
    rows_max: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write the kept rows over ``connections``."""

    connections: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """How many rows, and the seconds from the first byte to the last COMMIT."""

    rows: int
    seconds: float


class Copier:
    """The state between orders: COPY streams, ready to send."""

    def __init__(self) -> None:
        self._fetched: Fetch | None = None
        self._streams: list[bytes] = []
        self._rows = 0

    async def obey(self, order: Fetch | Write) -> Wrote | int:
        """Carry out ``order``; how long the rows took, or how many are kept now."""
        match order:
            case Fetch():
                await self._fetch(order)
                return self._rows
            case Write():
                return await self._write(order.connections)

    async def _fetch(self, order: Fetch) -> None:
        connection = await asyncpg.connect(order.dsn)
        try:
            whole = BytesIO()
            await connection.copy_from_query(
                f"SELECT {', '.join(order.columns)} FROM {order.table}",  # noqa: S608 -- names of ours
                output=whole,
                format="binary",
            )
        finally:
            await connection.close()
        self._fetched = order
        self._streams = list(cut(whole.getvalue(), order.rows_max))
        full, last = self._streams[:-1], self._streams[-1:]
        self._rows = len(full) * order.rows_max + sum(
            1 for stream in last for _ in tuple_ends(stream)
        )

    async def _write(self, count: int) -> Wrote:
        assert self._fetched is not None
        fetched = self._fetched
        connections = [await asyncpg.connect(fetched.dsn) for _ in range(count)]
        streams = iter(self._streams)

        async def one_after_another(connection: asyncpg.Connection[asyncpg.Record]) -> None:
            for stream in streams:
                await connection.copy_to_table(
                    fetched.table, source=_slices(stream), columns=fetched.columns, format="binary"
                )

        try:
            begin = perf_counter()
            await asyncio.gather(*map(one_after_another, connections))
            return Wrote(self._rows, perf_counter() - begin)
        finally:
            for connection in connections:
                await connection.close()


async def _slices(stream: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(stream), SLICE_BYTES):
        yield stream[start : start + SLICE_BYTES]


def cut(stream: bytes, rows_max: int) -> Iterator[bytes]:
    """Yield complete binary COPY streams of at most ``rows_max`` rows of ``stream``."""
    header = stream[:HEADER_BYTES]
    start, rows, end = HEADER_BYTES, 0, HEADER_BYTES
    for end in tuple_ends(stream):
        rows += 1
        if rows == rows_max:
            yield header + stream[start:end] + TRAILER
            start, rows = end, 0
    if rows:
        yield header + stream[start:end] + TRAILER


def tuple_ends(stream: bytes) -> Iterator[int]:
    """Yield the offset behind each row of a binary COPY stream.

    Spec: COPY, "Tuples" of the binary format: a 16-bit count of fields (-1: trailer), then per
    field a 32-bit length (-1: NULL) and as many bytes.
    """
    place = HEADER_BYTES
    while (fields := _COUNT.unpack_from(stream, place)[0]) >= 0:
        place += 2
        for _ in range(fields):
            length = _LENGTH.unpack_from(stream, place)[0]
            place += 4 + max(0, length)
        yield place


def main(orders: Connection) -> None:
    """Obey orders from the other end until it goes away."""
    copier = Copier()
    obey_orders(orders, copier.obey)
