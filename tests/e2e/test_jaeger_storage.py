"""``jaeger.storage.v2`` of a real daemon, at its own port and on the port of OTLP."""

from __future__ import annotations

import asyncio
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.receive import jaeger_passage
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.wire import jaeger_storage_pb2 as wire
from tests.catalogue import raw
from tests.e2e.daemon import Daemon
from tests.e2e.jaeger_storage import (
    CAPABILITIES,
    DEPENDENCIES,
    READER,
    Storage,
    ids_of,
    spans_of,
)
from tests.e2e.senders import Caller
from tests.equality import assert_same_items
from tests.factories import spans_with_services, trace_request

MINUTE_NS = 60 * 10**9
SERVICES = f"{READER}GetServices"
LARGE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
LARGE_SPANS = 1_200
LARGE_TEXT = "x" * 2_000


Started = tuple[Daemon, ExportTraceServiceRequest, int]


class Stand(NamedTuple):
    """A daemon, and what it was sent; ``port`` is where Jaeger asks."""

    daemon: Daemon
    sent: ExportTraceServiceRequest
    start_unix_nano: int
    port: int

    def query(self, **fields: Any) -> wire.TraceQueryParameters:
        """Return a question about the hour of what was sent."""
        return wire.TraceQueryParameters(
            start_time_min=moment(self.start_unix_nano - 30 * MINUTE_NS),
            start_time_max=moment(self.start_unix_nano + 30 * MINUTE_NS),
            search_depth=100,
            **fields,
        )

    def trace_ids(self) -> set[bytes]:
        """Return the ids of all traces but the large one."""
        return {span.trace_id for _, span in spans_with_services(self.sent)}


