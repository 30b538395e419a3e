"""query.service_repository, on real rows."""

from __future__ import annotations

from datetime import date, timedelta
from math import ceil
from random import Random

import pytest

from collector.errors import BadParameterError
from collector.query import service_sql
from collector.query.service_repository import (
    Operation,
    RedPoint,
    RedSeries,
    Service,
    ServiceRepository,
)
from collector.query.time_range import TimeRange, unix_ns
from collector.query.view import Views
from collector.rows import Signal, SpanRow
from collector.store import dimensions as store_dimensions
from collector.store.pool import Connection
from tests.converted import dimensions, resource_row, span_row
from tests.db.querying import HOUR, MINUTE_US, any_span, leaf_of, plan_of, prepare, write
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

TRACES = Signal.TRACES


@pytest.fixture
async def repository(connection: Connection, views: Views) -> ServiceRepository:
    """Services of a database with leaves and the resources of a shop and a bank."""
    await prepare(connection)
    return ServiceRepository(views)


async def test_services_are_named_once_and_in_order(
    repository: ServiceRepository, connection: Connection
) -> None:
    """However many resources they have; a resource without a name is no service."""
    other = resource_row("shop", digest=b"another instance")._replace(resource_id=1)
    unnamed = resource_row("none")._replace(resource_id=2, service_name=None)
    async with connection.transaction():
        rows = dimensions([other, unnamed])
        await store_dimensions.write(connection, rows, date(2026, 1, 1), timeout_s=10)

    found = await repository.services(HOUR)

    today: date = await connection.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
    assert found == (Service("bank", today, today, 1), Service("shop", today, today, 2))


async def test_a_service_that_was_last_used_before_the_range_is_left_out(
    repository: ServiceRepository, connection: Connection
) -> None:
    """But one of the day before is kept, since ``last_seen`` may be behind by a day."""
    today: date = await connection.fetchval(
        "SELECT ($1::timestamptz AT TIME ZONE 'UTC')::date", NOW
    )
    for name, days in (("shop", 1), ("bank", 2)):
        await connection.execute(
            "UPDATE resources SET last_seen = $1 WHERE service_name = $2",
            today - timedelta(days=days),
            name,
        )

    found = await repository.services(TimeRange(NOW, NOW + 1))

    assert [service.name for service in found] == ["shop"]


async def test_operations_are_those_of_the_newest_spans(
    repository: ServiceRepository, connection: Connection
) -> None:
    """Of this service and range, by name; no more spans are looked at than asked for."""
    spans = [
        span_row(1, time=NOW - 1, name="b"),
        span_row(2, time=NOW - 2, name="b"),
        span_row(3, time=NOW - 3, name="B"),
        span_row(4, time=NOW - 4, name="old"),
        span_row(5, time=NOW - 1, name="theirs", service="bank"),
        span_row(6, time=NOW, name="later"),
    ]
    await write(connection, TRACES, *spans)

    newest = await repository.operations("shop", HOUR, spans_max=3)
    every = await repository.operations("shop", HOUR)

    assert newest == (Operation("B", 2, 1), Operation("b", 2, 2))
    assert every == (Operation("B", 2, 1), Operation("b", 2, 2), Operation("old", 2, 1))
    assert await repository.operations("nobody", HOUR) == ()


@pytest.mark.parametrize("by_operation", [False, True])
async def test_rate_errors_and_durations_are_those_of_a_naive_count(
    repository: ServiceRepository, connection: Connection, *, by_operation: bool
) -> None:
    """Counts are exact; a quantile is within 2.2 % of the exact one."""
    dice = Random(1)
    spans = [
        any_span(dice, number, time=NOW - dice.randrange(70 * MINUTE_US)) for number in range(2_000)
    ]
    await write(connection, TRACES, *spans)

    found = await repository.red(HOUR, 10 * MINUTE_US, by_operation=by_operation)

    expected = _naive_red(spans, 10 * MINUTE_US, by_operation=by_operation)
    assert {(one.service, one.operation) for one in found} == set(expected)
    for one in found:
        exact = expected[one.service, one.operation]
        assert [point.start_unix_nano for point in one.points] == sorted(exact)
        for point in one.points:
            _compare(point, exact[point.start_unix_nano])


