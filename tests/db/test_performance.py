"""query.performance_repository, on real rows."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from random import Random

import pytest

from collector.errors import BadParameterError
from collector.query import performance_sql
from collector.query.performance_repository import (
    SERVICES_MAX,
    PerformancePoint,
    PerformanceRepository,
)
from collector.query.time_range import unix_ns
from collector.query.view import Views
from collector.query.windows import Windows
from collector.rows import Signal, SpanRow
from collector.store.pool import Connection
from tests.converted import span_row
from tests.db.querying import HOUR, MINUTE_US, any_span, leaf_of, plan_of, prepare, write
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

WINDOWS = Windows.of(HOUR, 5 * MINUTE_US, 12 * MINUTE_US)
TRACES = Signal.TRACES


@pytest.fixture
async def repository(connection: Connection, views: Views) -> PerformanceRepository:
    """Of a database with leaves and the resources of a shop and a bank."""
    await prepare(connection)
    return PerformanceRepository(views)


@pytest.mark.postgres_versions
async def test_calls_errors_and_durations_are_those_of_a_naive_count(
    repository: PerformanceRepository, connection: Connection
) -> None:
    """Of each service, of several kinds, together and by operation; quantiles within 2.2 %."""
    dice = Random(1)
    spans = [
        any_span(dice, number, time=NOW + MINUTE_US - dice.randrange(80 * MINUTE_US))
        for number in range(1_500)
    ]
    await write(connection, TRACES, *spans)

    for kinds, by_operation, share in (
        ({2}, False, 0.5),
        ({0, 5}, True, 0.95),
        ({2, 3}, True, 1.0),
        ({2}, True, None),
    ):
        found = await repository.series(
            WINDOWS, ["shop", "bank"], kinds=kinds, by_operation=by_operation, quantile=share
        )

        expected: dict[tuple[str | None, str | None], list[SpanRow]] = {}
        for span in spans:
            if span.kind in kinds and span.service_name and _is_in(span, *WINDOWS.reach):
                key = span.service_name, span.name if by_operation else None
                expected.setdefault(key, []).append(span)
        assert [(one.service, one.operation) for one in found] == sorted(expected)
        for one in found:
            of_it = expected[one.service, one.operation]
            assert len(one.points) == WINDOWS.count == 13
            for at, point in zip(WINDOWS.points(), one.points, strict=True):
                held = [span for span in of_it if _is_in(span, at - WINDOWS.length_us, at)]
                assert point.unix_nano == unix_ns(at, None)
                _compare(point, held, share)


async def test_the_busiest_operations_are_kept(
    repository: PerformanceRepository, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where points would be too many; what nobody asked for is not there."""
    spans = [span_row(n, time=NOW - 1 - n, name="often") for n in range(3)]
    spans += [span_row(9, time=NOW - 1, name="once"), span_row(8, time=NOW - 1, service="bank")]
    await write(connection, TRACES, *spans)
    monkeypatch.setattr("collector.query.performance_repository.POINTS_MAX", WINDOWS.count)

    (one,) = await repository.series(WINDOWS, ["shop", "no such"], by_operation=True)

    assert (one.service, one.operation) == ("shop", "often")
    assert [point.calls for point in one.points] == [0] * 12 + [3]
    assert await repository.series(WINDOWS, ["shop"], kinds=[3]) == ()


@pytest.mark.parametrize("quantile", [-0.1, 1.1, float("nan"), float("inf")])
async def test_a_quantile_is_a_share(repository: PerformanceRepository, quantile: float) -> None:
    """None other reaches PostgreSQL; neither do too many services."""
    with pytest.raises(BadParameterError, match="quantile"):
        await repository.series(WINDOWS, ["shop"], quantile=quantile)
    with pytest.raises(BadParameterError, match="service"):
        await repository.series(WINDOWS, [str(n) for n in range(SERVICES_MAX + 1)])


async def test_only_leaves_of_the_windows_are_read(
    repository: PerformanceRepository, connection: Connection
) -> None:
    """By the index of the services."""
    await connection.execute("SET enable_seqscan = off")
    statement = performance_sql.cells(
        WINDOWS, ["shop", "bank"], [2], by_operation=True, with_durations=True, series_max=10
    )

    plan = await plan_of(connection, *statement)

    today = await leaf_of(connection, TRACES, NOW)
    assert f"{today}_service_name_start_time_idx" in plan
    assert await leaf_of(connection, TRACES, NOW - 20 * DAY_US) not in plan


def test_the_sql_is_what_it_was() -> None:
    """Golden files show what a change does to the statements; no value is part of one."""
    for name, is_of_all in (("performance", True), ("performance_calls", False)):
        check_golden(
            name,
            performance_sql.cells(
                WINDOWS, ["shop"], [2], by_operation=is_of_all, with_durations=is_of_all,
                series_max=10,
            ),
        )  # fmt: skip


def _is_in(span: SpanRow, start: int, end: int) -> bool:
    return start <= span.start_time < end


def _compare(point: PerformancePoint, spans: list[SpanRow], share: float | None) -> None:
    durations = sorted(span.duration_ns for span in spans if span.duration_ns is not None)
    assert point.calls == len(spans)
    assert point.errors == sum(span.status_code == 2 for span in spans)
    if share is None or not durations:
        assert point.duration_ns is None
        return
    assert point.duration_ns is not None
    exact = durations[ceil(Fraction(str(share)) * len(durations)) - 1]
    assert abs(point.duration_ns - exact) <= exact * 0.0221 + 1
