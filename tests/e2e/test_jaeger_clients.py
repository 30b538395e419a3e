"""Jaeger's API as its clients call it: their requests, as they send them, on traces of the SDK.

Spec: grafana-jaeger-datasource pkg/jaeger/{client,grpc_client}.go; jaeger-ui
packages/jaeger-ui/src/api/jaeger.ts, api/v3/client.ts and components/Monitor/ServicesView.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from http.client import HTTPConnection
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import connect
from tests.e2e.daemon import Daemon
from tests.e2e.senders import grpc_exporter
from tests.server_activity import until_counted

MS = 10**6
WAIT_S_MAX = 30.0
CONNECTIONS = 4
"""That the API has by default."""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND state = 'active' AND wait_event_type = 'Lock' AND query LIKE '%FROM trace_spans%'"
)
FRONT, BANK = "shop/front ä", "bank"
CART, CALL, PAY = "GET /cart", "call bank", "POST /pay"
WIDE = 0xFBEFFF77B34DA6A3FFFFFFFF0E0E4736
"""In base64 it has both characters that addresses mean something by."""
BASE64 = "++//d7NNpqP/////Dg5HNg=="
NARROW = 0xA3CE929D0E0E4736
"""Of a tracer with 64 bits."""


class KnownTraces(IdGenerator):
    """Trace ids that a test chose, and any span ids."""

    def __init__(self, *trace_ids: int) -> None:
        self._trace_ids = iter(trace_ids)
        self._any = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        """Return the next one."""
        return next(self._trace_ids)

    def generate_span_id(self) -> int:
        """Return any."""
        return self._any.generate_span_id()


class Case(NamedTuple):
    """A request of a client.

    Attributes:
        client: who sends it.
        target: path and query, as they go over the wire.
        read: what the client takes from the answer.
        wanted: what that is.
    """

    client: str
    target: str
    read: Callable[[Any], Any]
    wanted: Any


class Stand(NamedTuple):
    """A daemon with an API, its database, and when its two traces began."""

    daemon: Daemon
    settings: DatabaseSettings
    start_unix_nano: int


def send(daemon: Daemon, start_unix_nano: int) -> None:
    """Make two traces of three spans with the SDK: a front end calls a bank, which once fails."""
    finished = InMemorySpanExporter()
    front, bank = (
        TracerProvider(
            resource=Resource.create({"service.name": name}),
            id_generator=KnownTraces(WIDE, NARROW),
        )
        for name in (FRONT, BANK)
    )
    for provider in (front, bank):
        provider.add_span_processor(SimpleSpanProcessor(finished))
    shop, till = front.get_tracer("shop"), bank.get_tracer("till", "1.2")
    for n in range(2):
        at = start_unix_nano + n * 1_000 * MS
        cart = shop.start_span(CART, kind=SpanKind.SERVER, start_time=at)
        within = trace.set_span_in_context(cart)
        call = shop.start_span(CALL, within, SpanKind.CLIENT, start_time=at + 10 * MS)
        within = trace.set_span_in_context(call)
        pay = till.start_span(PAY, within, SpanKind.SERVER, {"amount": 7}, start_time=at + 20 * MS)
        if n == 0:
            pay.set_status(Status(StatusCode.ERROR, "no money"))
            pay.add_event("refused", {"reason": "limit"}, timestamp=at + 30 * MS)
        for span, length in ((pay, 200), (call, 240), (cart, 300)):
            span.end(at + length * MS + 20 * MS)
    exporter = grpc_exporter(Signal.TRACES, daemon.grpc_port, grpc.Compression.NoCompression)
    try:
        assert exporter.export(finished.get_finished_spans()) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
        front.shutdown()
        bank.shutdown()


@pytest.fixture(scope="module")
def stand(module_database: DatabaseSettings) -> Generator[Stand]:
    """A daemon that stored both traces, a minute ago."""
    start = time.time_ns() // MS * MS - 60_000 * MS
    environment: dict[str, Any] = {"OTLPG_API__ENABLED": "true", "OTLPG_API__STATEMENT_S_MAX": "60"}
    with Daemon(module_database, **environment) as daemon:
        send(daemon, start)
        yield Stand(daemon, module_database, start)


def heard(daemon: Daemon, target: str) -> Any:
    """Return the JSON of a good answer."""
    with closing(HTTPConnection("127.0.0.1", daemon.api_port, timeout=30)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), target
        return json.load(answer)


# -- what clients read ---------------------------------------------------------------------------


def data(content: Any) -> Any:
    """Return what a list of Grafana is made of."""
    assert not content["errors"]
    return content["data"]


def first_trace(content: Any) -> tuple[str, list[tuple[str, str]]]:
    """Return the id of the only trace, and the operations of its spans with their services."""
    [found] = data(content)
    assert {span["traceID"] for span in found["spans"]} == {found["traceID"]}
    return found["traceID"], sorted(
        (found["processes"][span["processID"]]["serviceName"], span["operationName"])
        for span in found["spans"]
    )


def trace_ids(content: Any) -> list[str]:
    """Return the ids of a search's traces, in their order."""
    return [found["traceID"] for found in data(content)]


