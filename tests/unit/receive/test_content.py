"""Bodies of HTTP requests: unpacked, bounded, and refused in the right words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from collector.errors import MalformedCallError, TooLargeError, UnsupportedMediaError
from collector.receive.content import MEMBERS_MAX, STEP_BYTES, largest, read_content
from collector.receive.turns import Turns
from collector.telemetry.clock import SystemClock

LIMIT = 4 * STEP_BYTES
BODY = bytes(range(256)) * 999


def raw_deflate(body: bytes) -> bytes:
    """Return deflate without zlib's header, as a few senders write it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


class Chunks:
    """A body that arrives in pieces, and knows how much of it was asked for."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body = body
        self._size = size
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), self._size):
            self.taken = start + self._size
            yield self._body[start : start + self._size]


async def read(body: bytes, coding: str, *, size: int = 65_536, bytes_max: int = LIMIT) -> bytes:
    """Read ``body`` as it arrives in pieces of ``size``."""
    return await read_content(aiter(Chunks(body, size)), coding, bytes_max, Turns(SystemClock()))


@pytest.mark.parametrize("size", [1, 7, 65_536])
@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), " GZIP "),
        (zlib.compress(BODY), "deflate"),
        (raw_deflate(BODY), "deflate"),
        (gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]), "gzip"),
    ],
    ids=["none", "identity", "gzip", "in capitals", "zlib", "raw deflate", "two members"],
)
async def test_a_body_is_unpacked_however_it_arrives(packed: bytes, coding: str, size: int) -> None:
    """The pieces of the network mean nothing."""
    assert await read(packed, coding, size=size) == BODY


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
async def test_no_body_at_all_is_an_empty_one(coding: str) -> None:
    """An empty request is valid, whatever its headers say."""
    assert await read(b"", coding) == b""


@pytest.mark.parametrize("coding", ["zstd", "br", "snappy", "gzip, gzip", "x", "gzip,identity"])
async def test_other_codings_are_refused_unread(coding: str) -> None:
    """The sender learns what it may use."""
    chunks = Chunks(BODY, 10)

    with pytest.raises(UnsupportedMediaError, match="gzip"):
        await read_content(aiter(chunks), coding, LIMIT, Turns(SystemClock()))

    assert chunks.taken == 0


@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (gzip.compress(BODY)[:-1], "gzip"),
        (gzip.compress(BODY)[:-12], "gzip"),
        (gzip.compress(BODY)[:-8] + b"\0" * 8, "gzip"),
        (gzip.compress(BODY) + b"garbage", "gzip"),
        (b"no gzip", "gzip"),
        (b"\x1f", "gzip"),
        (gzip.compress(b"") * (MEMBERS_MAX + 1), "gzip"),
        (zlib.compress(BODY)[:-1], "deflate"),
        (zlib.compress(BODY) + b"x", "deflate"),
        (b"\xff", "deflate"),
    ],
    ids=[
        "cut in the size", "cut in the data", "wrong checksum", "garbage behind", "no gzip",
        "one byte", "too many members", "cut zlib", "something behind zlib", "no deflate",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [3, 65_536])
async def test_a_damaged_body_is_malformed(packed: bytes, coding: str, size: int) -> None:
    """For good: the same bytes would never unpack."""
    with pytest.raises(MalformedCallError, match=f"not valid {coding}"):
        await read(packed, coding, size=size)


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
async def test_the_limit_itself_is_allowed(coding: str) -> None:
    """One byte more is not."""
    pack = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[coding]

    assert len(await read(pack(b"x" * LIMIT), coding)) == LIMIT
    with pytest.raises(TooLargeError):
        await read(pack(b"x" * (LIMIT + 1)), coding)


async def test_a_bomb_is_given_up_at_the_limit() -> None:
    """A gibibyte of zeros takes a megabyte on the wire; a hundredth of it is looked at."""
    bomb = gzip.compress(b"\0" * 256 * 2**20, 9)
    chunks = Chunks(bomb, 1_000)

    with pytest.raises(TooLargeError):
        await read_content(aiter(chunks), "gzip", LIMIT, Turns(SystemClock()))

    assert chunks.taken < len(bomb) // 20


async def test_nothing_is_read_beyond_the_limit() -> None:
    """What is too large is too large after its first byte too many."""
    chunks = Chunks(b"x" * 10 * LIMIT, 1_000)

    with pytest.raises(TooLargeError):
        await read_content(aiter(chunks), "", LIMIT, Turns(SystemClock()))

    assert chunks.taken <= LIMIT + 1_000


@pytest.mark.parametrize("wbits", [16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_nothing_unpacks_to_more_than_is_reserved_for_it(wbits: int) -> None:
    """Zeros pack best; a reservation that they pass would be none."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    packed = packer.compress(bytes(2**24)) + packer.flush()

    assert 2**24 <= largest(len(packed), "gzip") < 1.1 * 2**24
    assert largest(2**24, "") == 2**24
