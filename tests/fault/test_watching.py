"""The watcher of the fault tests itself: what a tail says is counted, or fails the test in words."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.tailing import Tail
from tests.fault.watching import Watcher

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def tail_that_says(*events: bytes) -> Tail:
    """Return a tail of these events, which then ends."""
    reader = asyncio.StreamReader()
    for event in (*events, b""):
        reader.feed_data(b"%x\r\n%b\r\n" % (len(event), event))
    return Tail(reader, HEAD)


async def test_gaps_are_counted() -> None:
    """By signal and by reason; those of unknown length apart."""
    watcher = Watcher(
        tail_that_says(
            b'event: skipped\ndata: {"signal":"logs","items":3,"why":"lost"}\n\n',
            b'event: skipped\ndata: {"signal":"all","items":null,"why":"lost"}\n\n',
            b'event: link\ndata: {"up":false,"message":""}\n\n',
        )
    )

    with pytest.raises(EOFError):
        await watcher.run()

    assert (watcher.told["logs"], watcher.why["lost"], watcher.unknown) == (3, 3, 1)
    assert watcher.links == [False]


async def test_a_notice_fails_in_its_own_words() -> None:
    """Such as that stored items cannot be read."""
    watcher = Watcher(tail_that_says(b'event: notice\ndata: {"message":"no such key"}\n\n'))

    with pytest.raises(AssertionError, match="no such key"):
        await watcher.run()
