"""OTLP/HTTP at a real daemon: the same export body as gRPC, so the same promises."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
from typing import NamedTuple

from google.protobuf import json_format
from google.rpc import status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.receive.http_service import JSON, PROTOBUF
from collector.rows import FACT_TABLES, Signal
from collector.settings import DatabaseSettings
from collector.store.embedded import EmbeddedPostgres
from collector.store.pool import Connection
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, numbered_logs
from tests.factories import request_of, trace_request

TRACE_ID = "5b8efff798038103d269b633813fc60c"


class Reply(NamedTuple):
    """What came back."""

    status: int
    retry_after: str | None
    content_type: str | None
    body: bytes


async def post(
    daemon: Daemon, signal: Signal, body: bytes, content_type: str = PROTOBUF, coding: str = ""
) -> Reply:
    """Send one request on a connection of its own."""

    def call() -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=30)
        headers = {"content-type": content_type, "content-encoding": coding}
        try:
            connection.request("POST", f"/v1/{signal}", body, headers)
            reply = connection.getresponse()
            retry_after = reply.getheader("retry-after")
            return Reply(reply.status, retry_after, reply.getheader("content-type"), reply.read())
        finally:
            connection.close()

    return await asyncio.to_thread(call)


async def test_a_request_is_the_same_over_every_protocol(
    daemon: Daemon, connection: Connection
) -> None:
    """gRPC, HTTP plain and packed: stored once, whatever way its retries take (promise 2)."""
    for signal, table in FACT_TABLES.items():
        body = request_of(signal, items=22, base_unix_nano=time.time_ns()).SerializeToString()

        first = await post(daemon, signal, body)
        with Caller(daemon.grpc_port) as caller:
            second = await asyncio.to_thread(caller.send, signal, body)
        third = await post(daemon, signal, gzip.compress(body), coding="gzip")

        assert (first.status, second, third.status) == (200, b"", 200)
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 22
        assert daemon.items(signal)["duplicate"] == 44


async def test_json_is_stored_like_protobuf(daemon: Daemon, connection: Connection) -> None:
    """Hex ids, 64-bit integers, exact doubles; a retry of the same text is a duplicate."""
    now = time.time_ns()
    document = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "web"}}]
                },
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": TRACE_ID.upper(),
                                "spanId": "eee19b7ec3c1b174",
                                "name": "click",
                                "kind": 3,
                                "startTimeUnixNano": str(now),
                                "endTimeUnixNano": now + 5,
                                "attributes": [
                                    {"key": "n", "value": {"intValue": "9007199254740993"}},
                                    {"key": "x", "value": {"doubleValue": "NaN"}},
                                ],
                                "status": {"code": 2},
                            }
                        ]
                    }
                ],
            }
        ]
    }
    body = json.dumps(document).encode()

    replies = [await post(daemon, Signal.TRACES, body, JSON) for _ in range(2)]

    assert [(reply.status, reply.body) for reply in replies] == [(200, b"{}")] * 2
    row = await connection.fetchrow(
        "SELECT encode(trace_id, 'hex') AS trace, service_name, name, kind, start_ns, duration_ns,"
        " status_code, attributes FROM trace_spans"
    )
    assert row is not None
    assert dict(row) | {"attributes": json.loads(row["attributes"])} == {
        "trace": TRACE_ID,
        "service_name": "web",
        "name": "click",
        "kind": 3,
        "start_ns": now % 1_000,
        "duration_ns": 5,
        "status_code": 2,
        "attributes": {"n": 9007199254740993, "x": {"$double": "NaN"}},
    }
    assert daemon.items("traces")["duplicate"] == 1


async def test_a_bad_item_costs_no_good_one_in_json_either(
    daemon: Daemon, connection: Connection
) -> None:
    """An id that is no hex is quarantined, a lone surrogate repaired; the sender is told."""
    spans = [
        {"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b174", "name": "good"},
        {"traceId": "bm90IGhleCwgYmFzZTY0IQ==", "spanId": "eee19b7ec3c1b174", "name": "base64"},
        {"traceId": TRACE_ID, "spanId": "eee19b7ec3c1b175", "name": "\ud800 broken"},
    ]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()

    reply = await post(daemon, Signal.TRACES, body, JSON)

    partial = json_format.Parse(reply.body, ExportTraceServiceResponse()).partial_success
    assert (reply.status, partial.rejected_spans) == (200, 0)
    assert "1 of 3 items (invalid_trace_id)" in partial.error_message
    names = await connection.fetch("SELECT name FROM trace_spans ORDER BY name")
    assert [row["name"] for row in names] == ["good", "\ufffd\ufffd\ufffd broken"]
    letters = await connection.fetch("SELECT outcome, reason, payload FROM dead_letters ORDER BY 1")
    assert [row["reason"] for row in letters] == ["invalid_trace_id", "invalid_utf8"]
    kept = ExportTraceServiceRequest.FromString(letters[0]["payload"])
    assert b"bm90IGhleCwgYmFzZTY0IQ==" in kept.resource_spans[0].scope_spans[0].spans[0].trace_id


async def test_errors_are_told_in_the_form_of_the_request(daemon: Daemon) -> None:
    """Noise is refused for good, in both forms, in fixed words."""
    protobuf = await post(daemon, Signal.LOGS, b"\xff" * 64)
    in_json = await post(daemon, Signal.LOGS, b'{"resourceLogs":1}', JSON)

    assert (protobuf.status, protobuf.content_type) == (400, PROTOBUF)
    status = status_pb2.Status.FromString(protobuf.body)
    assert status.message == "the body is not a valid OTLP logs export request"
    assert (in_json.status, in_json.content_type) == (400, JSON)
    assert json.loads(in_json.body)["message"] == "the JSON field resourceLogs must be an array"


async def test_another_signal_is_kept_once_and_rejected(
    daemon: Daemon, connection: Connection
) -> None:
    """Spans at the door of logs: 400, and the bytes are in dead_letters."""
    body = trace_request(items=10, base_unix_nano=time.time_ns()).SerializeToString()

    reply = await post(daemon, Signal.LOGS, body)

    assert reply.status == 400
    letters = await connection.fetch("SELECT signal, outcome, payload FROM dead_letters")
    assert [tuple(row) for row in letters] == [("logs", "rejected", body)]


async def test_postgres_away_is_held_and_then_refused_retryably(
    own_server: EmbeddedPostgres, own_database: DatabaseSettings
) -> None:
    """503 with Retry-After before any sender gives up; afterwards the same bytes are stored."""
    body = numbered_logs([1])
    with Daemon(
        own_database,
        OTLPG_RECEIVE__HOLD_S_DEFAULT="2",
        OTLPG_DATABASE__IDLE_IN_TRANSACTION_S_MAX="1",
    ) as daemon:
        own_server.stop()
        refused = await post(daemon, Signal.LOGS, body)
        own_server.restart()
        await asyncio.to_thread(daemon.wait_until_ready)
        stored = await post(daemon, Signal.LOGS, body)
        items = daemon.items("logs")

    assert (refused.status, refused.retry_after) == (503, "2")
    assert stored.status == 200
    assert items["received"] == sum(n for end, n in items.items() if end != "received")
    assert items["stored"] == 1


async def test_a_drain_answers_the_requests_that_are_here(daemon: Daemon) -> None:
    """SIGTERM under load: every answer is OK or retryable, no connection is cut, exit 0."""
    replies: list[Reply | OSError] = []
    warm = asyncio.Event()

    async def send(worker: int) -> None:
        number = worker * 1_000_000
        while True:
            number += 1
            try:
                reply = await post(daemon, Signal.LOGS, numbered_logs([number]))
            except ConnectionRefusedError:
                return
            except OSError as error:
                replies.append(error)
                return
            replies.append(reply)
            if len(replies) == 40:
                warm.set()

    senders = [asyncio.create_task(send(worker)) for worker in range(4)]
    await warm.wait()
    code = await asyncio.to_thread(daemon.stop)
    await asyncio.gather(*senders)

    assert code == 0
    cut = [reply for reply in replies if isinstance(reply, OSError)]
    assert len(cut) <= len(senders), "at most the connections that came as the listener closed"
    assert {reply.status for reply in replies if isinstance(reply, Reply)} <= {200, 503}
