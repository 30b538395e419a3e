"""What a sender hears for each kind of request, over the wire of a real daemon."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.rows import FACT_TABLES, Signal
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, Failure, numbered_logs
from tests.factories import logs_request, request_of, trace_request

MIB = 2**20


async def send(daemon: Daemon, signal: Signal, body: bytes, **options: Any) -> bytes | Failure:
    """Send one request on a connection of its own."""

    def call() -> bytes | Failure:
        with Caller(daemon.grpc_port) as caller:
            return caller.send(signal, body, **options)

    return await asyncio.to_thread(call)


def failed(heard: bytes | Failure) -> Failure:
    """Return what was heard, which must not be OK."""
    assert isinstance(heard, Failure), heard
    return heard


async def test_a_repeated_request_is_stored_once(daemon: Daemon, connection: Connection) -> None:
    """OK twice, rows once, and the books call the second one duplicate (promise 2)."""
    for signal, table in FACT_TABLES.items():
        body = request_of(signal, items=22, base_unix_nano=time.time_ns()).SerializeToString()

        heard = [await send(daemon, signal, body) for _ in range(2)]

        assert heard == [b"", b""]
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 22
        assert daemon.items(signal)["stored"] == 22
        assert daemon.items(signal)["duplicate"] == 22


async def test_nothing_and_noise_are_answered_without_a_row(
    daemon: Daemon, connection: Connection
) -> None:
    """An empty request is OK; undecodable bytes are not retryable and get a fixed text."""
    for signal, table in FACT_TABLES.items():
        assert await send(daemon, signal, b"") == b""
        for body in (b"\xff" * 64, b"\n\x7ftruncated"):
            heard = failed(await send(daemon, signal, body))

            assert heard.code is grpc.StatusCode.INVALID_ARGUMENT
            assert heard.retry_s is None
            assert heard.details == f"the body is not a valid OTLP {signal} export request"
        assert not any(daemon.items(signal).values())
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_another_signal_is_kept_once_and_rejected(
    daemon: Daemon, connection: Connection
) -> None:
    """Logs at the door of traces: INVALID_ARGUMENT, and the bytes are in dead_letters."""
    body = logs_request(items=10, base_unix_nano=time.time_ns()).SerializeToString()

    heard = failed(await send(daemon, Signal.TRACES, body))
    letters = await connection.fetch("SELECT signal, payload FROM dead_letters")

    assert heard.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [(row["signal"], row["payload"]) for row in letters] == [("traces", body)]
    assert await connection.fetchval("SELECT count(*) FROM trace_spans") == 0


async def test_a_bad_item_costs_no_good_one(daemon: Daemon, connection: Connection) -> None:
    """A span without a valid id is quarantined; its neighbours are stored; OK says so."""
    request = trace_request(items=22, base_unix_nano=time.time_ns())
    bad = request.resource_spans[0].scope_spans[0].spans.add(name="no ids")

    heard = await send(daemon, Signal.TRACES, request.SerializeToString())

    assert isinstance(heard, bytes), heard
    said = ExportTraceServiceResponse.FromString(heard).partial_success
    letter = await connection.fetchrow("SELECT reason, outcome, payload FROM dead_letters")
    assert said.rejected_spans == 0
    assert "1 of 23 items (invalid_trace_id)" in said.error_message
    assert await connection.fetchval("SELECT count(*) FROM trace_spans") == 22
    assert letter is not None
    assert (letter["reason"], letter["outcome"]) == ("invalid_trace_id", "quarantined")
    kept = ExportTraceServiceRequest.FromString(letter["payload"])
    assert kept.resource_spans[0].scope_spans[0].spans[0] == bad


@pytest.mark.parametrize("count", [0, 2])
async def test_a_unary_call_with_another_number_of_messages_is_invalid(
    daemon: Daemon, connection: Connection, count: int
) -> None:
    """Nothing of it is stored."""

    def call() -> bytes | Failure:
        with Caller(daemon.grpc_port) as caller:
            return caller.send_messages(
                Signal.LOGS, [numbered_logs([number]) for number in range(count)]
            )

    heard = failed(await asyncio.to_thread(call))

    assert heard.code is grpc.StatusCode.INVALID_ARGUMENT
    assert await connection.fetchval("SELECT count(*) FROM logs") == 0


def logs_of_bytes(size: int) -> bytes:
    """Return a request of exactly ``size`` bytes: log records of 64 KiB that hardly compress."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    now = time.time_ns()
    for _ in range(size // 2**16 - 1):
        records.add(time_unix_nano=now).body.string_value = os.urandom(2**15 - 32).hex()
    whole = request.SerializeToString()
    filler = ExportLogsServiceRequest()
    last = filler.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=now)
    for length in range(size - len(whole), 0, -1):  # framing takes a few bytes of its own
        last.body.string_value = "." * length
        if len(whole) + filler.ByteSize() == size:
            return whole + filler.SerializeToString()  # two messages one after the other are one
    raise AssertionError(size)


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"]
)
async def test_64_mib_are_stored_and_one_byte_more_is_refused_for_good(
    daemon: Daemon, connection: Connection, compression: grpc.Compression
) -> None:
    """Before and after decompression; no RetryInfo, or it would come again for ever."""
    options: dict[str, Any] = {"compression": compression, "timeout_s": 120.0}  # to pack takes long
    exact, larger = logs_of_bytes(64 * MIB), logs_of_bytes(64 * MIB + 1)

    heard = await send(daemon, Signal.LOGS, exact, **options)
    more = failed(await send(daemon, Signal.LOGS, larger, **options))

    assert heard == b"", heard
    assert await connection.fetchval("SELECT count(*) FROM logs") > 900
    assert more.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert more.retry_s is None
    assert more.status_retry_s is None
