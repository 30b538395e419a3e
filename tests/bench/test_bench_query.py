"""The bench of questions: its data hang together, its answers are judged, its figures add up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from collector.errors import CommandError
from collector.operate.bench.query import QueryBenchOptions, logs, metrics, run, traces
from collector.operate.bench.query.asking import Asked, Asker, figures_of
from collector.operate.bench.query.case import Question, Repositories
from collector.operate.bench.query.data import Shape
from collector.operate.bench.query.data.filling import Filled, fill
from collector.operate.bench.query.jaeger import Jaeger, Milestones
from collector.operate.bench.query.summary import summary, wrong_answers
from collector.operate.export.run import Progress
from collector.query.time_range import TimeRange
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, Database

SHAPE = Shape(
    spans=4_000, logs=4_000, points=0, days=2, interval_s=900, end_unix_ns=1_795_000_020 * 10**9
)
QUESTIONS = 9


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with two days in it, and the questions about them."""

    database: Database
    filled: Filled
    questions: tuple[Question, ...]


@pytest.fixture
async def bench(database_settings: DatabaseSettings) -> AsyncGenerator[Bench]:
    """Two days of a little telemetry."""
    database = Database(database_settings)
    filled = await fill(database, SHAPE, lambda _: None)
    rng = random.Random(1)
    async with database.acquire() as connection:
        questions = (
            *await traces.questions(connection, SHAPE, filled.large, rng),
            *await logs.questions(connection, SHAPE, rng),
            *metrics.questions(SHAPE, rng),
        )
    yield Bench(database, filled, questions)
    await database.stop()


async def test_data_hang_together_and_every_question_is_answered_right(
    bench: Bench, connection: Connection
) -> None:
    """The copied day is as whole as the stored one, and repositories agree with plain SQL."""
    asker = Asker(bench.questions)
    for _ in range(4):
        await asker.round(Repositories(bench.database))

    assert bench.filled.rows[Signal.LOGS] == SHAPE.logs
    assert bench.filled.rows[Signal.TRACES] >= SHAPE.spans
    await check_copies(connection)
    figures = figures_of(asker)
    assert len(figures) == QUESTIONS
    assert {name: f["wrong"] for name, f in figures.items()} == dict.fromkeys(figures, 0)
    assert all(f["asked"] == 4 for f in figures.values())
    assert all(0 < f["p50_ms"] <= f["p99_ms"] == f["max_ms"] for f in figures.values())

    await spoil(connection)
    spoilt = Asker(bench.questions)
    await spoilt.round(Repositories(bench.database))

    wrong = {name for name, figure in figures_of(spoilt).items() if figure["wrong"]}
    assert len(wrong) == QUESTIONS


async def spoil(connection: Connection) -> None:
    """Take from every table a little, or a name, so that each answer is wrong."""
    for statement in (
        "DELETE FROM trace_spans WHERE parent_span_id IS NULL",
        """DELETE FROM trace_spans WHERE trace_id IN (
           SELECT trace_id FROM trace_spans GROUP BY 1 ORDER BY max(start_time) DESC LIMIT 60)""",
        "UPDATE trace_spans SET kind = 5",
        "UPDATE logs SET time_ns = (time_ns + 1) % 1000",
        "DELETE FROM metric_data_points WHERE extract(hour FROM time) = 7",
        "UPDATE resources SET service_name = service_name || 'x'",
    ):
        await connection.execute(statement)


async def check_copies(connection: Connection) -> None:
    """Spans, traces, events and log records of the copied day belong together as on the other."""
    assert await connection.fetchval("SELECT sum(span_count) FROM traces") == (
        await connection.fetchval("SELECT count(*) FROM trace_spans")
    )
    orphans = await connection.fetchval(
        "SELECT count(*) FROM trace_spans AS s WHERE parent_span_id IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM trace_spans AS p WHERE p.trace_id = s.trace_id AND p.span_id = s.parent_span_id"
        "  AND p.start_time <= s.start_time)"
    )
    assert orphans == 0
    lost = await connection.fetchval(
        "SELECT count(*) FROM logs AS l WHERE trace_id IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM trace_spans AS s WHERE s.trace_id = l.trace_id AND s.span_id = l.span_id"
        "  AND l.time BETWEEN s.start_time AND s.start_time + interval '1 second')"
    )
    assert lost == 0
    early, all_events = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE (events -> 0 ->> 'time_unix_nano')::numeric / 1000 <"
        " floor(extract(epoch FROM start_time) * 1000000)), count(*)"
        " FROM trace_spans WHERE events IS NOT NULL"
    ) or (None, None)
    late = await connection.fetchval(
        "SELECT count(*) FROM trace_spans WHERE (events -> 0 ->> 'time_unix_nano')::numeric / 1000 >"
        " extract(epoch FROM start_time) * 1000000 + 21000000"
    )
    assert (early, late) == (0, 0)
    assert all_events


def test_percentiles_are_of_what_was_taken() -> None:
    """The nearest rank: no value is made up between two."""
    asked = Asked([float(number) for number in range(200, 0, -1)], [3, 3], 1.0)

    assert asked.figures() == {
        "asked": 200, "p50_ms": 100.0, "p99_ms": 198.0, "max_ms": 200.0, "cpu_ms": 5.0, "wrong": 2,
    }  # fmt: skip
    assert Asked().figures()["p99_ms"] is None


def test_a_figure_is_held_against_its_target() -> None:
    """Each question has its p99 alone, and the quotient; wrong answers count from everywhere."""
    question = Question("q", 10.0, ())
    of = {"p99_ms": 8.0, "wrong": 1}
    found = {"idle": {"q": of}, "loaded": {"q": {**of, "p99_ms": 24.0}}, "http": {"q": of}}

    figures = summary((question,), found)

    assert [(f["value"], f["ok"]) for f in figures] == [(8.0, True), (3.0, False), (3, False)]
    assert wrong_answers(found) == 3


def test_a_program_that_is_no_jaeger_is_told_with_its_last_words(tmp_path: Path) -> None:
    """At once, not when the time is up."""
    program = tmp_path / "jaeger"
    program.write_text("#!/bin/sh\necho no such flag: $1\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(CommandError, match="no such flag: --config"), Jaeger(program, tmp_path):
        pass


def test_feeding_is_told_in_steps() -> None:
    """Once for each, however often there is progress, and not before the range is known."""
    told: list[str] = []
    hear = Milestones(told.append)
    hear(Progress())
    for number in range(1, 1_001):
        hear(Progress(TimeRange(0, 1_000), number, Counter({Signal.TRACES: 2 * number})))

    assert len(told) == 20
    assert told[-1] == "Jaeger has 2,000 spans, 100% of the time range"


@pytest.mark.long
def test_query_bench_measures_everything_and_all_answers_are_right() -> None:
    """Alone, over HTTP and beside ingest; what the load sent is stored."""
    options = QueryBenchOptions(
        SHAPE, rounds=3, warm_rounds=1, http_rounds=3,
        load_seconds=2.0, stretch_seconds=1.0, calibrate_seconds=0.5,
    )  # fmt: skip

    report = run(options, lambda _: None)

    assert report["right"], report
    assert orjson.loads(orjson.dumps(report)) == report
    assert len(report["idle"]) == len(report["loaded"]) == QUESTIONS
    assert all(figure["cpu_ms"] > 0 for figure in report["idle"].values())
    assert len(report["http"]) == 5
    assert report["load"]["items_per_s"] > 0
    assert report["jaeger"] is None
    assert [figure["name"] for figure in report["summary"] if figure["value"] is None] == []
