"""The routes of services, logs and metrics on a real database: thin coats, and the forms of answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from collector.api import logs, metrics, services
from collector.api.errors import Failures
from collector.api.questions import Questions, Turns
from collector.errors import BadParameterError, NotFoundError
from collector.query.log_repository import LogRepository
from collector.query.metric_repository import MetricRepository
from collector.query.service_repository import ServiceRepository
from collector.query.view import Views
from collector.rows import LogRow, PointRow, Signal
from collector.store.pool import Connection
from collector.telemetry.clock import SystemClock
from tests.asking import NDJSON, Asker
from tests.converted import digest_of, log_row, point_row, span_row
from tests.db.querying import MINUTE_US, SERIES, prepare, write
from tests.db.writing import NOW

TRACE = digest_of("trace").hex()


@pytest.fixture
async def asker(connection: Connection, views: Views) -> Asker:
    """Who asks about three records of a shop and one of a bank, a span of ``a/b``, and points.

    There is no gate, and an error comes out as it is.
    """
    await prepare(connection)
    rows = [log_row(time=NOW - n * MINUTE_US, body=f"shop {n}") for n in (1, 2, 3)]
    first = LogRow(*rows[0])._replace(trace_id=digest_of("trace"), severity_number=17)
    bank = log_row(time=NOW - MINUTE_US, body="bank", service="bank")
    await write(connection, Signal.LOGS, first, *rows[1:], bank)
    await write(connection, Signal.TRACES, span_row(1, time=NOW - MINUTE_US, service="a/b"))
    points = [point_row(SERIES, time=NOW - n * MINUTE_US, value=n / 2) for n in (4, 3, 2)]
    last = PointRow(*point_row(SERIES, time=NOW - MINUTE_US))._replace(
        value=None, value_int=2**53 + 1
    )
    await write(connection, Signal.METRICS, *points, last)
    clock = SystemClock()
    questions = Questions(Turns(2), Failures(clock), clock)
    app = FastAPI()
    app.include_router(logs.routes(questions, LogRepository(views)))
    app.include_router(services.routes(questions, ServiceRepository(views)))
    app.include_router(metrics.routes(questions, MetricRepository(views)))
    return Asker(app)


async def test_logs_come_in_pages_both_ways(asker: Asker) -> None:
    """Ids are hex, integers of 64 bits are text."""
    first = await asker.json("/api/v1/logs", q="service:shop", limit=2)
    second = await asker.json("/api/v1/logs", q="service:shop", limit=2, cursor=first["next"])
    back = await asker.json("/api/v1/logs", q="service:shop", limit=2, cursor=second["previous"])

    assert [item["body"] for item in first["items"]] == ["shop 1", "shop 2"]
    assert [item["body"] for item in second["items"]] == ["shop 3"]
    assert second["next"] is None
    assert back == first
    assert first["items"][0]["trace_id"] == TRACE
    assert first["items"][0]["time_unix_nano"].isdigit()


async def test_a_stream_goes_on_over_pages(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each item, as many as are asked for, oldest first if so."""
    monkeypatch.setattr("collector.api.questions.LIMIT_MAX", 2)
    words: dict[str, Any] = {"order": "oldest", "q": "service:shop", "headers": NDJSON}

    said = await asker.get("/api/v1/logs", **words)
    fewer = await asker.get("/api/v1/logs", limit=1, **words)

    assert said.headers["content-type"] == "application/x-ndjson"
    assert [line["body"] for line in said.lines] == ["shop 3", "shop 2", "shop 1"]
    assert fewer.lines == said.lines[:1]
    with pytest.raises(BadParameterError, match="limit"):
        await asker.get("/api/v1/logs", limit=3)


async def test_logs_are_counted(asker: Asker) -> None:
    """By level in steps, and in all."""
    steps = await asker.json("/api/v1/logs/histogram", q="service:shop", step="1h", since="2h")
    total = await asker.json("/api/v1/logs/total", q="service:shop")

    counts = [step["counts"] for step in steps]
    assert sum(count.get("INFO", 0) for count in counts) == 2
    assert sum(count.get("ERROR", 0) for count in counts) == 1
    assert total == {"items": 3, "is_exact": True}


