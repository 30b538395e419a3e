"""Readers of a real daemon's API who ask for much and take nothing: its memory stays bounded."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from contextlib import ExitStack

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.api.unsent import BYTES_MAX
from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import key_values

TRACE_ID = bytes(range(1, 17))
SPANS, TEXT_BYTES = 200, 40_000
ANSWER_BYTES = SPANS * TEXT_BYTES
READERS = 40
GROWN_BYTES_MAX = BYTES_MAX + 10 * ANSWER_BYTES
"""What waits, and what it takes to make some answers: rows, objects, JSON."""


@pytest.fixture
def daemon(database_settings: DatabaseSettings) -> Generator[Daemon]:
    """One that stores a trace whose answer is large."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    start = time.time_ns()
    for number in range(SPANS):
        scope.spans.add(
            trace_id=TRACE_ID,
            span_id=(number + 1).to_bytes(8, "big"),
            name="large",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1,
            attributes=key_values({"text": "x" * TEXT_BYTES}),
        )
    with Daemon(database_settings, OTLPG_API__ENABLED="true") as daemon:
        with Caller(daemon.grpc_port) as caller:
            assert caller.send(Signal.TRACES, request.SerializeToString()) == b""
        yield daemon
        assert not [line for line in daemon.log() if line.get("level") == "error"]


def ask(daemon: Daemon, path: str, accept: str) -> tuple[socket.socket, bytes]:
    """Return a connection whose answer has begun, and how it begins; nothing of it was taken."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.settimeout(30)
    reader.connect(("127.0.0.1", daemon.api_port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n".encode())
    return reader, reader.recv(12, socket.MSG_PEEK)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"/api/v1/traces/{TRACE_ID.hex()}", "*/*"),
        (f"/api/traces/{TRACE_ID.hex()}", "*/*"),
        ("/api/v1/spans?limit=1000", "application/x-ndjson"),
    ],
)
def test_readers_who_take_nothing_do_not_fill_the_memory(
    daemon: Daemon, path: str, accept: str
) -> None:
    """Who comes too late for the room hears 503, on every route; small answers go on."""
    reader, _ = ask(daemon, path, accept)
    reader.close()
    before = daemon.api().memory_info().rss
    with ExitStack() as held:
        heard: list[bytes] = []
        for _ in range(READERS):
            reader, head = ask(daemon, path, accept)
            held.enter_context(reader)
            heard.append(head)
        grown = daemon.api().memory_info().rss - before
        small, head = ask(daemon, "/api/v1/services", "*/*")
        small.close()

    assert set(heard) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
    assert heard.count(b"HTTP/1.1 200") * ANSWER_BYTES <= BYTES_MAX + ANSWER_BYTES
    assert head == b"HTTP/1.1 200"
    assert grown < GROWN_BYTES_MAX, f"{grown >> 20} MiB"
