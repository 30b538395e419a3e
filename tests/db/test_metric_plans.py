"""Questions about metrics: their SQL as it is kept, and what PostgreSQL reads for them.

Tables are almost empty here, so sequential scans are made dear; what is shown is that the index is
enough, and that leaves outside of the range are left alone.
"""

from __future__ import annotations

from datetime import date

import pytest

from collector.query import metric_series_sql as series_sql
from collector.query import metric_sql as sql
from collector.query.filters import Filter
from collector.query.metric_sql import Selected
from collector.query.metric_types import Across, Function, MetricQuestion, Steps
from collector.query.page import Cursor
from collector.query.statement import Statement
from collector.query.time_range import TimeRange
from collector.query.view import View
from collector.rows import Signal
from collector.store.pool import Connection
from tests.db.measuring import MINUTE_US, START, Measured, metric, point, series_of, store
from tests.db.querying import leaf_of, plan_of
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

WHEN = TimeRange(START + 600 * MINUTE_US, START + 660 * MINUTE_US)
STEPS = Steps.of(WHEN, MINUTE_US)
SELECTED = [Selected(n, n % 2, n == 0, True) for n in range(3)]
QUESTION = MetricQuestion(
    "latency",
    type="histogram",
    unit="zebra",
    service="zebra",
    attributes={"zebra": "zebra"},
    filter=Filter.parse("zebra @zebra:>4711"),
)
KIND = metric("latency", "histogram", temporality=2)
SERIES = series_of(KIND, {"route": "/cart"})

STATEMENTS: dict[str, Statement] = {
    "metrics_page": series_sql.metrics_page(
        WHEN, contains="zebra", service="zebra", limit=4711, cursor=None
    ),
    "metrics_page_back": series_sql.metrics_page(
        WHEN, contains="", service=None, limit=4711, cursor=Cursor((4711,), is_backward=True)
    ),
    "metric_kinds": series_sql.kinds(QUESTION, WHEN),
    "metric_series_page": series_sql.series_page(
        QUESTION, WHEN, limit=4711, cursor=Cursor((4711,))
    ),
    "metric_series_newest": series_sql.newest_series(QUESTION, WHEN, 4711),
    "metric_series_grouped": series_sql.series_to_read(QUESTION, WHEN, ("zebra", "zebra"), 4711),
    "metric_series_alone": series_sql.series_to_read(QUESTION, WHEN, None, 4711),
    "metric_points": sql.points([4711], WHEN, 4711),
    "metric_exemplars": sql.exemplars([4711], WHEN, 4711),
    "metric_reduced_last": sql.reduced(SELECTED, STEPS, Function.LAST, Across.SUM),
    "metric_reduced_avg": sql.reduced(SELECTED, STEPS, Function.AVG, Across.AVG),
    "metric_increases_number": sql.increases(SELECTED, STEPS, sql.NUMBER),
    "metric_increases_sum": sql.increases(SELECTED, STEPS, sql.SUM),
    "metric_buckets": sql.buckets(SELECTED, STEPS),
    "metric_explicit_histograms": sql.explicit_histograms(SELECTED, STEPS, 3),
    "metric_exponential_histograms": sql.exponential_histograms(SELECTED, STEPS),
}
READING_POINTS = [
    "metric_points", "metric_exemplars", "metric_reduced_last", "metric_reduced_avg",
    "metric_increases_number", "metric_increases_sum", "metric_buckets", "metric_explicit_histograms",
    "metric_exponential_histograms",
]  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_sql_is_the_one_that_is_kept(name: str) -> None:
    """Read the difference, then write it anew. Nothing that a user wrote is in it."""
    check_golden(name, STATEMENTS[name])

    for written in ("zebra", "4711"):
        assert written not in STATEMENTS[name].sql


@pytest.fixture
async def planner(connection: Connection) -> Connection:
    """A database with a point on each of three days, whose planner prefers indexes."""
    rows = [point(SERIES, START + day * DAY_US + 1, count=1) for day in (-1, 0, 1)]
    await store(connection, Measured(KIND, SERIES, rows))
    await connection.execute("SET enable_seqscan = off")
    return connection


@pytest.mark.postgres_versions
@pytest.mark.parametrize("name", STATEMENTS)
async def test_every_statement_is_one(name: str, planner: Connection) -> None:
    """PostgreSQL understands it, with its parameters."""
    assert await plan_of(planner, *STATEMENTS[name])


@pytest.mark.postgres_versions
@pytest.mark.parametrize("name", READING_POINTS)
async def test_points_come_through_the_index_of_the_leaves_of_the_range(
    name: str, planner: Connection
) -> None:
    """Series by series in the order of time; other days are not looked at."""
    plan = await plan_of(planner, *STATEMENTS[name])

    day = await leaf_of(planner, Signal.METRICS, WHEN.start)
    assert f"{day}_series_id_time_idx" in plan
    assert "Seq Scan" not in plan
    for other in (-DAY_US, DAY_US):
        assert await leaf_of(planner, Signal.METRICS, WHEN.start + other) not in plan


async def test_a_day_ends_where_its_leaf_does(planner: Connection) -> None:
    """A range that begins with a day looks back into the one before for where counters stood."""
    steps = Steps.of(TimeRange(START, START + DAY_US), MINUTE_US)

    plan = await plan_of(planner, *sql.increases(SELECTED, steps, sql.NUMBER))

    assert await leaf_of(planner, Signal.METRICS, START - DAY_US) in plan
    assert await leaf_of(planner, Signal.METRICS, START + DAY_US) not in plan


@pytest.mark.parametrize("name", ["metric_series_grouped", "metric_series_newest"])
async def test_series_come_through_their_metric(name: str, planner: Connection) -> None:
    """And that by its name, of which there may be very many."""
    plan = await plan_of(planner, *STATEMENTS[name])

    assert "metrics_name_idx" in plan
    assert "metric_series_metric_id_service_name_idx" in plan or "metric_series_pkey" in plan


@pytest.mark.parametrize("start", [-(2**62), 0, 2**62])
def test_any_range_has_a_day(start: int) -> None:
    """Which PostgreSQL can compare with."""
    (_, day) = series_sql.kinds(MetricQuestion("x"), TimeRange(start, start + 1)).parameters

    assert isinstance(day, date)


@pytest.mark.postgres_versions
async def test_a_view_that_prefers_hashing_does_not_sort_what_it_groups(
    planner: Connection,
) -> None:
    """And only until its transaction ends: PostgreSQL itself would sort all histograms here."""
    statement = STATEMENTS["metric_explicit_histograms"]
    async with planner.transaction():
        await View(planner).prefer_hashing()
        hashed = await plan_of(planner, *statement)

    assert hashed.startswith("HashAggregate")
    assert (await plan_of(planner, *statement)).startswith("GroupAggregate")
