"""tail.local_link: what comes over the socket is a worker's frame, or ends one connection."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import LinkError
from collector.rows import Signal
from collector.tail.local_link import (
    FRAME_BYTES_MAX,
    LocalPublisherLink,
    LocalServer,
    read_frame,
)

HEAD = struct.Struct(">BI")
STEP_S_MAX = 20.0


async def frames_of(raw: bytes) -> list[tuple[Signal, bytes]]:
    """Return the frames at the beginning of what one connection brings."""
    stream = asyncio.StreamReader()
    stream.feed_data(raw)
    stream.feed_eof()
    found: list[tuple[Signal, bytes]] = []
    while True:
        try:
            found.append(await read_frame(stream))
        except (EOFError, ValueError):
            return found


def framed(signal: int, body: bytes) -> bytes:
    """Return a frame, of a signal or of none."""
    return HEAD.pack(signal, len(body)) + body


@given(bodies=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=4))
def test_frames_are_read_as_they_were_written(bodies: list[tuple[int, bytes]]) -> None:
    """One behind the other, empty ones too."""
    raw = b"".join(framed(*each) for each in bodies)

    found = asyncio.run(frames_of(raw))

    assert found == [(list(Signal)[number], body) for number, body in bodies]


@given(
    raw=st.lists(
        st.binary(max_size=12) | st.builds(framed, st.integers(0, 255), st.binary(max_size=12))
    ).map(b"".join)
)
def test_any_bytes_are_frames_up_to_where_they_are_none(raw: bytes) -> None:
    """Nothing but the two errors leaves ``read_frame``."""
    found = asyncio.run(frames_of(raw))

    assert raw.startswith(
        b"".join(framed(list(Signal).index(signal), body) for signal, body in found)
    )


@pytest.mark.parametrize("rubbish", [b"\xff\0\0\0\0", HEAD.pack(0, FRAME_BYTES_MAX + 1)])
async def test_rubbish_costs_its_connection_alone(
    rubbish: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And nothing is logged as a fault of ours: any program of this user may connect."""
    path = tmp_path_factory.mktemp("s") / "tail"
    server = LocalServer(path)
    serving = asyncio.create_task(server.run())
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with asyncio.timeout(STEP_S_MAX):
        while not path.exists():  # noqa: ASYNC110 -- only the kernel knows, and it tells nobody
            await asyncio.sleep(0)
        link = LocalPublisherLink(path)
        async with link.connected():
            answers, stranger = await asyncio.open_unix_connection(path)
            stranger.write(rubbish)
            assert await answers.readline() == b"listen \n"
            with pytest.raises((EOFError, ConnectionError)):
                await answers.readexactly(100)
            stranger.close()
            await link.send(Signal.LOGS, b"a message")
    serving.cancel()
    await asyncio.wait((serving,))

    assert faults == []


async def test_a_line_without_an_end_is_no_fault_of_ours(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """To a worker the API is away, as it is."""
    path = tmp_path_factory.mktemp("s") / "tail"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"listen \n" + b"x" * 2**18)

    link = LocalPublisherLink(path)
    async with (
        asyncio.timeout(STEP_S_MAX),
        await asyncio.start_unix_server(answer, path),
        link.connected(),
    ):
        with pytest.raises(LinkError):
            await link.watch(lambda _: None)
