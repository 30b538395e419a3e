"""The newest stored items that match, as a tail shows them first."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import pytest

from collector.errors import StoreError, StoreUnavailableError
from collector.query.display import rfc3339
from collector.query.filters import Filter
from collector.query.recent import TIME_MIN, Recent, find_recent, windows
from collector.rows import Signal
from collector.settings import DatabaseSettings
from collector.store.pool import Connection, connect
from tests.converted import digest_of, log_row, point_row, span_row
from tests.db.querying import BANK, SERIES, SHOP, leaf_of, prepare, write
from tests.db.writing import NOW
from tests.leaves import DAY_US
from tests.server_activity import until_counted

TRACES, METRICS, LOGS = Signal.TRACES, Signal.METRICS, Signal.LOGS
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


async def recent(
    connection: Connection,
    *signals: Signal,
    text: str = "",
    since: int | None = None,
    limit: int = 10,
    timeout_s: float = 30,
) -> Recent:
    """Return what is found; of every signal when none is named."""
    asked: Collection[Signal] = signals or tuple(Signal)
    return await find_recent(
        connection, asked, Filter.parse(text), since=since, limit=limit, timeout_s=timeout_s
    )


def bodies(found: Recent) -> list[Any]:
    """Return the bodies of what was found, in its order."""
    return [item.get("body") for item in found.items]


@pytest.mark.postgres_versions
async def test_items_of_every_signal_have_the_fields_of_the_contract(
    connection: Connection,
) -> None:
    """What is absent in the row is absent in the item."""
    await prepare(connection)
    await write(connection, TRACES, span_row(time=NOW, status=2, resource=SHOP))
    await write(connection, METRICS, point_row(SERIES, time=NOW + 1))
    await write(connection, LOGS, log_row(time=NOW + 2))

    found = await recent(connection)

    assert found.is_whole
    assert found.items == [
        {
            "signal": "traces",
            "time": rfc3339(NOW, 123),
            "service": "shop",
            "name": "GET /",
            "kind": "server",
            "status": "error",
            "trace_id": digest_of("trace").hex(),
            "span_id": digest_of("trace 0")[:8].hex(),
            "parent_span_id": digest_of("trace parent")[:8].hex(),
            "duration_ns": 1_000_000,
            "attributes": {"http.method": "GET"},
            "resource": {"service.name": "shop"},
        },
        {
            "signal": "metrics",
            "time": rfc3339(NOW + 1, 7),
            "service": "shop",
            "metric": "requests",
            "type": "gauge",
            "unit": "1",
            "value": 1.5,
            "resource": {"service.name": "shop"},
        },
        {
            "signal": "logs",
            "time": rfc3339(NOW + 2, 5),
            "service": "shop",
            "severity": "INFO",
            "severity_number": 9,
            "severity_text": "INFO",
            "body": "hello",
            "resource": {"service.name": "shop"},
        },
    ]


async def test_what_is_too_long_for_a_screen_is_cut(connection: Connection) -> None:
    """A thousand items of 4 MiB would not fit in memory; the filter still sees all of each."""
    await prepare(connection)
    long_json = f'{{"a":"{"x" * 9_000}end"}}'
    structured = list(log_row(time=NOW + 1, attributes=long_json))
    structured[7:9] = [None, long_json]
    await write(connection, LOGS, log_row(time=NOW, body="x" * 5_000 + "end"), tuple(structured))

    text, other = (await recent(connection, text="end")).items

    assert (text.get("body"), text.get("cut")) == ("x" * 4_096, True)
    assert other.get("body") == ('{"a": "' + "x" * 5_000)[:4_096]
    assert "attributes" not in other


async def test_the_newest_come_oldest_first(connection: Connection) -> None:
    """However they lie in leaves, windows and services; the future of a day is the newest."""
    await prepare(connection)
    ages = [-DAY_US // 2, 0, SECOND_US, HOUR_US // 2, 2 * HOUR_US, DAY_US, 20 * DAY_US, 40 * DAY_US]
    services = ["shop", "bank", None]
    rows = [
        log_row(time=NOW - age, body=str(place), service=services[place % 3])
        for place, age in enumerate(ages)
    ]
    await write(connection, LOGS, *rows[::2], *rows[1::2])

    for limit in range(1, len(ages) + 2):
        found = await recent(connection, limit=limit)

        assert bodies(found) == [str(place) for place in reversed(range(min(limit, len(ages))))]
        assert found.is_whole


async def test_nanoseconds_decide_between_items_of_one_microsecond(connection: Connection) -> None:
    """They are part of the time that is shown."""
    await prepare(connection)
    rows = [list(log_row(time=NOW, body=str(ns))) for ns in (7, 999, 0, 500)]
    for row in rows:
        row[1] = int(row[7])
    await write(connection, LOGS, *map(tuple, rows))

    found = await recent(connection, limit=3)

    assert bodies(found) == ["7", "500", "999"]


async def test_nothing_before_since_is_found(connection: Connection) -> None:
    """The moment itself is inside."""
    await prepare(connection)
    ages = (0, HOUR_US, 2 * DAY_US)
    await write(connection, LOGS, *(log_row(time=NOW - age, body=str(age)) for age in ages))

    for since, expected in ((NOW - HOUR_US, 2), (NOW - HOUR_US + 1, 1), (NOW + 1, 0)):
        assert len((await recent(connection, since=since)).items) == expected


async def test_a_filter_looks_for_older_items_when_new_ones_do_not_match(
    connection: Connection,
) -> None:
    """Through service or trace, for spans and for logs, the limit counts those that match."""
    await prepare(connection)
    old = span_row(1, time=NOW - 20 * DAY_US, trace="old", service="bank", resource=BANK)
    new = [span_row(n, time=NOW - n, resource=SHOP) for n in range(20)]
    await write(connection, TRACES, old, *new)

    for text in ("service:BANK", "service:b*k", f"trace:{digest_of('old').hex()[:9]}", "-shop"):
        (item,) = (await recent(connection, text=text, limit=1)).items

        assert item["time"] == rfc3339(NOW - 20 * DAY_US, 123)


async def test_old_leaves_are_left_alone_when_new_ones_hold_enough(
    connection: Connection, other_connection: Connection
) -> None:
    """A look-back without a filter reads no leaf before its window: one may even be locked."""
    await prepare(connection)
    for kind in Signal:
        rows = {
            TRACES: [span_row(n, time=NOW - n) for n in range(5)],
            METRICS: [point_row(SERIES, time=NOW - n) for n in range(5)],
            LOGS: [log_row(time=NOW - n) for n in range(5)],
        }[kind]
        await write(connection, kind, *rows)
        leaf = await leaf_of(connection, kind, NOW - 2 * DAY_US)
        async with other_connection.transaction():
            await other_connection.execute(f"LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE")

            without_since = await recent(connection, kind, limit=5)
            with_since = await recent(connection, kind, limit=50, since=NOW - HOUR_US)

        assert (len(without_since.items), without_since.is_whole) == (5, True)
        assert (len(with_since.items), with_since.is_whole) == (5, True)


async def test_what_was_found_in_time_is_shown(
    connection: Connection, other_connection: Connection
) -> None:
    """When a signal or a window takes too long, others are still shown, and that is said."""
    await prepare(connection)
    await write(connection, TRACES, span_row(time=NOW))
    await write(connection, LOGS, log_row(time=NOW), log_row(time=NOW - 2 * DAY_US))
    trace_leaf = await leaf_of(connection, TRACES, NOW)
    old_leaf = await leaf_of(connection, LOGS, NOW - 2 * DAY_US)
    async with other_connection.transaction():
        await other_connection.execute(
            f"LOCK TABLE {trace_leaf}, {old_leaf} IN ACCESS EXCLUSIVE MODE"
        )

        found = await recent(connection, timeout_s=3)

    assert not found.is_whole
    assert [item["signal"] for item in found.items] == ["logs"]
    assert (await recent(connection)).is_whole


async def test_the_connection_is_as_before(connection: Connection) -> None:
    """Neither a transaction nor its settings outlive the search."""
    before = await connection.fetchrow(
        "SELECT current_setting('statement_timeout'), current_setting('jit')"
    )

    await recent(connection, timeout_s=0.5)

    assert not connection.is_in_transaction()
    assert before == await connection.fetchrow(
        "SELECT current_setting('statement_timeout'), current_setting('jit')"
    )


async def test_the_snapshot_tells_what_was_found_from_what_comes(
    connection: Connection, other_connection: Connection
) -> None:
    """What a transaction under way wrote is neither found nor seen; what was committed is both."""
    await prepare(connection)
    async with other_connection.transaction():
        before: int = await other_connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await write(other_connection, LOGS, log_row(time=NOW, body="before"))
    async with other_connection.transaction():
        under_way: int = await other_connection.fetchval(
            "SELECT pg_current_xact_id()::text::bigint"
        )
        await write(other_connection, LOGS, log_row(time=NOW, body="under way"))

        found = await recent(connection)

    assert bodies(found) == ["before"]
    assert found.snapshot.sees(before)
    assert not found.snapshot.sees(under_way)


async def test_all_signals_are_read_as_of_one_moment(
    connection: Connection, other_connection: Connection, database_settings: DatabaseSettings
) -> None:
    """What is committed while spans are read is not among the log records that are read after."""
    await prepare(connection)
    await write(connection, TRACES, span_row(time=NOW))
    leaf = await leaf_of(connection, TRACES, NOW)
    writer = await connect(database_settings)
    async with other_connection.transaction():
        await other_connection.execute(f"LOCK TABLE {leaf} IN ACCESS EXCLUSIVE MODE")
        search = asyncio.create_task(recent(connection))
        waiting = (
            f"SELECT count(*) FROM pg_locks WHERE pid = {connection.get_server_pid()}"
            " AND NOT granted"
        )
        await until_counted(writer, waiting, 1)
        await write(writer, LOGS, log_row(time=NOW))

    found = await search

    writer.terminate()
    assert [item["signal"] for item in found.items] == ["traces"]
    assert found.is_whole


async def test_no_item_is_asked_for(connection: Connection) -> None:
    """The snapshot alone is what a tail without look-back needs."""
    found = await recent(connection, limit=0)

    assert found.items == []
    assert found.is_whole
    assert found.snapshot.sees(found.snapshot.xmin - 1)


async def test_a_filter_that_no_signal_can_match_finds_nothing(connection: Connection) -> None:
    """Nothing is even asked for."""
    await prepare(connection)
    await write(connection, LOGS, log_row(time=NOW))

    assert (await recent(connection, text="severity:info kind:server")).items == []
    assert (await recent(connection, TRACES, text="severity:info")).items == []
    assert len((await recent(connection, text="severity:info")).items) == 1


async def test_what_cannot_be_read_is_an_error_of_ours(empty_database: DatabaseSettings) -> None:
    """A database without our tables, for one."""
    connection = await connect(empty_database)

    with pytest.raises(StoreError, match="does not exist"):
        await recent(connection)

    assert not connection.is_in_transaction()
    connection.terminate()


async def test_a_server_that_says_nothing_is_not_waited_for(connection: Connection) -> None:
    """Its process stands still: no statement_timeout ends that, and no ROLLBACK is answered."""
    await prepare(connection)
    backend = connection.get_server_pid()
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailableError):
            await recent(connection, timeout_s=0.2)
    finally:
        os.kill(backend, signal.SIGCONT)

    assert connection.is_closed()


def test_windows_hold_every_moment_once() -> None:
    """Whatever since is; the newest first, and none that is empty."""
    for since in (TIME_MIN, NOW - 10 * DAY_US, NOW - SECOND_US, NOW, NOW + HOUR_US):
        found = windows(NOW, since)

        assert found[-1][0] == since
        assert all(low < high for low, high in found)
        assert all(newer[0] == older[1] for newer, older in pairwise(found))