def links(content: Any) -> list[tuple[str, str, int]]:
    """Return who calls whom, and how often."""
    return [(link["parent"], link["child"], link["callCount"]) for link in data(content)]


def otlp_ids(content: Any) -> set[tuple[str, int]]:
    """Return the ids of OTLP's traces, with how many spans they have in the answer."""
    ids = [
        span["traceId"]
        for group in content["result"]["resourceSpans"]
        for scoped in group["scopeSpans"]
        for span in scoped["spans"]
    ]
    return {(trace_id, ids.count(trace_id)) for trace_id in ids}


def services(content: Any) -> list[str]:
    """Return the names of services."""
    return content["services"]


def operations(content: Any) -> list[tuple[str, str]]:
    """Return operations with their kinds."""
    return [(one["name"], one["spanKind"]) for one in content["operations"]]


def summaries(content: Any) -> list[tuple[Any, ...]]:
    """Return what a line of Jaeger's search shows."""
    return [
        (
            one["traceId"], one["rootServiceName"], one["rootOperationName"], one["spanCount"],
            one.get("errorSpanCount", 0),
            int(one["maxEndTimeUnixNano"]) - int(one["minStartTimeUnixNano"]),
            [service["name"] for service in one["services"]],
        )
        for one in content["summaries"]
    ]  # fmt: skip


def gauges(content: Any) -> dict[tuple[str, ...], list[float]]:
    """Return the values of a family's points, by labels; gaps are left out."""
    assert content["type"] == "GAUGE"
    assert content["name"].startswith("service_")
    found: dict[tuple[str, ...], list[float]] = {}
    for metric in content["metrics"]:
        points = metric["metricPoints"]
        assert len(points) == 61
        times = [datetime.fromisoformat(point["timestamp"]) for point in points]
        assert {b - a for a, b in pairwise(times)} == {timedelta(minutes=1)}
        values = [point["gaugeValue"]["doubleValue"] for point in points]
        found[tuple(label["value"] for label in metric["labels"])] = [
            value for value in values if value not in ("NaN", 0)
        ]
    return found


def near(*values: float) -> Any:
    """Return what is equal to durations that come out of buckets."""
    return pytest.approx(list(values), rel=0.023)


# -- what clients send ---------------------------------------------------------------------------

WIDE_HEX, NARROW_HEX = f"{WIDE:032x}", f"{NARROW:016x}"
SPANS = sorted([(FRONT, CART), (FRONT, CALL), (BANK, PAY)])
LINKS = [(FRONT, BANK, 2)]
OPERATIONS = [(CART, "server"), (CALL, "client")]


