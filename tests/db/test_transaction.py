"""One transaction per flush: what is written, what is not, and what a duplicate leaves behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from collector.rows import DeadLetterRow, Signal
from collector.settings import DatabaseSettings
from collector.store import traces
from collector.store.transaction import write_batch
from collector.telemetry.probe import TestProbe
from tests.converted import (
    dimensions,
    log_row,
    metric_row,
    point_row,
    request,
    resource_row,
    scope_row,
    series_row,
    span_row,
)
from tests.db.writing import NOW, context, count, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.rows import ConvertedRequest
    from collector.store.pool import Connection

pytestmark = pytest.mark.postgres_versions


def logs(name: str = "logs", number: int = 3) -> ConvertedRequest:
    """Return a request with ``number`` log records."""
    return request(name, rows=[log_row(time=NOW + n, body=f"{name} {n}") for n in range(number)])


def spans(name: str = "spans", number: int = 3) -> ConvertedRequest:
    """Return a request with one trace, the first span of which is the root."""
    rows = [span_row(n, time=NOW + n, trace=name, root=n == 0) for n in range(number)]
    return request(name, signal=Signal.TRACES, rows=rows)


def points(name: str = "points", number: int = 3) -> ConvertedRequest:
    """Return a request with points of one series."""
    metric, resource, scope = metric_row(), resource_row(), scope_row()
    series = series_row(metric, resource, scope)
    return request(
        name,
        signal=Signal.METRICS,
        rows=[point_row(series, time=NOW + n) for n in range(number)],
        dims=dimensions([resource], [scope], [metric], [series]),
    )


async def test_every_signal_is_stored_with_its_dimensions(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Rows, dimensions, ledger and trace summary are there once the call returns."""
    for signal, one in (
        (Signal.LOGS, logs()),
        (Signal.TRACES, spans()),
        (Signal.METRICS, points()),
    ):
        assert (await write_batch(connection, [one], context(settings, signal))).stored == [True]

    assert await count(connection, "logs") == 3
    assert await count(connection, "trace_spans") == 3
    assert await count(connection, "metric_data_points") == 3
    assert await count(connection, "ingest_ledger", "seen = 1 AND items = 3") == 3
    for table in ("traces", "resources", "scopes", "metrics", "metric_series"):
        assert await count(connection, table) == 1, table