def moment(unix_nano: int) -> Timestamp:
    """Return a time in protobuf's form."""
    return Timestamp(seconds=unix_nano // 10**9, nanos=unix_nano % 10**9)


def large_request(start_unix_nano: int) -> ExportTraceServiceRequest:
    """Return one trace of more than fits into a message that gRPC's clients take: 2.4 MB and more."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    attribute = group.resource.attributes.add(key="service.name")
    attribute.value.string_value = "large"
    spans = group.scope_spans.add().spans
    for number in range(LARGE_SPANS):
        start = start_unix_nano + number * 1_000
        span = spans.add(
            trace_id=LARGE,
            span_id=(number // 2 + 1).to_bytes(
                8, "big"
            ),  # each id twice, as broken tracers have it
            name="page",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1_000,
        )
        span.attributes.add(key="text").value.string_value = LARGE_TEXT
    return request


@pytest.fixture(scope="module")
def started(module_database: DatabaseSettings) -> Generator[Started]:
    """A daemon that stored forty spans of a shop and a large trace, a minute ago."""
    start = time.time_ns() - MINUTE_NS
    sent = trace_request(items=40, base_unix_nano=start)
    with Daemon(module_database, OTLPG_API__ENABLED="true") as daemon:
        with Caller(daemon.grpc_port) as caller:
            for request in (sent, large_request(start)):
                assert caller.send(Signal.TRACES, request.SerializeToString()) == b""
        yield daemon, sent, start


@pytest.fixture(params=["its own port", "the port of OTLP"])
def stand(started: Started, request: pytest.FixtureRequest) -> Stand:
    """The same answers, wherever Jaeger asks."""
    daemon, sent, start = started
    is_own = request.param == "its own port"
    return Stand(daemon, sent, start, daemon.jaeger_port if is_own else daemon.grpc_port)


@pytest.fixture
def storage(stand: Stand) -> Generator[Storage]:
    """A client of it."""
    with Storage(stand.port) as client:
        yield client


def failure(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Return how a call ends that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    failed: Any = caught.value
    return failed.code(), failed.details()


async def test_answers_are_counted_among_the_metrics(stand: Stand, storage: Storage) -> None:
    """By the call of gRPC as by the route of HTTP; and whether a slow answer was kept."""
    daemon, path = stand.daemon, "/api/v1/services"
    assert await asyncio.to_thread(storage.services)
    for _ in range(2):
        url = f"http://127.0.0.1:{daemon.api_port}{path}"
        with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as answer:
            assert answer.status == 200

    for route, status in ((SERVICES, "OK"), (path, "200")):
        await daemon.until_metric("otlpg_api_requests_total", route=route, status=status)
        await daemon.until_metric("otlpg_api_answer_seconds_count", route=route)
    await daemon.until_metric("otlpg_api_slow_answers_total", source="kept")


def test_services_and_operations(stand: Stand, storage: Storage) -> None:
    """Names, and kinds in Jaeger's words."""
    kinds = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
    by_service: dict[str, set[tuple[str, str]]] = {"large": {("page", "")}}
    for service, span in spans_with_services(stand.sent):
        by_service.setdefault(service, set()).add((span.name, kinds[span.kind]))

    assert storage.services() == sorted(by_service)
    for service, operations in by_service.items():
        assert set(storage.operations(service)) == operations
        kind = min(operations)[1]
        if kind:
            assert {found for _, found in storage.operations(service, kind)} == {kind}
    assert storage.operations("no such service") == []


def test_traces_come_back_as_they_were_sent(stand: Stand, storage: Storage) -> None:
    """Each trace in one message, in the order of the question; what is not there is left out."""
    ids = sorted(stand.trace_ids())
    asked = [bytes(15) + b"\1", *ids, ids[0]]

    messages = storage.get_traces(*asked)

    assert ids_of(messages) == ids
    groups = [group for message in messages for group in message.resource_spans]
    assert_same_items(ExportTraceServiceRequest(resource_spans=groups), stand.sent)
    assert storage.get_traces(bytes(15) + b"\2") == []


def test_a_large_trace_comes_whole_in_messages_that_clients_take(storage: Storage) -> None:
    """Spans with the same id are all there; the messages follow one another."""
    messages = storage.get_traces(LARGE)

    assert set(ids_of(messages)) == {LARGE}
    assert len(messages) > LARGE_SPANS * len(LARGE_TEXT) // 2**20
    assert all(message.ByteSize() <= 2**20 for message in messages)
    starts = [s.start_time_unix_nano for message in messages for s in spans_of(message)]
    assert len(starts) == len(set(starts)) == LARGE_SPANS


def test_a_search_gives_traces_and_ids(stand: Stand, storage: Storage) -> None:
    """By service, operation, tag and duration; zeros ask for nothing; no service is any."""
    by_service: dict[str, set[bytes]] = {}
    by_operation: dict[tuple[str, str], set[bytes]] = {}
    for service, span in spans_with_services(stand.sent):
        by_service.setdefault(service, set()).add(span.trace_id)
        by_operation.setdefault((service, span.name), set()).add(span.trace_id)

    for service, ids in by_service.items():
        found = storage.find_ids(stand.query(service_name=service))
        assert set(found) == ids
        assert ids_of(storage.find_traces(stand.query(service_name=service))) == found
    for (service, operation), ids in by_operation.items():
        query = stand.query(service_name=service, operation_name=operation)
        assert set(storage.find_ids(query)) == ids
    assert set(storage.find_ids(stand.query())) == {*stand.trace_ids(), LARGE}
    text = wire.KeyValue(key="text", value=wire.AnyValue(string_value=LARGE_TEXT))
    assert storage.find_ids(stand.query(attributes=[text])) == [LARGE]
    other = wire.KeyValue(key="text", value=wire.AnyValue(string_value="y"))
    assert storage.find_traces(stand.query(attributes=[other])) == []
    query = stand.query()
    query.duration_min.FromNanoseconds(3_600 * 10**9)
    assert storage.find_ids(query) == []


def test_dependencies_and_capabilities(stand: Stand, storage: Storage) -> None:
    """Which service calls which, and what may be asked."""
    hour = wire.GetDependenciesRequest(
        start_time=moment(stand.start_unix_nano - MINUTE_NS),
        end_time=moment(stand.start_unix_nano + MINUTE_NS),
    )
    found = storage.ask(DEPENDENCIES, hour, wire.GetDependenciesResponse).dependencies
    spans = spans_with_services(stand.sent)
    owners = {(span.trace_id, span.span_id): service for service, span in spans}
    calls = Counter(
        (owners[span.trace_id, span.parent_span_id], service)
        for service, span in spans
        if owners.get((span.trace_id, span.parent_span_id), service) != service
    )
    capabilities = storage.ask(
        CAPABILITIES, wire.GetCapabilitiesRequest(), wire.GetCapabilitiesResponse
    )

    assert calls
    assert {(one.parent, one.child): one.call_count for one in found} == calls
    assert {one.source for one in found} == {"otlpg"}
    assert capabilities.search.without_service_name
    assert capabilities.search.same_span_conjunction
    assert not capabilities.search.HasField("filter")


def test_wrong_questions_are_told_what_is_wrong(stand: Stand, storage: Storage) -> None:
    """In words of ours, with the code that says: not again."""
    code = grpc.StatusCode
    upside_down = wire.TraceQueryParameters(
        start_time_min=moment(stand.start_unix_nano), start_time_max=moment(1)
    )

    assert failure(lambda: storage.get_traces(b"short")) == (
        code.INVALID_ARGUMENT,
        "parameter 'trace_id' must have 16 bytes",
    )
    assert failure(lambda: storage.find_traces(upside_down))[0] is code.INVALID_ARGUMENT
    assert failure(lambda: storage.find_ids(stand.query(filter=[b""])))[1].startswith(
        "parameter 'filter'"
    )
    assert failure(lambda: storage.find_ids(stand.query(service_name="a\0")))[0] is (
        code.INVALID_ARGUMENT
    )
    broken = storage.channel.unary_unary(SERVICES, bytes, bytes)
    assert failure(lambda: broken(b"\xff", timeout=20)) == (
        code.INVALID_ARGUMENT,
        "the message is no GetServicesRequest",
    )
    assert failure(lambda: broken(bytes(2**19), timeout=20))[0] is code.RESOURCE_EXHAUSTED
    summaries = storage.channel.unary_stream(f"{READER}FindTraceSummaries", bytes, bytes)
    assert failure(lambda: list(summaries(b"", timeout=20)))[0] is code.UNIMPLEMENTED


def test_its_own_port_has_a_health_service(started: Started) -> None:
    """Of the names that Jaeger gives its own."""
    with Storage(started[0].jaeger_port) as storage:
        question = health_pb2.HealthCheckRequest(service="jaeger.storage.v2.TraceReader")
        answer = storage.ask(
            "/grpc.health.v1.Health/Check", question, health_pb2.HealthCheckResponse
        )

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_path_that_is_no_text_ends_nothing(stand: Stand) -> None:
    """The server of gRPC ends at it; its successor answers, and through the workers always."""
    bad = raw.open_call(raw.call_headers(_path=b"/\xff")) + raw.data(b"")
    raw.call(stand.daemon.jaeger_port, bad)
    if stand.port == stand.daemon.jaeger_port:  # what the old one has at its end is cancelled
        stand.daemon.wait_for_log("gRPC gave up its server, which is replaced")

    with Storage(stand.port) as storage:
        call = storage.channel.unary_unary(SERVICES, bytes, bytes)
        try:
            answer = call(b"", timeout=30, wait_for_ready=True)
        except grpc.RpcError as failed:
            error: Any = failed
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise
            # It came before the old one's GOAWAY was read, and may be repeated.
            answer = call(b"", timeout=30, wait_for_ready=True)
    assert answer


def test_the_port_of_otlp_says_when_the_api_is_away(database_settings: DatabaseSettings) -> None:
    """Off or dead: a reason, and ingest does not notice; back again it answers."""
    with Daemon(database_settings) as daemon, Storage(daemon.grpc_port) as storage:
        assert failure(storage.services) == (
            grpc.StatusCode.UNAVAILABLE,
            "the API, which reads for Jaeger, is off: see api.enabled",
        )
    with Daemon(database_settings, OTLPG_API__ENABLED="true") as daemon:
        body = trace_request(items=4, base_unix_nano=time.time_ns()).SerializeToString()
        with Storage(daemon.grpc_port) as storage, Caller(daemon.grpc_port) as caller:
            assert storage.services() == []
            daemon.api().send_signal(signal.SIGSTOP)
            daemon.api().send_signal(signal.SIGKILL)
            heard = failure(storage.services)
            assert caller.send(Signal.TRACES, body) == b""
            daemon.wait_for_log("API died")
            deadline = time.monotonic() + 30
            while True:
                try:
                    found = storage.services()
                except grpc.RpcError:
                    assert time.monotonic() < deadline
                else:
                    break

    assert heard == (grpc.StatusCode.UNAVAILABLE, jaeger_passage._AWAY)  # pyright: ignore[reportPrivateUsage]
    assert found
    assert not [
        line for line in daemon.log() if line.get("event") == "call failed by our own fault"
    ]
