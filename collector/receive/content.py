"""The body of an HTTP request: unpacked as it arrives, and never larger than the limit.

Spec: RFC 9110, section 8.4 (content codings). ``deflate`` means zlib's format; a stream without its
header is understood as well, since some senders took the name literally.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

from collector.errors import MalformedCallError, TooLargeError, UnsupportedMediaError
from collector.receive.turns import Turns

STEP_BYTES: Final = 2**20
"""What is unpacked between two turns of the event loop: some 3 ms."""

MEMBERS_MAX: Final = 1_000
"""A gzip body may be a chain of members; each costs 20 bytes on the wire and 10 us here."""

DEFLATE_RATIO_MAX: Final = 1_032
"""A deflated byte is at most so many: a match of 258 costs two bits."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS


def largest(packed_bytes: int, coding: str) -> int:
    """Return the most that so many bytes of a body can unpack to."""
    if coding.strip().lower() in ("", "identity"):
        return packed_bytes
    return packed_bytes * DEFLATE_RATIO_MAX


async def read_content(
    chunks: AsyncIterator[bytes], coding: str, bytes_max: int, turns: Turns
) -> bytes:
    """Return the unpacked body.

    Args:
        chunks: the body as it arrives; none is asked for once it is clear that it is too large.
        coding: value of the header Content-Encoding, "" without one.
        bytes_max: limit before and after unpacking.
        turns: of the event loop, between two steps of unpacking.

    Raises:
        UnsupportedMediaError: no such coding, or more than one.
        TooLargeError: it is larger.
        MalformedCallError: it does not unpack, or ends in the middle.
    """
    unpacker = _unpacker_of(coding.strip().lower())
    parts: list[bytes] = []
    packed = unpacked = 0
    async for chunk in chunks:
        packed += len(chunk)
        if packed > bytes_max:
            raise TooLargeError(bytes_max)
        began_s = turns.now_s()
        for part in unpacker.feed(chunk):
            unpacked += len(part)
            if unpacked > bytes_max:
                raise TooLargeError(bytes_max)
            parts.append(part)
            if len(part) == STEP_BYTES:
                began_s = await turns.give_way(began_s)
    unpacker.finish()
    return b"".join(parts)


class _Stream(Protocol):
    """zlib's decompression object, whose type has no public name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Plain:
    """No coding at all."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes of the body unpack to, in parts of at most ``STEP_BYTES``."""
        yield chunk

    def finish(self) -> None:
        """Check that the body may end here."""


class _Deflated(_Plain):
    """gzip or deflate."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: _Stream | None = None
        self._members = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            stream = self._stream or self._begin(chunk[0])
            try:
                part = stream.decompress(chunk, STEP_BYTES)
                yield part
                while len(part) == STEP_BYTES:  # perhaps more came out of the same bytes
                    part = stream.decompress(stream.unconsumed_tail, STEP_BYTES)
                    yield part
            except zlib.error:
                raise self._malformed() from None
            chunk = b""
            if stream.eof:
                self._stream, chunk = None, stream.unused_data

    def finish(self) -> None:
        if self._stream is not None:
            raise self._malformed()

    def _begin(self, first_byte: int) -> _Stream:
        self._members += 1
        if self._members > (MEMBERS_MAX if self._coding == "gzip" else 1):
            raise self._malformed()
        if self._coding == "gzip":
            bits = _GZIP
        else:
            bits = _ZLIB if first_byte & 0x0F == zlib.DEFLATED else _RAW
        self._stream = zlib.decompressobj(bits)
        return self._stream

    def _malformed(self) -> MalformedCallError:
        return MalformedCallError(f"the body is not valid {self._coding}")


def _unpacker_of(coding: str) -> _Plain:
    if coding in ("", "identity"):
        return _Plain()
    if coding in ("gzip", "deflate"):
        return _Deflated(coding)
    raise UnsupportedMediaError("Content-Encoding must be gzip, deflate or identity")