async def test_repeated_request_is_stored_once(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The second time only the ledger changes: no rows, no letters, no spans counted twice."""
    first = spans()
    first.dead_letters.append(DeadLetterRow("traces", NOW, "nul", "repaired", b"\0"))

    assert (await write_batch(connection, [first], context(settings, Signal.TRACES))).stored == [
        True
    ]
    assert (await write_batch(connection, [first], context(settings, Signal.TRACES))).stored == [
        False
    ]

    assert await count(connection, "trace_spans") == 3
    assert await count(connection, "dead_letters") == 1
    assert await rows_of(connection, "SELECT span_count FROM traces") == [(3,)]
    assert await rows_of(connection, "SELECT seen, items FROM ingest_ledger") == [(2, 3)]


async def test_group_of_new_known_and_equal_requests(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Each request of a group ends by itself; equal bytes in one group are merged first."""
    known = logs("known")
    await write_batch(connection, [known], context(settings))

    stored = (
        await write_batch(
            connection, [logs("new"), known, logs("twice"), logs("twice")], context(settings)
        )
    ).stored

    assert stored == [True, False, True, False]
    assert await count(connection, "logs") == 9


async def test_request_without_entropy_skips_the_ledger(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Equal bytes are stored each time when they can be no retry."""
    one = request("a", rows=[log_row(time=NOW)], in_ledger=False)

    stored = (await write_batch(connection, [one, one], context(settings))).stored

    assert stored == [True, True]
    assert await count(connection, "logs") == 2
    assert await count(connection, "ingest_ledger") == 0


async def test_ledger_off(settings: DatabaseSettings, connection: Connection) -> None:
    """Without the ledger, which is only for measuring, a repeated request is stored again."""
    for _ in range(2):
        assert (
            await write_batch(connection, [logs()], context(settings, ledger=False))
        ).stored == [True]

    assert await count(connection, "logs") == 6


async def test_request_without_rows_keeps_its_letters(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A request of which nothing could be stored is in dead_letters and in the ledger."""
    letter = DeadLetterRow("logs", NOW, "undecodable", "quarantined", b"bytes")
    one = request("a", dead_letters=[letter], quarantined=1)

    ctx = context(settings)
    assert (await write_batch(connection, [one], ctx)).stored == [True]
    assert (await write_batch(connection, [one], ctx)).stored == [False]

    query = "SELECT signal, received_at, reason, outcome, payload, attempts FROM dead_letters"
    assert await rows_of(connection, query) == [tuple(letter)]


async def test_peer_with_the_same_bytes_waits_and_finds_them_stored(
    settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """Two connections, the same request at once: one stores it, the other takes its word."""
    slow, fast = TestProbe(), TestProbe()
    fast.hold("flush.before_commit")
    first = asyncio.create_task(
        write_batch(connection, [spans()], context(settings, Signal.TRACES, probe=fast))
    )
    await fast.reached("flush.before_commit")
    second = asyncio.create_task(
        write_batch(
            other_connection,
            [spans(), spans("other")],
            context(settings, Signal.TRACES, probe=slow),
        )
    )
    await slow.reached("flush.copied")

    fast.release("flush.before_commit")

    assert (await first).stored == [True]
    assert (await second).stored == [False, True]
    assert slow.counts["flush.begun"] == 2, "it looked again after it lost the race"
    assert await count(connection, "trace_spans") == 6
    assert await rows_of(connection, "SELECT DISTINCT span_count FROM traces") == [(3,)]
    assert await rows_of(connection, "SELECT seen FROM ingest_ledger ORDER BY 1") == [(1,), (2,)]


@pytest.mark.parametrize("name", ["new", "known"])
async def test_traces_are_added_up_before_the_transaction(
    settings: DatabaseSettings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A slow process stands idle meanwhile, and the server would end its transaction each time."""
    added_up: list[tuple[bool, int]] = []

    async def watched(rows: Iterable[tuple[Any, ...]]) -> list[traces.Columns]:
        listed = list(rows)
        added_up.append((connection.is_in_transaction(), len(listed)))
        return await parameters(listed)

    parameters = traces.parameters
    await write_batch(connection, [spans("known")], context(settings, Signal.TRACES))
    monkeypatch.setattr(traces, "parameters", watched)

    await write_batch(connection, [spans(name)], context(settings, Signal.TRACES))

    assert added_up == ([(False, 3)] if name == "new" else [(False, 3), (True, 0)])
    query = "SELECT DISTINCT span_count FROM traces"
    assert await rows_of(connection, query) == [(3,)]


def test_giant_request_gets_more_time() -> None:
    """Ten times the usual rows may take ten times as long; or it would be cancelled for ever."""
    limit_s = 0.4
    hasty = context(DatabaseSettings(statement_s_max=limit_s))
    usual = request("a", rows=[log_row(time=NOW)] * 20_000)
    giant = request("b", rows=[log_row(time=NOW)] * 200_000)

    assert hasty.statement_s([usual]) == limit_s
    assert hasty.statement_s([giant]) == 10 * limit_s
    assert hasty.statement_s([request("c")]) == limit_s


def test_request_of_many_or_large_letters_gets_more_time() -> None:
    """A letter is a row too, and one of 64 MiB is not written as fast as a small one."""
    limit_s = 0.4
    hasty = context(DatabaseSettings(statement_s_max=limit_s))
    small = DeadLetterRow("logs", NOW, "undecodable", "quarantined", b"bytes")
    large = small._replace(payload=bytes(2**26))

    assert hasty.statement_s([request("a", dead_letters=[small])]) == limit_s
    many_s = hasty.statement_s([request("b", dead_letters=[small] * 200_000)])
    assert many_s == pytest.approx(10 * limit_s, rel=0.1)
    large_s = hasty.statement_s([request("c", dead_letters=[large, small])])
    assert large_s == pytest.approx(4 * limit_s, rel=0.1)
    both = request("d", rows=[log_row(time=NOW)] * 40_000, dead_letters=[large])
    assert hasty.statement_s([both]) == pytest.approx(6 * limit_s, rel=0.1)


def test_request_of_many_bytes_gets_more_time() -> None:
    """A few thousand points with long lists of buckets are few rows, and take minutes to write."""
    limit_s = 0.4
    hasty = context(DatabaseSettings(statement_s_max=limit_s))
    rows = [log_row(time=NOW)] * 7_325

    assert hasty.statement_s([request("a", rows=rows, size_bytes=2**24)]) == limit_s
    large_s = hasty.statement_s([request("b", rows=rows, size_bytes=2**29)])
    assert large_s == 32 * limit_s
    both = request("c", rows=rows * 10, size_bytes=2**26)
    assert hasty.statement_s([both]) == 4 * limit_s, "the rows are in these bytes"
