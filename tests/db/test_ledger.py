"""The ledger: look-ups without locks, claims in one order, and peers with the same bytes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from collector.errors import RetryableStoreError
from collector.maintain.partitions import LEDGER_DAYS_AHEAD, Partitions
from collector.settings import PartitionSettings
from collector.store.ledger import SENTINEL_DAY, LedgerKey, claim, lookup_sql
from collector.store.pool import Database, connect
from collector.store.transaction import write_batch
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.clocks import HandClock
from tests.converted import day_of, digest_of, log_row, request
from tests.db.writing import NOW, context, count, partitions, rows_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import date

    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection
    from collector.store.transaction import Context

pytestmark = pytest.mark.postgres_versions

TODAY = day_of(NOW)


def key(name: str, day: date = TODAY) -> LedgerKey:
    """Return a request's key."""
    return LedgerKey(day, digest_of(name), 1, day)


def logs(name: str) -> ConvertedRequest:
    """Return a request with one record."""
    return request(name, rows=[log_row(time=NOW, body=name)])


async def stored(connection: Connection, keys: Sequence[LedgerKey]) -> set[bytes]:
    """Return which of the keys a look-up finds."""
    return {row[0] for row in await connection.fetch(lookup_sql(keys))}


async def test_look_up_finds_what_was_claimed(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Under its own day or the sentinel's: a leaf may have come or gone since."""
    names = [f"request {n}" for n in range(500)]
    assert (await claim(connection, [key(name) for name in names], timeout_s=5)).before == set()
    await claim(connection, [key("without a leaf", SENTINEL_DAY)], timeout_s=5)

    tomorrow = TODAY + timedelta(days=1)
    asked = [*map(key, names), key("unknown"), key("without a leaf"), key("other", tomorrow)]
    found = await stored(connection, asked)

    assert found == {digest_of(name) for name in [*names, "without a leaf"]}


async def test_claim_counts_and_tells_what_was_there(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The second claim of a digest is reported; each is counted."""
    assert (await claim(connection, [key("a"), key("b")], timeout_s=5)).before == set()
    assert (await claim(connection, [key("c"), key("b")], timeout_s=5)).before == {digest_of("b")}

    rows = await rows_of(connection, "SELECT digest, seen FROM ingest_ledger")
    assert dict(rows) == {digest_of("a"): 1, digest_of("b"): 2, digest_of("c"): 1}


async def test_claims_in_opposite_orders_never_wait_in_a_circle(
    settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """Keys are locked in one order, whatever order they come in."""
    keys = [key(f"request {n}") for n in range(300)]

    async def work(worker: Connection, order: Sequence[LedgerKey]) -> None:
        for _ in range(20):
            async with worker.transaction():
                await claim(worker, order, timeout_s=5)

    await asyncio.gather(work(connection, keys), work(other_connection, keys[::-1]))

    assert await count(connection, "ingest_ledger", "seen = 40") == 300


async def test_request_of_a_peer_that_dies_before_its_commit_is_stored(
    settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """The peer's claim goes with its transaction: whoever waited for it is the first one."""
    dying, waiting = TestProbe(), TestProbe()
    dying.hold("flush.before_commit")
    first = asyncio.create_task(
        write_batch(other_connection, [logs("a")], context(settings, probe=dying))
    )
    await dying.reached("flush.before_commit")
    second = asyncio.create_task(
        write_batch(connection, [logs("a")], context(settings, probe=waiting))
    )
    await waiting.reached("flush.copied")

    other_connection.terminate()
    dying.release("flush.before_commit")

    with pytest.raises(RetryableStoreError):
        await first
    assert (await second).stored == [True]
    assert await rows_of(connection, "SELECT seen FROM ingest_ledger") == [(1,)]
    assert await count(connection, "logs") == 1


async def test_peer_frozen_in_mid_copy_blocks_nobody(
    settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """A backend that waits for the rest of a COPY for ever holds no claim: others store theirs."""
    half_way, never = asyncio.Event(), asyncio.Event()

    async def half_of_the_rows() -> AsyncGenerator[tuple[object, ...]]:
        yield log_row(time=NOW, body="half")
        half_way.set()
        await never.wait()

    async def freeze() -> None:
        await other_connection.execute(f"BEGIN; {lookup_sql([key('a')])}")
        await other_connection.copy_records_to_table("logs", records=half_of_the_rows())

    frozen = asyncio.create_task(freeze())
    await half_way.wait()

    hasty = settings.model_copy(update={"lock_s_max": 0.2})
    assert (await write_batch(connection, [logs("a"), logs("b")], context(hasty))).stored == [
        True,
        True,
    ]

    assert not frozen.done()
    frozen.cancel()
    await asyncio.wait([frozen])
    assert await count(connection, "logs") == 2


async def test_retry_after_midnight_at_the_end_of_the_retention(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A day that has just left the retention goes to the sentinel, but was stored under its own."""
    database = Database(settings)
    leaves = partitions(database)
    oldest = TODAY - timedelta(days=PartitionSettings().retention_days)
    await leaves.ensure_day("ingest_ledger", oldest)
    await database.stop()
    clock = HandClock(datetime.fromtimestamp(SystemClock().unix_ns() / 1e9, UTC))
    old = replace(logs("a"), day=oldest)
    here = replace(context(settings), ledger_day=leaves.ledger_day, clock=clock)
    assert (await write_batch(connection, [old], here)).stored == [True]

    clock.move(timedelta(days=1))

    assert (await write_batch(connection, [old], here)).stored == [False]
    assert await count(connection, "logs") == 1


@pytest.mark.parametrize("days", [(30, 7), (7, 30)], ids=["lowered", "raised"])
async def test_retry_under_another_retention(
    settings: DatabaseSettings, connection: Connection, days: tuple[int, int]
) -> None:
    """A setting that changed, or two Pods of a rollout: the day's row is found all the same."""
    old = replace(logs("a"), day=TODAY - timedelta(days=10))
    here, there = [retaining(settings, number) for number in days]
    database = Database(settings)
    await partitions(database).ensure_day("ingest_ledger", old.day)
    await database.stop()
    assert (await write_batch(connection, [old], here)).stored == [True]

    assert (await write_batch(connection, [old], there)).stored == [False]

    assert await count(connection, "logs") == 1


async def test_look_up_takes_many_requests_of_days_out_of_reach(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Each may be of a day of its own, more than PostgreSQL takes branches in one query."""
    lost = [
        key(f"request {n}", SENTINEL_DAY)._replace(own_day=TODAY - timedelta(days=n))
        for n in range(20_000)
    ]
    await claim(connection, [key("request 0")], timeout_s=5)

    assert await stored(connection, lost) == {digest_of("request 0")}


def retaining(settings: DatabaseSettings, days: int) -> Context:
    """Return what a worker writes with whose retention is so many days."""
    leaves = Partitions(
        PartitionSettings(retention_days=days), Database(settings), SystemClock(), Metrics()
    )
    return replace(context(settings), ledger_day=leaves.ledger_day)


RETENTION = PartitionSettings().retention_days


@pytest.mark.parametrize("first", [0, 1], ids=["today first", "tomorrow first"])
@pytest.mark.parametrize("days", [-RETENTION, LEDGER_DAYS_AHEAD + 1], ids=["oldest", "newest"])
async def test_workers_on_both_sides_of_midnight(
    settings: DatabaseSettings,
    connection: Connection,
    other_connection: Connection,
    days: int,
    first: int,
) -> None:
    """One says the request's day, the other the sentinel: their claims meet all the same."""
    one = replace(logs("a"), day=TODAY + timedelta(days=days))
    here, there = await around_midnight(settings, one.day, first)
    fast, slow = TestProbe(), TestProbe()
    fast.hold("flush.before_commit")
    storing = asyncio.create_task(write_batch(other_connection, [one], replace(here, probe=fast)))
    await fast.reached("flush.before_commit")
    repeating = asyncio.create_task(write_batch(connection, [one], replace(there, probe=slow)))
    await slow.reached("flush.copied")

    fast.release("flush.before_commit")

    assert (await storing).stored == [True]
    assert (await repeating).stored == [False]
    assert (await write_batch(connection, [one], here)).stored == [False]
    assert await count(connection, "logs") == 1


@pytest.mark.parametrize("first", [0, 1], ids=["today first", "tomorrow first"])
@pytest.mark.parametrize("days", [-RETENTION, LEDGER_DAYS_AHEAD + 1], ids=["oldest", "newest"])
async def test_retry_on_a_worker_on_the_other_side_of_midnight(
    settings: DatabaseSettings, connection: Connection, days: int, first: int
) -> None:
    """Clocks differ, so the retry may come a day before the request, or after."""
    one = replace(logs("a"), day=TODAY + timedelta(days=days))
    here, there = await around_midnight(settings, one.day, first)
    assert (await write_batch(connection, [one], here)).stored == [True]

    assert (await write_batch(connection, [one], there)).stored == [False]

    assert await count(connection, "logs") == 1


async def around_midnight(
    settings: DatabaseSettings, day: date, first: int
) -> tuple[Context, Context]:
    """Return two workers, ``first`` days and the other of 0 and 1 days from now; ``day`` has a leaf."""
    database = Database(settings)
    leaves = partitions(database)
    await leaves.ensure_day("ingest_ledger", day)
    await database.stop()
    now = datetime.fromtimestamp(SystemClock().unix_ns() / 1e9, UTC)
    workers = [
        replace(
            context(settings),
            ledger_day=leaves.ledger_day,
            clock=HandClock(now + timedelta(days=ahead)),
        )
        for ahead in (first, 1 - first)
    ]
    return workers[0], workers[1]


@pytest.mark.parametrize("moment", ["flush.begun", "flush.copied"])
async def test_claim_comes_after_the_copy(
    settings: DatabaseSettings, connection: Connection, other_connection: Connection, moment: str
) -> None:
    """A writer that hangs before its claim makes nobody wait, and finds itself the second."""
    probe = TestProbe()
    probe.hold(moment)
    hanging = asyncio.create_task(
        write_batch(other_connection, [logs("a")], context(settings, probe=probe))
    )
    await probe.reached(moment)

    hasty = settings.model_copy(update={"lock_s_max": 0.2})
    assert (await write_batch(connection, [logs("a")], context(hasty))).stored == [True]

    probe.release(moment)
    assert (await hanging).stored == [False]
    assert await count(connection, "logs") == 1


async def test_twelve_processes_with_the_same_requests(settings: DatabaseSettings) -> None:
    """Whoever is first stores a request; it is there once, and all know it in the end."""
    requests = [logs(f"request {n}") for n in range(40)]
    connections = [await connect(settings) for _ in range(12)]

    async def work(number: int, connection: Connection) -> int:
        own = requests[number:] + requests[:number]
        first = 0
        for start in range(0, len(own), 5):
            first += sum(
                (await write_batch(connection, own[start : start + 5], context(settings))).stored
            )
        return first

    firsts = await asyncio.gather(*(work(n, c) for n, c in enumerate(connections)))

    assert sum(firsts) == len(requests)
    looking = connections[0]
    assert await count(looking, "logs") == len(requests)
    assert await rows_of(looking, "SELECT DISTINCT seen FROM ingest_ledger") == [(12,)]
    for connection in connections:
        connection.terminate()
