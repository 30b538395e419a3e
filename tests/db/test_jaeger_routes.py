"""Jaeger's routes on a real database: answers that lack spans, and PostgreSQL that does not answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Route

from collector.api.errors import Failures
from collector.api.jaeger.answering import Answering
from collector.api.jaeger.stored import StoredSpans
from collector.api.jaeger.v1 import V1Routes
from collector.api.jaeger.v3 import V3Routes
from collector.api.questions import Questions, Turns
from collector.query.view import Views
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database
from collector.telemetry.clock import SystemClock
from tests.asking import Asker
from tests.converted import digest_of
from tests.db.querying import BY_BANK, prepare, span, write_spans
from tests.db.writing import NOW

SPANS_MAX = 5
WHOLE, CUT, LEFT_OUT = (digest_of(name).hex() for name in ("whole", "cut", "left out"))
HOUR: dict[str, Any] = {
    "query.startTimeMin": str((NOW + 946_684_800_000_000 - 3_600_000_000) * 1_000),
    "query.startTimeMax": str((NOW + 946_684_800_000_000) * 1_000),
}


def asker_of(database: Database) -> Asker:
    """Return who asks Jaeger's routes, without a gate; answers have room for ``SPANS_MAX`` spans."""
    clock = SystemClock()
    failures = Failures(clock)
    stored = StoredSpans(Views(database, 30), clock, spans_max=SPANS_MAX)
    answering = Answering(Questions(Turns(2), failures, clock), failures)
    answers = V1Routes(stored, answering).by_path() | V3Routes(stored, answering).by_path()
    return Asker(FastAPI(routes=[Route(path, answer) for path, answer in answers.items()]))


@pytest.fixture
async def asker(
    connection: Connection, database_settings: DatabaseSettings
) -> AsyncGenerator[Asker]:
    """Who asks about three traces, the newest first: two spans, six, and two that failed."""
    await prepare(connection)
    await write_spans(
        connection,
        *(span("whole", number, minutes=1) for number in range(2)),
        *(span("cut", number, minutes=2 + number) for number in range(6)),
        *(span("left out", number, minutes=10 + number, status_code=2) for number in range(2)),
        span("left out", 9, minutes=9, parent_span_id=None, name="root", **BY_BANK),
    )
    database = Database(database_settings)
    yield asker_of(database)
    await database.stop()


async def test_only_a_trace_that_lacks_spans_is_warned_of(asker: Asker) -> None:
    """The one before it is whole."""
    found = (await asker.get("/api/traces", traceID=[WHOLE, CUT])).json

    whole, cut = found["data"]
    assert (len(whole["spans"]), whole["warnings"]) == (2, None)
    assert (len(cut["spans"]), len(cut["warnings"])) == (3, 1)
    assert found["errors"] is None


async def test_a_trace_for_which_there_is_no_room_is_not_called_missing(asker: Asker) -> None:
    """It can be had alone; one that is not stored is another matter."""
    found = (await asker.get("/api/traces", traceID=[CUT, LEFT_OUT, "2a"])).json

    assert [(one["code"], one["traceID"]) for one in found["errors"]] == [
        (413, LEFT_OUT),
        (404, "000000000000002a"),
    ]
    assert "too large" in found["errors"][0]["msg"]
    alone = (await asker.get(f"/api/traces/{LEFT_OUT}")).json
    assert [(len(trace["spans"]), trace["warnings"]) for trace in alone["data"]] == [(3, None)]


async def test_a_trace_whose_spans_are_kept_no_longer_is_not_found(
    asker: Asker, connection: Connection
) -> None:
    """Where there was room for all that there is."""
    await connection.execute("DELETE FROM trace_spans WHERE trace_id = $1", digest_of("left out"))

    found = (await asker.get("/api/traces", traceID=[WHOLE, LEFT_OUT])).json

    assert [(one["code"], one["traceID"]) for one in found["errors"]] == [(404, LEFT_OUT)]


async def test_summaries_count_spans_for_which_there_is_no_room(asker: Asker) -> None:
    """Every trace is there, the newest first; of those that are cut, what is known without spans."""
    found = (await asker.get("/api/v3/trace-summaries", **HOUR)).json["summaries"]

    assert [(one["traceId"], one["spanCount"]) for one in found] == [
        (WHOLE, 2),
        (CUT, 6),
        (LEFT_OUT, 3),
    ]
    assert found[2]["errorSpanCount"] == 2
    assert (found[2]["rootServiceName"], found[2]["rootOperationName"]) == ("bank", "root")
    assert found[2]["services"] == [{"name": "bank"}, {"name": "shop"}]
    assert found[0]["services"] == [{"name": "shop", "spanCount": 2}]


@pytest.mark.parametrize("path", ["/api/services", "/api/v3/services"])
async def test_postgresql_away_is_told_as_that(
    path: str, database_settings: DatabaseSettings
) -> None:
    """As on every other route; come again."""
    away = database_settings.model_copy(update={"host": "127.0.0.1", "port": 1, "dsn": None})
    database = Database(away)

    said = await asker_of(database).get(path)
    await database.stop()

    assert (said.status, said.headers["retry-after"]) == (503, "2")
    assert b"PostgreSQL is away" in said.body
