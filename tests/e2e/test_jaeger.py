"""Jaeger's API of a real daemon, as Grafana's plugin and Jaeger's page call it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller
from tests.factories import spans_with_services, trace_request

MINUTE_NS = 60 * 10**9


JSON = ("application/json", "application/problem+json")
"""The second is of what is no route of Jaeger's."""


class Stand(NamedTuple):
    """A daemon with an API, and what it was sent."""

    daemon: Daemon
    sent: ExportTraceServiceRequest
    start_unix_nano: int

    def get(self, path: str, **parameters: str) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        if parameters:
            path += f"?{urlencode({name.replace('__', '.'): v for name, v in parameters.items()})}"
        with closing(HTTPConnection("127.0.0.1", self.daemon.api_port, timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.headers["content-type"] in JSON
            return answer.status, json.load(answer)

    def spans(self) -> list[tuple[str, Span]]:
        """Return every span that was sent, with its service."""
        return spans_with_services(self.sent)

    def trace(self) -> tuple[bytes, list[tuple[str, Span]]]:
        """Return the id and the spans of one trace."""
        trace_id = self.spans()[0][1].trace_id
        return trace_id, [entry for entry in self.spans() if entry[1].trace_id == trace_id]


@pytest.fixture(scope="module")
def stand(module_database: DatabaseSettings) -> Generator[Stand]:
    """A daemon that stored forty spans of a shop, a minute ago; nothing that is asked ends its API."""
    start = time.time_ns() - MINUTE_NS
    sent = trace_request(items=40, base_unix_nano=start)
    with Daemon(module_database, OTLPG_API__ENABLED="true") as daemon:
        with Caller(daemon.grpc_port) as caller:
            assert caller.send(Signal.TRACES, sent.SerializeToString()) == b""
        yield Stand(daemon, sent, start)
        assert daemon.metric("otlpg_api_restarts_total") == 0


def data_of(answer: tuple[int, Any]) -> Any:
    """Return what a good answer of the first API holds."""
    status, content = answer
    assert status == 200, content
    assert content.keys() == {"data", "total", "limit", "offset", "errors"}
    assert content["errors"] is None
    assert content["total"] == len(content["data"])
    return content["data"]


def test_services_and_operations(stand: Stand) -> None:
    """In both versions, with and without kinds."""
    services = sorted({service for service, _ in stand.spans()})
    [service, *_] = services
    names = sorted({span.name for owner, span in stand.spans() if owner == service})

    assert data_of(stand.get("/api/services")) == services
    assert stand.get("/api/v3/services") == (200, {"services": services})
    assert data_of(stand.get(f"/api/services/{service}/operations")) == names
    assert data_of(stand.get("/api/services/no%2Fsuch/operations")) == []
    found = data_of(stand.get("/api/operations", service=service))
    assert sorted({one["name"] for one in found}) == names
    kinds = {one["spanKind"] for one in found}
    kind = min(kinds)
    for word in (kind, kind.upper()):
        of_kind = data_of(stand.get("/api/operations", service=service, spanKind=word))
        assert {one["spanKind"] for one in of_kind} == {kind}
    assert stand.get("/api/v3/operations", service=service) == (200, {"operations": found})
    _, snake = stand.get("/api/v3/operations", service=service, span_kind=kind)
    assert {one["spanKind"] for one in snake["operations"]} == {kind}


def test_a_trace_by_its_id(stand: Stand) -> None:
    """In hex or base64, with Grafana's milliseconds, as Jaeger's spans and as OTLP."""
    trace_id, spans = stand.trace()
    milliseconds = str(stand.start_unix_nano // 10**6)

    [found] = data_of(stand.get(f"/api/traces/{trace_id.hex()}"))

    assert found["traceID"] == trace_id.hex()
    assert {span["spanID"] for span in found["spans"]} == {s.span_id.hex() for _, s in spans}
    assert {p["serviceName"] for p in found["processes"].values()} == {s for s, _ in spans}
    again = stand.get(f"/api/traces/{trace_id.hex().upper()}", start=milliseconds, end=milliseconds)
    assert data_of(again) == [found]
    status, content = stand.get(
        f"/api/v3/traces/{trace_id.hex()}", startTime="2026-01-01T00:00:00Z"
    )
    assert status == 200
    ids = [
        (span["traceId"], span["spanId"])
        for group in content["result"]["resourceSpans"]
        for scoped in group["scopeSpans"]
        for span in scoped["spans"]
    ]
    assert sorted(ids) == sorted((trace_id.hex(), span.span_id.hex()) for _, span in spans)


def test_a_search_of_grafana_and_one_of_jaegers_page(stand: Stand) -> None:
    """Both find the traces of a service, with all their spans."""
    _, spans = stand.trace()
    service, span = spans[0]
    start, end = stand.start_unix_nano - MINUTE_NS, stand.start_unix_nano + 2 * MINUTE_NS
    wanted = {
        s.trace_id.hex() for owner, s in stand.spans() if (owner, s.name) == (service, span.name)
    }

    found = data_of(
        stand.get(
            "/api/traces",
            service=service,
            operation=span.name,
            limit="20",
            lookback="custom",
            start=str(start // 1_000),
            end=str(end // 1_000),
            tags=json.dumps({"service.namespace": "shop"}),
        )
    )

    assert {trace["traceID"] for trace in found} == wanted
    assert sum(len(t["spans"]) for t in found) == sum(
        s.trace_id.hex() in wanted for _, s in stand.spans()
    )
    query = {
        "query__serviceName": service,
        "query__operationName": span.name,
        "query__startTimeMin": str(start),
        "query__startTimeMax": str(end),
    }
    status, summaries = stand.get("/api/v3/trace-summaries", **query)
    assert status == 200
    assert {summary["traceId"]: summary["spanCount"] for summary in summaries["summaries"]} == {
        trace["traceID"]: len(trace["spans"]) for trace in found
    }
    status, content = stand.get("/api/v3/traces", **query)
    assert status == 200
    assert len(content["result"]["resourceSpans"]) >= len(found)
    assert data_of(stand.get("/api/traces", service=service, minDuration="999h")) == []
    assert stand.get("/api/v3/traces", **query, query__durationMin="999h")[0] == 404


def test_what_is_not_there_is_told_in_jaegers_words(stand: Stand) -> None:
    """One of several is an error beside the others; one alone is not found."""
    trace_id, _ = stand.trace()

    assert stand.get("/api/traces/2a") == (
        404,
        {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]},
    )  # fmt: skip
    assert stand.get("/api/v3/traces/2a") == (
        404, {"error": {"httpCode": 404, "message": "trace not found"}},
    )  # fmt: skip
    status, content = stand.get(f"/api/traces?traceID={trace_id.hex()}&traceID=2a")
    assert status == 200
    assert [trace["traceID"] for trace in content["data"]] == [trace_id.hex()]
    assert content["errors"] == [
        {"code": 404, "msg": "trace not found", "traceID": "000000000000002a"}
    ]


HOSTILE = (
    "0", "-1", "1;--", "2147483648", "NaN", "'; DROP TABLE trace_spans;--", "%", "\x00", "\ud7ff",
    "9" * 400, "[" * 5_000, '{"a":{"b":1}}', "../../etc/passwd", "10000-01-01T00:00:00Z", "$.**",
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/api/traces", "operation start end minDuration maxDuration limit tags tag lookback traceID"),
        ("/api/operations", "service spanKind"),
        ("/api/v3/operations", "service spanKind"),
        ("/api/v3/traces", "query.operationName query.startTimeMin query.durationMin query.attributes query.searchDepth query.rawTraces"),
        ("/api/v3/trace-summaries", "query.serviceName query.startTimeMax query.attributes"),
        ("/api/traces/2a", "start end"),
        ("/api/v3/traces/2a", "startTime endTime rawTraces"),
        ("/api/dependencies", "endTs lookback service"),
        ("/api/metrics/latencies", "service quantile groupByOperation endTs lookback step ratePer spanKind"),
        ("/api/metrics/errors", "service lookback step ratePer"),
    ],
)  # fmt: skip
async def test_hostile_parameters_are_answered(stand: Stand, path: str, names: str) -> None:
    """With what they find or with what is wrong; never with a fault of ours, or SQL."""
    usual = {
        "service": "shop", "query.serviceName": "shop", "quantile": "0.5",
        "query.startTimeMin": "1767265200", "query.startTimeMax": "1767268800",
    }  # fmt: skip
    for name in names.split():
        for text in HOSTILE:
            status, content = await asyncio.to_thread(stand.get, path, **{**usual, name: text})
            assert status in (200, 400, 404), (name, text, content)
            assert "SELECT" not in json.dumps(content)


@pytest.mark.parametrize("path", ["services/%00/operations", "services/a/b/operations", "traces/%2e%2e%2fx", f"traces/{quote('é')}"])  # fmt: skip
def test_hostile_paths_are_answered(stand: Stand, path: str) -> None:
    """A service may be called anything; an id with a slash in it is another path."""
    assert stand.get(f"/api/{path}")[0] in (200, 400, 404)