def grafana(start: int) -> Iterator[Case]:
    """Yield the requests of Grafana's data source; the range is an hour around the traces."""
    first, last = start - 1_800_000 * MS, start + 1_800_000 * MS
    yield Case("health check", "/api/services", data, [BANK, FRONT])
    yield Case(
        "operations", f"/api/services/{quote(FRONT, safe='')}/operations", data, [CART, CALL]
    )
    search = urlencode({
        "end": last // 1_000, "limit": 20, "maxDuration": "1.5s", "minDuration": "100ms",
        "operation": PAY, "service": BANK, "start": first // 1_000,
        "tags": '{"amount":"7","error":"true","service.name":"bank"}',
    })  # fmt: skip
    yield Case("search", f"/api/traces?{search}", trace_ids, [WIDE_HEX])
    everything = urlencode({"end": last // 1_000, "service": FRONT, "start": first // 1_000})
    yield Case("search", f"/api/traces?{everything}", trace_ids, [NARROW_HEX, WIDE_HEX])
    milliseconds = f"end={last // MS}&start={first // MS}"
    wide, narrow = (WIDE_HEX, SPANS), (NARROW_HEX, SPANS)
    for path, wanted in (
        (WIDE_HEX, wide), (WIDE_HEX.upper(), wide), (f"{WIDE_HEX}?{milliseconds}", wide),
        (NARROW_HEX, narrow), (f"{NARROW:032x}?{milliseconds}", narrow),
        (quote(BASE64, safe=""), wide),
    ):  # fmt: skip
        yield Case("trace", f"/api/traces/{path}", first_trace, wanted)
    lookback = f"endTs={last // MS}&lookback={(last - first) // MS}"
    yield Case("dependency graph", f"/api/dependencies?{lookback}", links, LINKS)
    yield Case("health check of v3", "/api/v3/services", services, [BANK, FRONT])
    yield Case("operations of v3", f"/api/v3/operations?{urlencode({'service': FRONT})}", operations, OPERATIONS)  # fmt: skip
    attributes = urlencode({"query.attributes": '{"amount":"7"}', "query.service_name": BANK})
    zone = timezone(timedelta(hours=1))
    begin, end = (
        datetime.fromtimestamp(at / 1e9, zone).isoformat(timespec="microseconds")
        for at in (first, last)
    )
    times = f"&query.start_time_min={begin}&query.start_time_max={end}"  # not encoded: a plus
    both = {(WIDE_HEX, 3), (f"{NARROW:032x}", 3)}
    yield Case("search of v3", f"/api/v3/traces?{attributes}{times}", otlp_ids, both)
    yield Case("trace of v3", f"/api/v3/traces/{WIDE_HEX}?start_time={begin}&end_time={end}", otlp_ids, {(WIDE_HEX, 3)})  # fmt: skip
    yield Case("trace of v3", f"/api/v3/traces/{quote(BASE64, safe='')}", otlp_ids, {(WIDE_HEX, 3)})


def page(start: int) -> Iterator[Case]:
    """Yield the requests of Jaeger's page, and of the one before it was of version 3."""
    first, last = start - 3_000_000 * MS, start + 65_000 * MS
    yield Case("services", "/api/v3/services", services, [BANK, FRONT])
    yield Case("operations", f"/api/v3/operations?service={quote(FRONT, safe='')}", operations, OPERATIONS)  # fmt: skip
    begin, end = (
        datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        for at in (first, last)
    )
    range_ = {"query.startTimeMin": begin, "query.startTimeMax": end, "query.searchDepth": 20}
    failed, passed = (
        (trace_id, FRONT, CART, 3, errors, 320 * MS, [BANK, FRONT])
        for trace_id, errors in ((WIDE_HEX, 1), (f"{NARROW:032x}", 0))
    )
    more = {"query.serviceName": BANK, "query.durationMin": "1.2ms", "query.attributes": '{"error":"true"}'}  # fmt: skip
    for parameters, wanted in (
        ({**range_, **more}, [failed]),
        (range_, [passed, failed]),  # of all services
        ({**range_, "query.operationName": PAY}, [passed, failed]),
    ):
        yield Case("search", f"/api/v3/trace-summaries?{urlencode(parameters)}", summaries, wanted)
    yield Case("trace", f"/api/traces/{WIDE_HEX}", first_trace, (WIDE_HEX, SPANS))
    yield Case("trace", f"/api/traces/{quote(BASE64, safe='')}", first_trace, (WIDE_HEX, SPANS))
    week = f"/api/dependencies?endTs={last // MS}&lookback=604800000"
    yield Case("dependencies", week, links, LINKS)
    yield Case("dependencies", f"{week}&service={BANK}", links, LINKS)
    yield Case("dependencies", f"{week}&service=nobody", links, [])
    form = urlencode({"end": last // 1_000, "limit": 20, "lookback": "2w", "service": BANK, "start": first // 1_000})  # fmt: skip
    yield Case("search before 2.15", f"/api/traces?{form}&maxDuration&minDuration", trace_ids, [NARROW_HEX, WIDE_HEX])  # fmt: skip
    yield Case("traces before 2.15", f"/api/traces?traceID={NARROW_HEX}&traceID={WIDE_HEX}", trace_ids, [NARROW_HEX, WIDE_HEX])  # fmt: skip
    yield Case("operations before 2.15", f"/api/operations?service={BANK}&spanKind=server", data, [{"name": PAY, "spanKind": "server"}])  # fmt: skip
    yield from monitor(last)


def monitor(end: int) -> Iterator[Case]:
    """Yield the requests of the page's tab Monitor: points of ten minutes, a minute apart."""
    usual = f"endTs={end // MS}&lookback=3600000&ratePer=600000&spanKind=server&step=60000"
    one, both = (BANK,), (PAY, BANK)
    for quantile in (0.5, 0.75, 0.95):
        target = f"/api/metrics/latencies?service={BANK}&quantile={quantile}&{usual}"
        yield Case("latencies", target, gauges, {one: near(200, 200)})
    yield Case("calls", f"/api/metrics/calls?service={BANK}&quantile=0.95&{usual}", gauges, {one: [2 / 600] * 2})  # fmt: skip
    yield Case("errors", f"/api/metrics/errors?service={BANK}&quantile=0.95&{usual}", gauges, {one: [0.5] * 2})  # fmt: skip
    grouped = f"service={BANK}&groupByOperation=true&quantile=0.95&{usual}"
    yield Case("latencies", f"/api/metrics/latencies?{grouped}", gauges, {both: near(200, 200)})
    yield Case("calls", f"/api/metrics/calls?{grouped}", gauges, {both: [2 / 600] * 2})
    yield Case("errors", f"/api/metrics/errors?{grouped}", gauges, {both: [0.5] * 2})
    several = f"service={BANK}&service={quote(FRONT)}&spanKind=client&{usual}"
    yield Case("calls of both", f"/api/metrics/calls?{several}", gauges, {one: [2 / 600] * 2, (FRONT,): [4 / 600] * 2})  # fmt: skip
    yield Case("of nobody", f"/api/metrics/calls?service=nobody&{usual}", gauges, {})
    yield Case("step", "/api/metrics/minstep", data, 1)


@pytest.mark.parametrize("client", [grafana, page])
def test_what_clients_send_is_answered_as_they_read_it(
    stand: Stand, client: Callable[[int], Iterator[Case]]
) -> None:
    """Every request of theirs, in the order in which a person makes them."""
    cases = list(client(stand.start_unix_nano))

    found = [case.read(heard(stand.daemon, case.target)) for case in cases]

    assert len(cases) > 15
    wrong = [
        f"{case.client}: {case.target}\n  {each}\n  {case.wanted}"
        for case, each in zip(cases, found, strict=True)
        if each != case.wanted
    ]
    assert not wrong, "\n".join(wrong)


async def test_questions_of_a_page_leave_room_for_others(stand: Stand) -> None:
    """All that the page asks at once is asked in turns, and is forgotten when the page is left."""
    bystander = stand.settings.model_copy(update={"app_name": "bystander"})
    holder, watcher = await connect(bystander), await connect(bystander)
    await holder.execute("BEGIN; LOCK TABLE trace_spans IN ACCESS EXCLUSIVE MODE")
    cases = [case for case in monitor(stand.start_unix_nano) if case.wanted != 1]
    readers = [await asked(stand.daemon, case.target) for case in cases[: 2 * CONNECTIONS]]

    async with asyncio.timeout(WAIT_S_MAX):
        await until_counted(watcher, WAITING, CONNECTIONS - 1)
        tail, tail_writer = await asked(stand.daemon, "/api/v1/tail?signal=logs&n=1")
        await tail.readuntil(b"\nevent: ")
        first = await tail.readline()
        for _, writer in (*readers, (tail, tail_writer)):
            writer.close()
        await until_counted(watcher, WAITING, 0)
    await holder.execute("ROLLBACK")

    assert first == b"live\n"  # and not that stored items cannot be read
    assert [await reader.read() for reader, _ in readers] == [b""] * 2 * CONNECTIONS
    case = cases[0]
    answer = await asyncio.to_thread(heard, stand.daemon, case.target)
    assert answer["name"] == "service_latencies"
    for connection in (holder, watcher):
        await connection.close()


async def asked(daemon: Daemon, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which something was asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.api_port)
    writer.write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return reader, writer
