"""Section 6 of the catalogue, as far as it is about connections: what is said, and what is heard."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import NamedTuple

import grpc

from collector.operate.bench.http2 import SETTINGS, frame, setting
from collector.rows import Signal
from tests.catalogue.building import logs, record
from tests.catalogue.raw import (
    CONTINUATION,
    PING,
    RST_STREAM,
    call_headers,
    chunked,
    data,
    header,
    in_frames,
    message,
    open_call,
    opening,
    request,
)
from tests.catalogue.wire import one_bomb
from tests.e2e.senders import METHODS

ONE, TWO = (logs(record(body=body)).SerializeToString() for body in ("one", "two"))
KEPT_OPEN = ("host: x", "content-type: application/x-protobuf")
CHUNKED = "transfer-encoding: chunked"
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(500)
EXPORT = METHODS[Signal.LOGS].encode()


class Spoken(NamedTuple):
    """What is sent over HTTP/1.1, the statuses heard until the daemon closes, and items stored."""

    number: int
    name: str
    sent: bytes
    statuses: list[int]
    stored: int = 0
    hang_up: bool = False

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def _lengths() -> Iterator[Spoken]:
    yield Spoken(94, "shorter than announced", request(ONE, length=len(ONE) + 9), [], hang_up=True)
    longer = request(ONE + b"garbage\r\n\r\n", usual=KEPT_OPEN, length=len(ONE))
    yield Spoken(94, "longer than announced", longer, [200, 400], 1)
    smuggled = chunked() + request(ONE)
    yield Spoken(
        94,
        "length and chunks, a request behind",
        request(smuggled, CHUNKED, usual=KEPT_OPEN),
        [400],
    )
    yield Spoken(
        94, "length and chunks", request(chunked(ONE), CHUNKED, length=3, usual=KEPT_OPEN), [400]
    )
    yield Spoken(94, "two equal lengths", request(ONE, f"content-length: {len(ONE)}"), [200], 1)
    for name, length in {
        "another length": str(len(ONE) - 1), "a list of lengths": f"{len(ONE)}, 1", "a negative length": "-1",
        "a signed length": f"+{len(ONE)}", "a hex length": hex(len(ONE)), "5 000 digits": "9" * 5_000,
    }.items():  # fmt: skip
        yield Spoken(94, name, request(ONE, f"content-length: {length}"), [400])
    yield Spoken(94, "no length", request(ONE, usual=KEPT_OPEN, length=-1), [200, 400])
    for name, body in {
        "a chunk that is no number": b"zz\r\nabc\r\n0\r\n\r\n", "a negative chunk": b"-1\r\nabc\r\n0\r\n\r\n",
        "a chunk of 2^120": b"f" * 30 + b"\r\nabc\r\n0\r\n\r\n", "a chunk without its end": b"3\r\nabcdef\r\n0\r\n\r\n",
    }.items():  # fmt: skip
        yield Spoken(94, name, request(body, CHUNKED, length=-1), [400])
    cut = request(chunked(ONE)[:-5], CHUNKED, length=-1)
    yield Spoken(94, "chunks without a last", cut, [], hang_up=True)
    for coding in ("xchunked", "gzip, chunked", "identity", "\x0bchunked"):
        sent = request(chunked(ONE), f"transfer-encoding: {coding}", length=-1)
        yield Spoken(94, f"transfer-encoding {coding!r}", sent, [400])
    sent = request(chunked(ONE), "transfer-encoding : chunked", length=-1)
    yield Spoken(94, "a space before the colon", sent, [400])


def _heads() -> Iterator[Spoken]:
    yield Spoken(94, "expectation", request(ONE, "expect: 100-continue"), [100, 200], 1)
    pipelined = request(ONE, usual=KEPT_OPEN) + request(TWO)
    yield Spoken(94, "two requests at once", pipelined, [200, 200], 2)
    yield Spoken(94, "absolute URI", request(ONE, target="http://x/v1/logs"), [200], 1)
    yield Spoken(
        94, "URI of another host", request(ONE, target="http://example.com/v1/logs"), [200], 1
    )
    heads = {
        "NUL in a header": request(ONE, "a: b\0c"), "NUL in a name": request(ONE, "a\0: b"),
        "a lone CR": request(ONE, "a: b\rc: d"), "NUL in the target": request(target="/v1/logs\0"),
        "a space in the target": request(target="/v1/logs x"), "no host": request(usual=()),
        "two hosts": request(ONE, "host: y"), "TLS": TLS_HELLO, "noise": bytes(range(256)) + b"\r\n\r\n",
        "HTTP/0.9": b"POST /v1/logs\r\n\r\n", "letters beyond ASCII in the target": request(target="/v1/log\xc5\xbf"),
    }  # fmt: skip
    for name, sent in heads.items():
        yield Spoken(94, name, sent, [400])
    yield Spoken(94, "the opening of HTTP/2", opening(), [404, 400])
    yield Spoken(94, "letters beyond ASCII in a header", request(ONE, "a: \xff\xfe"), [200], 1)
    yield Spoken(103, "a header of 100 KB", request(ONE, "a: " + "b" * 100_000), [431])
    yield Spoken(103, "a header of 20 KB", request(ONE, "a: " + "b" * 20_000), [431])
    yield Spoken(103, "a target of 20 KB", request(ONE, target="/v1/logs?" + "x" * 20_000), [431])
    yield Spoken(
        103, "1 000 headers", request(ONE, *(f"a{n}: {n}" for n in range(1_000))), [200], 1
    )
    yield Spoken(
        103, "2 000 headers", request(ONE, *(f"a{n}: {'b' * 9}" for n in range(2_000))), [431]
    )


def _targets() -> Iterator[Spoken]:
    for method in ("GET", "PUT", "OPTIONS", "HEAD", "post", "DELETE", "TRACE"):
        yield Spoken(95, f"{method} /v1/logs", request(ONE, method=method), [405])
    for target in ("/v1/logs/", "/v1/logs?x=", "/v1/%6cogs"):
        yield Spoken(95, target, request(ONE, target=target), [200], 1)
    for target in (
        "//v1/logs", "/V1/Logs", "/v1/logs//", "/", "/v1", "/v1/profiles", "/v1/./logs", "/v1/x/../logs",
        "/v1/logs%00", "/v1/logs;a=b", "/metrics", "/health/live", "*",
    ):  # fmt: skip
        yield Spoken(95, target, request(ONE, target=target), [404])


SPOKEN = [*_lengths(), *_heads(), *_targets()]


# -- gRPC ------------------------------------------------------------------------------------------

OK, RESET, GONE = grpc.StatusCode.OK, "the stream is reset", "the connection is closed"
INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
EXHAUSTED, INTERNAL = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL
UNAVAILABLE, DEADLINE = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED


class Called(NamedTuple):
    """Frames of one call, the ends that it may have, and how many items may be stored.

    No end at all: the sender leaves without waiting for one.
    """

    number: int
    name: str
    sent: bytes
    ends: tuple[grpc.StatusCode | str, ...]
    stored: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def _call(body: bytes = message(ONE), **changes: bytes | None) -> bytes:
    return open_call(call_headers(**changes)) + data(body)


def _calls() -> Iterator[Called]:
    yield Called(96, "a good call", _call(), (OK,), (1,))
    for name, path in {
        "another service": b"/x.Y/Z", "another method": EXPORT + b"s", "no slash": EXPORT[1:],
        "two slashes": b"/" + EXPORT, "a slash behind": EXPORT + b"/", "capitals": EXPORT.upper(),
        "a query": EXPORT + b"?a=b", "an empty path": b"", "letters beyond ASCII": EXPORT + b"\xc3\xa9",
    }.items():  # fmt: skip
        yield Called(96, name, _call(_path=path), (UNIMPLEMENTED,))
    yield Called(96, "no path", _call(_path=None), (RESET,))
    yield Called(96, "GET", _call(_method=b"GET"), (RESET,))
    two, cut = message(ONE) + message(TWO), message(ONE)[:-3]
    yield Called(97, "two messages", _call(two), (INVALID,))
    yield Called(97, "no message", _call(b""), (INVALID,))
    yield Called(97, "half a message", _call(cut), (INVALID, INTERNAL))
    whole = open_call(call_headers())
    yield Called(97, "a reset in the body", whole + data(cut, last=False) + _reset(), ())
    whole_message = whole + data(message(ONE), last=False)  # taken or not: its sender comes again
    yield Called(97, "a message whose call is not closed", whole_message, (), (0, 1))
    yield Called(88, "a message of 2^32 - 1", _call(b"\0\xff\xff\xff\xff" + ONE), (EXHAUSTED,))
    for timeout, ends in {
        b"0m": (DEADLINE,), b"1n": (UNAVAILABLE, DEADLINE), b"-1S": (INTERNAL,), b"soon": (INTERNAL,),
    }.items():  # fmt: skip
        yield Called(98, f"deadline {timeout.decode()}", _call(grpc_timeout=timeout), ends)
    for timeout in (b"87600H", b"99999999H", None):
        yield Called(98, f"deadline {timeout}", _call(grpc_timeout=timeout), (OK,), (1,))


def _reset() -> bytes:
    return frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big"))


def _packed() -> Iterator[Called]:
    marked = message(ONE, packed=True)
    refusals = (UNIMPLEMENTED, INTERNAL)  # gRPC core's own choice; senders take both for final
    yield Called(105, "unknown coding", _call(marked, grpc_encoding=b"snappy"), refusals)
    yield Called(105, "packed without a coding", _call(marked), refusals)
    yield Called(91, "noise as gzip", _call(marked, grpc_encoding=b"gzip"), refusals)
    bomb = message(one_bomb(b""), packed=True)
    yield Called(
        91, "1 GiB of zeros", _call(bomb, grpc_encoding=b"gzip"), (EXHAUSTED, INTERNAL, RESET)
    )
    packed = message(gzip.compress(ONE), packed=True)
    yield Called(92, "gzip", _call(packed, grpc_encoding=b"gzip"), (OK,), (1,))
    large = call_headers() + header("a", b"b" * 20_000)
    yield Called(
        103,
        "a header of 20 KB in frames",
        in_frames(large) + data(message(ONE)),
        (EXHAUSTED, RESET),
    )
    many = call_headers() + b"".join([header(f"a{number}", b"b" * 9) for number in range(1_000)])
    yield Called(
        103, "1 000 headers in frames", in_frames(many) + data(message(ONE)), (EXHAUSTED, RESET)
    )
    yield Called(
        103,
        "an authority of 20 KB",
        in_frames(call_headers(_authority=b"a" * 20_000)) + data(message(ONE)),
        (EXHAUSTED, RESET),
    )
    noise = call_headers() + header("a-bin", b"\xff!no base64")
    yield Called(
        103, "a binary header of noise", open_call(noise) + data(message(ONE)), (INTERNAL, RESET)
    )


CALLED = [*_calls(), *_packed()]

SPOKEN_TO_GRPC = {
    "HTTP/1.1": request(ONE),
    "gRPC-Web": request(
        ONE, usual=("host: x", "content-type: application/grpc-web+proto"), target=EXPORT.decode()
    ),
    "TLS": TLS_HELLO,
    "noise": bytes(1_000),
}
"""What is closed without an answer of OTLP; all of number 96."""


def _streams(count: int, *, reset: bool) -> bytes:
    headers = call_headers()
    frames: list[bytes] = []
    for number in range(1, 2 * count, 2):
        frames.append(open_call(headers, number))
        if reset:
            frames.append(frame(RST_STREAM, 0, number, bytes(4)))
    return b"".join(frames)


FLOODS = {
    "resets": _streams(5_000, reset=True),
    "streams without a body": _streams(1_000, reset=False),
    "pings": frame(PING, 0, 0, bytes(8)) * 20_000,
    "settings": frame(SETTINGS, 0, 0, setting(4, 65_535)) * 20_000,
    "continuations": open_call(call_headers(), flags=0)
    + frame(CONTINUATION, 0, 1, header("a", b"b" * 8_000)) * 2_000,
    "empty data": open_call(call_headers()) + data(b"", last=False) * 50_000,
    "a window of nothing": frame(SETTINGS, 0, 0, setting(4, 0))
    + b"".join(
        [open_call(call_headers(), n) + data(message(ONE), stream=n) for n in range(1, 400, 2)]
    ),
}
"""Frames behind the opening of one connection, whose end nobody waits for; all of number 104."""
