"""api.traces and api.spans: what the repositories say, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.api import spans, traces
from collector.api.admission import Admission
from collector.api.application import build
from collector.api.counting import Answers
from collector.api.errors import Failures
from collector.api.questions import Questions, Turns
from collector.query.span_repository import SpanRepository
from collector.query.trace_repository import TraceRepository
from collector.query.view import Views
from collector.receive.auth import Gate
from collector.rows import SpanRow
from collector.settings import Settings, TlsSettings
from collector.store.pool import Connection
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from tests.asking import NDJSON, Asker
from tests.converted import digest_of, span_row
from tests.db.querying import BANK, MINUTE_US, SHOP, prepare, write_spans
from tests.db.writing import NOW

TRACE = digest_of("trace").hex()
PROTOBUF = {"accept": "application/x-protobuf"}
THROWN = [
    {"time_unix_nano": 7, "name": "exception", "attributes": {"exception.type": "Refused"}},
    {"time_unix_nano": 8, "name": "retry"},
]


@pytest.fixture
async def asker(connection: Connection, views: Views) -> Asker:
    """Who asks of a shop that was called and called a bank, which failed; and of five other traces."""
    await prepare(connection)
    root = SpanRow._make(span_row(1, time=NOW - MINUTE_US, root=True, duration_ns=5_000_000_000))
    rows = [
        root,
        SpanRow._make(
            span_row(2, time=NOW - MINUTE_US + 10**6, service="bank", status=2, resource=BANK)
        )._replace(parent_span_id=root.span_id, events=json.dumps(THROWN)),
        *(span_row(n, time=NOW - 2 * MINUTE_US - n, trace=f"other {n}", resource=SHOP) for n in range(5)),
    ]  # fmt: skip
    await write_spans(connection, *rows)
    clock = SystemClock()
    failures = Failures(clock)
    questions = Questions(Turns(2), failures, clock)
    repository = TraceRepository(views)
    routers = [
        traces.routes(questions, repository),
        spans.routes(questions, SpanRepository(views), repository),
    ]
    admission = Admission(Gate(TlsSettings(), None), Settings())
    return Asker(build(admission, failures, Answers(Metrics(), clock), routers))


async def walked(asker: Asker, path: str, **query: Any) -> list[Any]:
    """Return the items of all pages, and compare them with the stream and the way back."""
    page = await asker.json(path, limit=2, **query)
    pages = [page]
    while page["next"] is not None:
        page = await asker.json(path, limit=2, cursor=page["next"], **query)
        pages.append(page)
    for before in reversed(pages[:-1]):
        page = await asker.json(path, limit=2, cursor=page["previous"], **query)
        assert page["items"] == before["items"]
    items = [item for page in pages for item in page["items"]]
    assert (await asker.get(path, headers=NDJSON, limit=100, **query)).lines == items
    return items


async def test_traces_and_spans_are_found_on_pages(asker: Asker) -> None:
    """Newest first, by service, operation and filter."""
    found = await walked(asker, "/api/v1/traces")
    named = [digest_of(f"other {n}").hex() for n in range(5)]
    assert [one["trace_id"] for one in found] == [TRACE, *named]
    assert (found[0]["span_count"], found[0]["error_count"]) == (2, 1)
    assert (found[0]["duration_ns"], found[0]["services"]) == ("5000000000", ["bank", "shop"])
    assert found[0]["root_service"] == "shop"
    for query in ({"service": "bank"}, {"q": "status:error"}):
        assert await walked(asker, "/api/v1/traces", **query) == found[:1]
    assert await walked(asker, "/api/v1/traces", operation="POST /") == []

    every = await walked(asker, "/api/v1/spans")
    assert [one["service"] for one in every] == ["bank", *["shop"] * 6]
    assert await walked(asker, "/api/v1/spans", service="bank") == every[:1]
    events = await walked(asker, "/api/v1/spans/events")
    assert [(e["event"]["name"], e["event"]["time_unix_nano"]) for e in events] == [
        ("retry", "8"), ("exception", "7")
    ]  # fmt: skip
    assert await walked(asker, "/api/v1/spans/events", name="exception") == events[1:]


async def test_a_trace_is_read_whole_and_in_three_forms(asker: Asker) -> None:
    """As spans, as OTLP in JSON or protobuf, and as what it waited for."""
    path = f"/api/v1/traces/{TRACE.upper()}"
    root, child = (digest_of(f"trace {n}")[:8].hex() for n in (1, 2))

    trace = await asker.json(path)
    assert [span["span_id"] for span in trace["spans"]] == [root, child]
    assert (trace["trace_id"], trace["is_whole"]) == (TRACE, True)
    assert trace["spans"][1]["resource"]["attributes"] == {"service.name": "bank"}
    cut = await asker.json(path, limit=1)
    assert (len(cut["spans"]), cut["is_whole"]) == (1, False)

    waited = await asker.json(f"{path}/critical-path")
    assert [part["span_id"] for part in waited["segments"]] == [root, child, root]
    assert waited["is_whole"]

    otlp = await asker.get(f"{path}/otlp")
    assert (otlp.headers["content-type"], otlp.headers["otlpg-is-whole"]) == ("application/json", "true")  # fmt: skip
    ids = {span["spanId"] for group in otlp.json["resourceSpans"]
           for scoped in group["scopeSpans"] for span in scoped["spans"]}  # fmt: skip
    assert ids == {root, child}
    binary = await asker.get(f"{path}/otlp", headers=PROTOBUF, limit=1)
    assert binary.headers["content-type"] == "application/x-protobuf"
    assert binary.headers["otlpg-is-whole"] == "false"
    request = ExportTraceServiceRequest.FromString(binary.body)
    [group] = request.resource_spans
    assert group.scope_spans[0].spans[0].span_id.hex() == root


async def test_what_went_wrong_and_who_called_whom(asker: Asker) -> None:
    """Exceptions in groups, and calls from service to service."""
    assert await asker.json("/api/v1/exceptions") == [
        {
            "service": "bank", "type": "Refused", "message": None, "count": "1",
            "first_unix_nano": "7", "last_unix_nano": "7", "trace_id": TRACE,
        }
    ]  # fmt: skip
    assert await asker.json("/api/v1/exceptions", service="shop") == []
    assert await asker.json("/api/v1/exceptions", q="service:bank") != []
    assert await asker.json("/api/v1/dependencies") == [
        {"parent": "shop", "child": "bank", "calls": 1, "errors": 1}
    ]
    assert await asker.json("/api/v1/dependencies", since="1s") == []


@pytest.mark.parametrize("end", ["", "/critical-path", "/otlp"])
async def test_a_trace_that_is_not_there_is_told(asker: Asker, end: str) -> None:
    """404; an id that is none is 400."""
    assert (await asker.get(f"/api/v1/traces/{'0' * 31}1{end}")).status == 404
    assert (await asker.get(f"/api/v1/traces/12{end}")).status == 400
    assert (await asker.get(f"/api/v1/traces/{TRACE}{end}", limit=20_001)).status == 400


@pytest.mark.parametrize("path", ["traces", "spans", "spans/events", "exceptions"])
async def test_what_cannot_be_asked_is_told(asker: Asker, path: str) -> None:
    """400, which names the parameter."""
    asked: list[dict[str, Any]] = [
        {"service": "\0"}, {"q": "nofield:x"}, {"colour": "red"}, {"limit": 0},
    ]  # fmt: skip
    for query in asked:
        assert (await asker.get(f"/api/v1/{path}", **query)).status == 400
    if path != "exceptions":
        foreign = await asker.get(f"/api/v1/{path}", cursor="WzAsNF0")
        assert (foreign.status, foreign.json["detail"]) == (
            400, "parameter 'cursor' must be one that an answer has given",
        )  # fmt: skip