async def test_red_is_of_one_service_and_of_the_busiest_series(
    repository: ServiceRepository, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where points would be too many, the series with the most requests are kept."""
    spans = [span_row(n, time=NOW - 1 - n, name="often") for n in range(3)]
    spans += [span_row(9, time=NOW - 1, name="once"), span_row(8, time=NOW - 1, service="bank")]
    await write(connection, TRACES, *spans)
    monkeypatch.setattr("collector.query.service_repository.POINTS_MAX", 2)

    found = await repository.red(HOUR, 60 * MINUTE_US, "shop", by_operation=True)

    assert [(one.service, one.operation) for one in found] == [("shop", "often")]
    assert sum(point.requests for point in found[0].points) == 3


async def test_a_span_without_a_duration_counts_and_has_no_quantile(
    repository: ServiceRepository, connection: Connection
) -> None:
    """Its step has no durations at all; one of 0 is a duration."""
    await write(connection, TRACES, span_row(1, time=NOW - 1, duration_ns=None))
    await write(connection, TRACES, span_row(2, time=NOW - 1, service="bank", duration_ns=0))

    bank, shop = await repository.red(HOUR, 60 * MINUTE_US)

    assert _durations(shop) == [None] * 4
    assert _durations(bank) == [0] * 4


async def test_a_whole_range_is_one_step(
    repository: ServiceRepository, connection: Connection
) -> None:
    """However it lies; it begins where the range does."""
    await write(connection, TRACES, *(span_row(n, time=HOUR.start + n) for n in range(5)))

    (shop,) = await repository.red(TimeRange(HOUR.start + 1, HOUR.end), None)

    (point,) = shop.points
    assert (point.start_unix_nano, point.requests) == (unix_ns(HOUR.start + 1, None), 4)


@pytest.mark.parametrize("step_us", [0, -1, 1])
async def test_a_step_must_fit_the_range(repository: ServiceRepository, step_us: int) -> None:
    """No answer has more steps than the bound, and none is asked of PostgreSQL."""
    with pytest.raises(BadParameterError):
        await repository.red(HOUR, step_us)


async def test_operations_come_out_of_the_index(
    repository: ServiceRepository, connection: Connection
) -> None:
    """And no leaf outside of the range is looked at."""
    await write(connection, TRACES, span_row(time=NOW))
    await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")

    statement = service_sql.operations("shop", HOUR, 10)
    plan = await plan_of(connection, *statement)

    today = await leaf_of(connection, TRACES, NOW)
    assert f"Index Scan Backward using {today}_service_name_start_time_idx" in plan
    assert await leaf_of(connection, TRACES, NOW - 20 * DAY_US) not in plan


async def test_red_reads_only_leaves_of_the_range(
    repository: ServiceRepository, connection: Connection
) -> None:
    """By the index of the service where there is one."""
    await connection.execute("SET enable_seqscan = off")
    statement = service_sql.red(HOUR, MINUTE_US, "shop", by_operation=True, series_max=10)

    plan = await plan_of(connection, *statement)

    today = await leaf_of(connection, TRACES, NOW)
    assert f"{today}_service_name_start_time_idx" in plan
    assert await leaf_of(connection, TRACES, NOW - 20 * DAY_US) not in plan


def test_the_sql_is_what_it_was() -> None:
    """Golden files show what a change does to the statements; no value is part of one."""
    check_golden("services", service_sql.services(HOUR))
    check_golden("service_operations", service_sql.operations("shop", HOUR, 10))
    check_golden(
        "service_red_whole", service_sql.red(HOUR, None, None, by_operation=False, series_max=10)
    )
    for by_operation in (False, True):
        name = "service_red_by_operation" if by_operation else "service_red"
        service = None if by_operation else "shop"
        check_golden(
            name,
            service_sql.red(HOUR, 60, service, by_operation=by_operation, series_max=10),
        )


def _naive_red(
    spans: list[SpanRow], step_us: int, *, by_operation: bool
) -> dict[tuple[str, str | None], dict[int, list[SpanRow]]]:
    """Return the spans that count: by series, then by the start of their step."""
    found: dict[tuple[str, str | None], dict[int, list[SpanRow]]] = {}
    for span in spans:
        is_entry = span.kind in (2, 5) or span.parent_span_id is None
        if (
            span.service_name is None
            or not is_entry
            or not HOUR.start <= span.start_time < HOUR.end
        ):
            continue
        key = span.service_name, span.name if by_operation else None
        step = unix_ns(span.start_time, None) // (step_us * 1_000) * (step_us * 1_000)
        found.setdefault(key, {}).setdefault(step, []).append(span)
    return found


def _compare(point: RedPoint, spans: list[SpanRow]) -> None:
    durations = sorted(span.duration_ns for span in spans if span.duration_ns is not None)
    assert point.requests == len(spans)
    assert point.errors == sum(span.status_code == 2 for span in spans)
    assert point.max_ns == max(durations, default=None)
    for share, given in ((0.50, point.p50_ns), (0.95, point.p95_ns), (0.99, point.p99_ns)):
        if not durations:
            assert given is None
            continue
        assert given is not None
        exact = durations[ceil(round(share * len(durations), 6)) - 1]
        assert abs(given - exact) <= exact * 0.0221 + 1


def _durations(series: RedSeries) -> list[int | None]:
    (point,) = series.points
    return [point.p50_ns, point.p95_ns, point.p99_ns, point.max_ns]
