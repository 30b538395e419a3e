"""Filters are written so that the indexes that exist can serve them.

Tables are almost empty here, so sequential scans are made dear; what is shown is that an index can
be used, not that it always pays.
"""

from __future__ import annotations

import pytest

from collector.query.filters import Filter
from collector.query.recent import TIME_MAX, TIME_MIN, statement
from collector.query.sql import FROM, where
from collector.rows import Signal
from collector.store.pool import Connection
from tests.converted import log_row, point_row, span_row
from tests.db.querying import SERIES, leaf_of, plan_of, prepare, write
from tests.db.writing import NOW
from tests.leaves import DAY_US

TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS


@pytest.fixture
async def planner(connection: Connection) -> Connection:
    """A database with one item of each signal, whose planner prefers indexes."""
    await prepare(connection)
    await write(connection, TRACES, span_row(time=NOW))
    await write(connection, METRICS, point_row(SERIES, time=NOW))
    await write(connection, LOGS, log_row(time=NOW))
    await connection.execute("SET enable_seqscan = off")
    return connection


@pytest.mark.postgres_versions
@pytest.mark.parametrize(
    ("signal", "text", "index"),
    [
        (TRACES, "service:Shop", "{leaf}_service_name_start_time_idx"),
        (TRACES, "service:sh*", "{leaf}_service_name_start_time_idx"),
        (TRACES, "trace:0af7651916cd43dd8448eb211c80319c", "{leaf}_trace_id_idx"),
        (TRACES, "trace:0af7", "{leaf}_trace_id_idx"),
        (TRACES, "@host.name:h1", "resources_attributes_idx"),
        (TRACES, "@process.pid:42", "resources_attributes_idx"),
        (LOGS, "service:Shop", "{leaf}_service_name_time_idx"),
        (LOGS, "trace:0af7", "{leaf}_trace_id_idx"),
        (LOGS, "@host.name:h1", "resources_attributes_idx"),
        (METRICS, "metric:requests", "{leaf}_series_id_time_idx"),
        (METRICS, "@http.route:/cart", "metric_series_attributes_idx"),
        (METRICS, "@http.route:/cart", "resources_attributes_idx"),
        (METRICS, "@http.route:/cart", "{leaf}_series_id_time_idx"),
        (METRICS, "@http.response.status_code:404", "metric_series_attributes_idx"),
    ],
)
async def test_a_condition_is_served_by_an_index(
    signal: Signal, text: str, index: str, planner: Connection
) -> None:
    """Equality finds its rows without reading all others."""
    condition = where(Filter.parse(text), signal)

    plan = await plan_of(
        planner, f"SELECT * FROM {FROM[signal]} WHERE {condition.sql}", condition.parameters
    )

    expected = index.format(leaf=await leaf_of(planner, signal, NOW))
    assert expected in plan


@pytest.mark.parametrize("signal", [TRACES, LOGS])
async def test_the_newest_come_by_service_out_of_the_index(
    signal: Signal, planner: Connection
) -> None:
    """Also without any filter; and no leaf outside of the window is looked at."""
    sql, parameters = statement(signal, Filter(), NOW - 60_000_000, TIME_MAX, 10)

    plan = await plan_of(planner, sql, parameters)

    today = await leaf_of(planner, signal, NOW)
    old = await leaf_of(planner, signal, NOW - 2 * DAY_US)
    time = "start_time" if signal is TRACES else "time"
    assert f"{today}_service_name_{time}_idx" in plan
    assert old not in plan


async def test_a_service_bounds_the_search_for_the_newest(planner: Connection) -> None:
    """Its names are looked up, and items of no service are not asked for."""
    text = "service:shop -service:bank"
    sql, parameters = statement(LOGS, Filter.parse(text), TIME_MIN, TIME_MAX, 10)

    plan = await plan_of(planner, sql, parameters)

    assert "resources" in plan
    assert "IS NULL" not in plan


def test_nothing_that_a_user_wrote_is_in_the_sql() -> None:
    """Whatever a filter holds comes as a bind parameter."""
    text = (
        'zebra "ze\'bra" service:zebra* name:zebra body:zebra event:zebra metric:zebra'
        ' @zebra:zebra* @"ze\'bra":zebra @zebra:>4711 @zebra:4711 trace:4711 duration:>4711h'
        " -@zebra:* -zebra*zebra"
    )

    for signal in Signal:
        condition = where(Filter.parse(text), signal)
        sql, parameters = statement(signal, Filter.parse(text), 0, 1, 2)

        assert "zebra" in str(condition.parameters)
        assert "zebra" in str(parameters)
        for written in (condition.sql, sql):
            assert "zebra" not in written
            assert "ze'bra" not in written
            assert "4711" not in written
