"""operate.tail.sse: the event stream, as WHATWG's specification reads it, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import TailLostError
from collector.operate.tail.sse import Event, EventStream


def events_of(*pieces: bytes) -> list[Event]:
    """Return all events of a stream that comes in these pieces."""
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data: a\r\r", [("message", "a")]),
        (b"data: a\r\n\r\n", [("message", "a")]),
        (b"data: a\n\r\n", [("message", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b"data:a\n\n", [("message", "a")]),
        (b"data:  a \n\n", [("message", " a ")]),
        (b"data: a: b\n\n", [("message", "a: b")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10")]),
        (b"data\n\ndata\ndata\n\ndata:", [("message", ""), ("message", "\n")]),
        (b": heartbeat\n\n", []),
        (b":\n:\ndata: a\n: in between\n\n", [("message", "a")]),
        (b"event: item\ndata: a\n\ndata: b\n\n", [("item", "a"), ("message", "b")]),
        (b"event: item\n\ndata: b\n\n", [("message", "b")]),
        (b"event: item\nevent\ndata: b\n\n", [("message", "b")]),
        (b"Data: a\n data: a\nunknown: a\nunknown\n\n", []),
        (b"data: a\n", []),
        (b"data: \xff\xe2\x82\n\n", [("message", "\ufffd\ufffd")]),
        (b"data: a\0b\n\n", [("message", "a\0b")]),
    ],
)  # fmt: skip
def test_events(text: bytes, expected: list[tuple[str, str]]) -> None:
    """Line ends, byte order mark, comments, fields, the examples of the specification."""
    assert events_of(text) == expected


@given(
    st.lists(
        st.sampled_from(
            [b"data: a", b"data", b"event: item", b"id: 7", b": c", b"\xef\xbb\xbf", b"\r", b"\n",
             b"\r\n", b"\n\n", b"\xe2\x82\xac", b"\xff"]
        ),
        max_size=20,
    ),
    st.lists(st.integers(0, 100), max_size=6),
)  # fmt: skip
def test_where_the_stream_is_cut_changes_nothing(parts: list[bytes], cuts: list[int]) -> None:
    """The network cuts where it likes: between CR and LF, inside of a letter."""
    whole = b"".join(parts)
    places = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    pieces = [whole[a:b] for a, b in pairwise(places)]

    assert events_of(*pieces) == events_of(whole) == events_of(*(bytes([b]) for b in whole))


def test_an_event_that_ends_in_cr_does_not_wait() -> None:
    """Whether LF follows can be seen later."""
    stream = EventStream()

    assert list(stream.feed(b"data: a\r\n\r")) == [("message", "a")]
    assert list(stream.feed(b"\ndata: b\r\n\r\n")) == [("message", "b")]


def test_id_stays_until_another_comes() -> None:
    """It counts from the blank line on; without data too; one with NUL is none."""
    stream = EventStream(last_event_id="0")
    ids: list[str] = []
    for piece in (b"data: a\n\n", b"id: 1\n", b"\n", b"id: 2\0\n\n", b"data: b\n\n", b"id\n\n"):
        list(stream.feed(piece))
        ids.append(stream.last_event_id)

    assert ids == ["0", "0", "1", "1", "1", ""]


def test_each_event_comes_with_its_own_id() -> None:
    """Though one piece brought them all."""
    stream = EventStream()

    ids = [stream.last_event_id for _ in stream.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n")]

    assert ids == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "retry_ms"),
    [(b"retry: 250", 250), (b"retry: -1", None), (b"retry: 1.5", None), (b"retry", None),
     ("retry: \u0663".encode(), None), (b"retry: " + b"9" * 5_000, 9_999_999_999)],
)  # fmt: skip
def test_retry_is_digits_and_nothing_else(line: bytes, retry_ms: int | None) -> None:
    """An absurd one is merely long."""
    stream = EventStream()

    list(stream.feed(line + b"\n"))

    assert stream.retry_ms == retry_ms


@pytest.mark.parametrize(
    "pieces",
    [[b"data: " + b"x" * 1_000], [b"x" * 100] * 11, [b"data: abc\n"] * 200, [b": " + b"c" * 2_000]],
    ids=["line", "line in pieces", "event of many lines", "comment"],
)
def test_what_is_too_long_ends_the_stream(pieces: list[bytes]) -> None:
    """A server cannot fill our memory; what came before was told."""
    stream = EventStream(bytes_max=1_000)

    events = list(stream.feed(b"data: " + b"x" * 900 + b"\n\n"))
    with pytest.raises(TailLostError, match="longer than 1,000 bytes"):
        [event for piece in pieces for event in stream.feed(piece)]

    assert len(events) == 1