async def test_context_is_asked_for_by_key(asker: Asker) -> None:
    """As an item has it; another one is refused, and one of no record is not found."""
    page = await asker.json("/api/v1/logs", q='"shop 2"')
    path = "/api/v1/logs/context"

    found = await asker.json(path, key=page["items"][0]["key"], after=0)

    assert [item["body"] for item in found["before"]] == ["shop 3"]
    assert (found["record"]["body"], found["after"]) == ("shop 2", [])
    with pytest.raises(BadParameterError, match="key"):
        await asker.get(path, key="nonsense")
    with pytest.raises(NotFoundError):
        await asker.get(path, key="WzAsMSwyLDNd")  # [0,1,2,3]


async def test_logs_of_a_trace(asker: Asker) -> None:
    """Whenever they came, unless a range is given."""
    path = f"/api/v1/traces/{TRACE}/logs"
    whenever = await asker.json(path)
    then = await asker.json(path, start="2020-01-01T00:00:00Z", end="2020-01-02T00:00:00Z")

    assert [item["body"] for item in whenever["items"]] == ["shop 1"]
    assert then["items"] == []


async def test_services_and_what_they_do(asker: Asker) -> None:
    """A name may hold a slash, written as it is or escaped."""
    names = [one["name"] for one in await asker.json("/api/v1/services")]
    assert names == ["bank", "shop"]
    for name in ("a/b", quote("a/b", safe="")):
        path = f"/api/v1/services/{name}"
        operations = await asker.json(f"{path}/operations")
        series = await asker.json(f"{path}/red", step="1h", by_operation="true")

        assert operations == [{"name": "GET /", "kind": 2, "spans": 1}]
        assert [(one["service"], one["operation"]) for one in series] == [("a/b", "GET /")]
        assert sum(point["requests"] for point in series[0]["points"]) == 1
        assert series[0]["points"][0]["max_ns"] == "1000000"


async def test_metrics_are_listed_with_their_series(asker: Asker) -> None:
    """By a part of the name, and by service."""
    page = await asker.json("/api/v1/metrics", contains="REQ", service="shop")
    none = await asker.json("/api/v1/metrics", service="bank")
    series = await asker.json("/api/v1/metrics/requests/series")

    assert [(one["name"], one["series_total"]) for one in page["items"]] == [("requests", 1)]
    assert none["items"] == []
    assert [one["series_id"] for one in series["items"]] == [str(SERIES.series_id)]


async def test_points_are_given_as_they_are_stored(asker: Asker) -> None:
    """The newest of each series, oldest first; an integer is text, a double a number."""
    found = await asker.json("/api/v1/metrics/requests/points", limit=2, q="service:shop")

    (one,) = found["series"]
    assert [point["value"] for point in one["points"]] == [1.0, str(2**53 + 1)]
    assert one["is_whole"] is False
    assert found["series_total"] == {"items": 1, "is_exact": True}


async def test_values_over_steps(asker: Asker) -> None:
    """One line of all series, or one for each value of an attribute."""
    path = "/api/v1/metrics/requests/values"
    whole = await asker.json(path, function="count", step="1h", group_by="", since="2h")
    by_host = await asker.json(path, function="max", group_by="service.name")

    assert (whole["function"], whole["step_ns"], whole["is_whole"]) == (
        "count",
        "3600000000000",
        True,
    )
    assert sum(value for _, value in whole["lines"][0]["values"]) == 4
    assert whole["lines"][0]["values"][0][0].isdigit()
    assert [line["labels"] for line in by_host["lines"]] == [{"service.name": "shop"}]
    with pytest.raises(BadParameterError, match="function"):
        await asker.get(path, function="p101")
    with pytest.raises(NotFoundError):
        await asker.get("/api/v1/metrics/other/values")


async def test_a_text_with_a_nul_is_refused(asker: Asker) -> None:
    """PostgreSQL knows no such text, and is not asked; here FastAPI itself says so."""
    for said in (
        await asker.get("/api/v1/services/a%00/operations"),
        await asker.get("/api/v1/metrics/a%00/points"),
        await asker.get("/api/v1/metrics", contains="\0"),
    ):
        assert said.status == 422
        assert b"NUL" in said.body


async def test_exemplars(asker: Asker) -> None:
    """None were sent."""
    assert await asker.json("/api/v1/metrics/requests/exemplars", limit=5) == []
