"""Changes bytes of whatever kind: what is left to try when their structure is unknown."""

from __future__ import annotations

from random import Random

NASTY_TEXT = (
    b"", b"\0", b"a\0", b"a\xef\xbf\xbd", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80",
    b"\xef\xbf\xbf", b"\x1b[31m", b"$", b"$double", b"$bytes", b"$kvlist", b"service.name",
    b'"\\\n', b"\xe2\x80\xae", "😀".encode(), b"e\xcc\x81" * 9, b"x" * 300, b"x" * 9_000,
)  # fmt: skip
"""NUL, bytes that are no UTF-8 in every way there is, our own tags, and lengths on both sides of caps."""


def mutate_bytes(raw: bytes, random: Random, *, other: bytes = b"") -> bytes:
    """Return ``raw`` with one change: bits, bytes, a piece repeated, lost or taken from ``other``."""
    if not raw:
        return random.choice((bytes(random.randrange(1, 20)), random.randbytes(8), other))
    at = random.randrange(len(raw))
    end = random.randrange(at, len(raw)) + 1
    choice = random.randrange(8)
    if choice == 0:
        return raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1 :]
    if choice == 1:
        return raw[:at] + random.randbytes(1) + raw[at + 1 :]
    if choice == 2:
        return raw[:at]
    if choice == 3:
        return raw[:at] + raw[end:]
    if choice == 4:
        return raw[:end] + raw[at:end] * random.randint(1, 8) + raw[end:]
    if choice == 5:
        return raw[:at] + random.choice(NASTY_TEXT) + raw[at:]
    if choice == 6 and other:
        begin = random.randrange(len(other))
        return raw[:at] + other[begin : random.randrange(begin, len(other)) + 1] + raw[end:]
    return raw[:at] + bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))]) + raw[at + 1 :]
