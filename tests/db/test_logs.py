"""query.log_repository on real rows: neighbours, counts, traces, and how PostgreSQL gets at them."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from collector.errors import BadParameterError, NotFoundError
from collector.items import SEVERITY_BY_NUMBER
from collector.query import log_sql
from collector.query.filters import Filter
from collector.query.log_repository import LogRepository
from collector.query.log_sql import Beside, LogKey, Walk
from collector.query.page import Total
from collector.query.statement import Statement
from collector.query.time_range import TimeRange, unix_ns
from collector.query.view import Views
from collector.rows import LogRow, Signal
from collector.store.pool import Connection
from tests.converted import digest_of, log_row, resource_row
from tests.db.querying import HOUR, MINUTE_US, leaf_of, plan_of, prepare, write
from tests.db.writing import NOW
from tests.golden_sql import check_golden
from tests.leaves import DAY_US

LOGS = Signal.LOGS
KEY = LogKey(NOW - 1, 5, -7)
FIXED = TimeRange(0, 60 * MINUTE_US)
PARSED = Filter.parse('service:shop severity:>=warn "out of memory" -@http.route:/health')


@pytest.fixture
async def repository(connection: Connection, views: Views) -> LogRepository:
    """Log records of a database with leaves and the resources of a shop and a bank."""
    await prepare(connection)
    return LogRepository(views)


async def _key_of(repository: LogRepository, body: str) -> LogKey:
    (record,) = (await repository.find(HOUR, Filter.parse(f'body:"{body}"'), limit=1)).items
    return record.place


def _from(row: tuple[Any, ...], service: str) -> tuple[Any, ...]:
    return LogRow(*row)._replace(resource_id=resource_row(service).resource_id)


async def test_context_is_of_the_same_resource_or_service(
    repository: LogRepository, connection: Connection
) -> None:
    """The nearest on both sides, oldest first."""
    shop = [_from(log_row(time=NOW - n * MINUTE_US, body=f"shop {n}"), "shop") for n in range(1, 9)]
    moved = _from(log_row(time=NOW - 4 * MINUTE_US - 1, body="elsewhere"), "bank")
    other = log_row(time=NOW - 4 * MINUTE_US - 1, body="not ours", service="bank")
    await write(connection, LOGS, *shop, moved, other)
    key = await _key_of(repository, "shop 4")

    same_resource = await repository.context(key, before=2, after=1)
    same_service = await repository.context(key, before=2, after=9, same="service")

    assert [record.body for record in same_resource.before] == ["shop 6", "shop 5"]
    assert same_resource.record.body == "shop 4"
    assert [record.body for record in same_resource.after] == ["shop 3"]
    assert [record.body for record in same_service.before] == ["shop 5", "elsewhere"]
    assert [record.body for record in same_service.after] == ["shop 3", "shop 2", "shop 1"]


async def test_context_of_a_record_without_a_service(
    repository: LogRepository, connection: Connection
) -> None:
    """Its twins come after it, each once; a side of 0 is empty."""
    rows = [log_row(time=NOW - n, body=str(n), service=None) for n in (3, 2, 2, 2, 1)]
    await write(connection, LOGS, *rows)
    key = await _key_of(repository, "2")

    found = await repository.context(key)
    alone = await repository.context(key, before=0, after=0)

    assert [record.body for record in (*found.before, found.record, *found.after)] == list("32221")
    assert (alone.before, alone.after) == ((), ())


@pytest.mark.parametrize("key", [LogKey(NOW - 1, 5, 1), LogKey(2**63 - 1, 5, 1), LogKey(0, -2, 1)])
async def test_there_is_no_context_of_no_record(
    repository: LogRepository, connection: Connection, key: LogKey
) -> None:
    """Also where another one has the same time."""
    await write(connection, LOGS, log_row(time=NOW - 1))

    with pytest.raises(NotFoundError):
        await repository.context(key)


async def test_records_of_a_trace_come_oldest_first_whenever_they_came(
    repository: LogRepository, connection: Connection
) -> None:
    """Without a range too; other traces and records of none are left out."""
    wanted, other = digest_of("wanted"), digest_of("other")
    rows = [
        LogRow(*log_row(time=NOW - days * DAY_US, body=str(days)))._replace(trace_id=trace_id)
        for days, trace_id in ((0, wanted), (20, wanted), (1, other), (2, None), (40, wanted))
    ]
    await write(connection, LOGS, *rows)

    every = await repository.by_trace(wanted)
    first = await repository.by_trace(wanted, limit=1)
    second = await repository.by_trace(wanted, limit=1, cursor=first.next)
    recent = await repository.by_trace(wanted, TimeRange(NOW - DAY_US, NOW + 1))

    assert [record.body for record in every.items] == ["40", "20", "0"]
    assert [page.items[0].body for page in (first, second)] == ["40", "20"]
    assert [record.body for record in recent.items] == ["0"]


@pytest.mark.parametrize("text", ["", "service:shop", "severity:>=error", "even"])
async def test_a_histogram_is_a_naive_count(
    repository: LogRepository, connection: Connection, text: str
) -> None:
    """By step and level; numbers that OTLP does not know have none."""
    dice = Random(2)
    rows = [_any_record(number, dice) for number in range(800)]
    await write(connection, LOGS, *rows)
    step_us = 7 * MINUTE_US

    found = await repository.histogram(HOUR, step_us, Filter.parse(text))

    expected: dict[int, Counter[str]] = {}
    for row in rows:
        if HOUR.start <= row.time < HOUR.end and _is_wanted(row, text):
            start = unix_ns(row.time, None) // (step_us * 1_000) * (step_us * 1_000)
            level = SEVERITY_BY_NUMBER.get(row.severity_number, "UNSPECIFIED")
            expected.setdefault(start, Counter())[level] += 1
    assert [step.start_unix_nano for step in found] == sorted(expected)
    assert {step.start_unix_nano: step.counts for step in found} == expected


async def test_a_histogram_has_a_bounded_number_of_steps(repository: LogRepository) -> None:
    """It is refused before PostgreSQL is asked."""
    with pytest.raises(BadParameterError, match="step"):
        await repository.histogram(HOUR, 1)


async def test_a_total_is_exact_up_to_its_bound(
    repository: LogRepository, connection: Connection
) -> None:
    """And an estimate beyond, which is no less than what was counted."""
    rows = [log_row(time=NOW - n, body="even" if n % 2 else "odd") for n in range(1, 101)]
    await write(connection, LOGS, *rows, log_row(time=NOW))

    assert await repository.total(HOUR) == Total(100, is_exact=True)
    assert await repository.total(HOUR, Filter.parse("even")) == Total(50, is_exact=True)
    assert await repository.total(HOUR, exact_max=100) == Total(100, is_exact=True)
    beyond = await repository.total(HOUR, exact_max=99)
    assert not beyond.is_exact
    assert beyond.items >= 100

    await connection.execute("ANALYZE logs")
    estimated = await repository.total(HOUR, exact_max=10)
    assert not estimated.is_exact
    assert 90 <= estimated.items <= 110


def _any_record(number: int, dice: Random) -> LogRow:
    row = log_row(
        time=NOW - dice.randrange(70 * MINUTE_US),
        body="even" if number % 2 else "odd",
        service=dice.choice(("shop", "bank", None)),
    )
    return LogRow(*row)._replace(severity_number=dice.choice((-1, 0, 1, 4, 5, 9, 17, 20, 24, 25)))


def _is_wanted(row: LogRow, text: str) -> bool:
    return {
        "": True,
        "service:shop": row.service_name == "shop",
        "severity:>=error": row.severity_number >= 17,
        "even": row.body_text == "even",
    }[text]


# -- how PostgreSQL gets at them -------------------------------------------------------------------

SHOP = Filter.parse("service:shop")
TRACE = Filter.parse("trace:0af7")


@pytest.mark.postgres_versions
@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (log_sql.find(Walk(Filter(), True), HOUR, offset=0, limit=9), "service_name_time"),
        (log_sql.find(Walk(SHOP, True), HOUR, offset=0, limit=9), "service_name_time"),
        (log_sql.find(Walk(SHOP, False, KEY), HOUR, offset=0, limit=9), "service_name_time"),
        (
            log_sql.find(Walk(Filter(), True, KEY, Beside("shop", 1)), HOUR, offset=0, limit=9),
            "service_name_time",
        ),
        (log_sql.find(Walk(TRACE, True), HOUR, offset=0, limit=9), "trace_id"),
        (log_sql.twins(Walk(Filter(), True), KEY), "service_name_time"),
        (log_sql.count(HOUR, SHOP, 10), "service_name_time"),
        (log_sql.histogram(HOUR, MINUTE_US, SHOP), "service_name_time"),
    ],
    ids=["all", "service", "page", "beside", "trace", "twins", "count", "histogram"],
)
async def test_an_index_serves_and_other_leaves_are_pruned(
    repository: LogRepository, connection: Connection, statement: Statement, index: str
) -> None:
    """Each question reads only the leaves of its range, by the index that fits."""
    await write(connection, LOGS, log_row(time=NOW - 1))
    await connection.execute("SET enable_seqscan = off")

    plan = await plan_of(connection, *statement)

    assert f"{await leaf_of(connection, LOGS, NOW)}_{index}_idx" in plan
    for days in (2, 20, 40):
        assert await leaf_of(connection, LOGS, NOW - days * DAY_US) not in plan


def test_the_sql_is_what_it_was() -> None:
    """Golden files show what a change does to the statements."""
    statements = {
        "logs_newest": log_sql.find(Walk(PARSED, True), FIXED, offset=0, limit=50),
        "logs_page": log_sql.find(Walk(PARSED, False, KEY), FIXED, offset=1, limit=50),
        "logs_trace": log_sql.find(Walk(TRACE, False), FIXED, offset=0, limit=50),
        "logs_context": log_sql.find(
            Walk(Filter(), True, KEY, Beside("shop", 1)), FIXED, offset=0, limit=5
        ),
        "logs_twins": log_sql.twins(Walk(PARSED, True), KEY),
        "logs_count": log_sql.count(FIXED, PARSED, 10_001),
        "logs_estimate": log_sql.estimate(FIXED, PARSED),
        "logs_histogram": log_sql.histogram(FIXED, MINUTE_US, PARSED),
    }

    for name, statement in statements.items():
        check_golden(name, statement)
        for written in ("shop", "memory", "health"):
            assert written not in statement.sql
