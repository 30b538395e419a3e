"""The five questions about traces, which Jaeger can be asked too.

Right answers come from plain SQL, which looks at every row of the range.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from collector.operate.bench.query.case import Case, Question
from collector.operate.bench.query.data.shape import SERVICES, Shape, on_day
from collector.operate.bench.query.data.spans import LARGE, TENANT_KEY, TENANTS, USER_KEY
from collector.query.page import Page
from collector.query.time_range import TimeRange
from collector.query.trace_repository import Trace, TraceSummary
from collector.query.trace_sql import TraceQuestion
from collector.rows import PG_EPOCH_UNIX_US
from collector.store.pool import Connection

CASES: Final = 24
TRACES: Final = 20

_NEWEST = """
SELECT trace_id FROM trace_spans
WHERE service_name = $1 AND start_time >= $2 AND start_time < $3
  AND ($4::text IS NULL OR attributes ->> $4 = $5)
GROUP BY trace_id ORDER BY max(start_time) DESC, trace_id DESC
"""
_USERS = """
SELECT DISTINCT service_name, attributes ->> $1 AS value FROM trace_spans
WHERE start_time >= $2 AND start_time < $3 AND get_byte(trace_id, 1) = $4 LIMIT $5
"""
_OPERATIONS = """
SELECT DISTINCT name, kind FROM trace_spans
WHERE service_name = $1 AND start_time >= $2 AND start_time < $3
"""


async def questions(
    connection: Connection, shape: Shape, large: Sequence[bytes], rng: random.Random
) -> tuple[Question, ...]:
    """Return the questions, with parameters that have an answer."""
    hour, day = shape.last_hour(), shape.day()
    ids = (on_day(rng.choice(large), rng.randrange(shape.days)) for _ in range(CASES))
    by_id = map(_by_id, ids)
    wanted = [(service, "", "") for service in SERVICES]
    newest = await _searches(connection, hour, wanted, rng)
    tenants = [(rng.choice(SERVICES), TENANT_KEY, tenant) for tenant in TENANTS]
    users = await connection.fetch(_USERS, USER_KEY, *day, rng.randrange(256), CASES)
    rare = [(row["service_name"], USER_KEY, row["value"]) for row in users]
    with_attribute = [
        *await _searches(connection, day, tenants, rng, CASES // 2),
        *await _searches(connection, day, rare, rng, CASES // 2),
    ]
    return (
        Question("trace by id (200 spans)", 15, tuple(by_id)),
        Question("newest 20 traces of a service, last hour", 50, tuple(newest)),
        Question("… with an attribute, last day", 150, tuple(with_attribute)),
        Question("services", 10, (_services(shape),)),
        Question("operations of a service", 10, tuple(await _operations(connection, shape, rng))),
    )


def _by_id(trace_id: bytes) -> Case:
    def is_right(trace: Trace) -> bool:
        ids = {span.span_id for span in trace.spans if span.trace_id == trace_id}
        return trace.is_whole and len(ids) == len(trace.spans) == LARGE

    return Case(
        lambda repositories: repositories.traces.get(trace_id),
        is_right,
        f"/api/traces/{trace_id.hex()}",
        lambda data: _ids(data) == [trace_id] and len(data[0]["spans"]) == LARGE,
    )


async def _searches(
    connection: Connection,
    when: TimeRange,
    wanted: Sequence[tuple[str, str, str]],
    rng: random.Random,
    most: int = CASES,
) -> list[Case]:
    """Return searches for a service, and perhaps for an attribute, that find something."""
    cases: list[Case] = []
    for service, key, value in rng.sample(wanted, len(wanted)):
        rows = await connection.fetch(_NEWEST, service, *when, key or None, value)
        if rows and len(cases) < most:
            ids = [row["trace_id"] for row in rows]
            cases.append(_search(when, service, {key: value} if key else {}, ids))
    return cases


def _search(
    when: TimeRange, service: str, attributes: dict[str, str], ids: Sequence[bytes]
) -> Case:
    """Return a search; ``ids`` are of all traces that match, newest first."""
    question = TraceQuestion(service=service, attributes=attributes)
    parameters = {
        "service": service,
        "start": when.start + PG_EPOCH_UNIX_US,
        "end": when.end + PG_EPOCH_UNIX_US,
        "limit": TRACES,
    }
    if attributes:
        parameters["tags"] = orjson.dumps(attributes).decode()

    def is_right(page: Page[TraceSummary]) -> bool:
        return [trace.trace_id for trace in page.items] == ids[:TRACES]

    def is_right_over_http(data: Any) -> bool:
        found = _ids(data)
        return len(set(found)) == min(TRACES, len(ids)) and set(found) <= set(ids)

    return Case(
        lambda repositories: repositories.traces.find(when, question, limit=TRACES),
        is_right,
        f"/api/traces?{urlencode(parameters)}",
        is_right_over_http,
    )


def _services(shape: Shape) -> Case:
    """Return the question for all services; those of the load may be among them."""
    return Case(
        lambda repositories: repositories.services.services(shape.day()),
        lambda found: {service.name for service in found} >= set(SERVICES),
        "/api/services",
        lambda data: set(data) >= set(SERVICES),
    )


async def _operations(connection: Connection, shape: Shape, rng: random.Random) -> list[Case]:
    cases: list[Case] = []
    for service in rng.sample(SERVICES, CASES):
        rows = await connection.fetch(_OPERATIONS, service, *shape.day())
        if rows:
            cases.append(_of_service(shape, service, {(row["name"], row["kind"]) for row in rows}))
    return cases


def _of_service(shape: Shape, service: str, expected: set[tuple[str, int]]) -> Case:
    names = {name for name, _ in expected}
    return Case(
        lambda repositories: repositories.services.operations(service, shape.all_days()),
        lambda found: {(each.name, each.kind) for each in found} == expected,
        f"/api/services/{quote(service)}/operations",
        lambda data: set(data) == names,
    )


def _ids(data: Any) -> list[bytes]:
    """Return the ids of traces in an answer of Jaeger's; leading zeros may be missing there."""
    return [bytes.fromhex(trace["traceID"].rjust(32, "0")) for trace in data]
