"""Rows that PostgreSQL refuses: their items are dead-lettered, their neighbours are stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collector.buffer.entry import End, Outcome
from collector.convert.identity import request_digest
from collector.convert.letters import letters_of
from collector.convert.request import Converter
from collector.errors import PoisonRowError
from collector.flush import poison
from collector.flush.poison import NAMED_MAX, quarantine_culprits
from collector.rows import FACT_COLUMNS, FACT_TABLES, PG_EPOCH_UNIX_US, TIME_INDEX, Reason, Signal
from collector.settings import ConvertSettings
from collector.telemetry.clock import SystemClock
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
from tests.db.flushing import flushing
from tests.db.writing import NOW, context, count, rows_of
from tests.factories import request_of
from tests.unit.convert.converting import DAY_S, item_payload

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

NUL = '{"a":"\\u0000"}'
"""JSON that jsonb refuses (22P05)."""


NOW_NS = (NOW + PG_EPOCH_UNIX_US) * 1000
REFUSAL = PoisonRowError("refused", sqlstate="22P05", table="logs", row=None)


class HurryingClock(SystemClock):
    """A clock that moves on by an hour at each look."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def monotonic_s(self) -> float:
        """Return an hour more than the last time."""
        self._now_s += 3_600
        return self._now_s


def watch(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """Return the arguments of every call that the look for culprits makes of ``name`` from now on."""
    calls: list[tuple[Any, ...]] = []
    original = getattr(poison, name)

    async def called(*arguments: Any) -> Any:
        calls.append(arguments)
        return await original(*arguments)

    monkeypatch.setattr(poison, name, called)
    return calls


def logs(name: str, number: int, bad: dict[int, dict[str, Any]]) -> ConvertedRequest:
    """Return a request with ``number`` records; those in ``bad`` have other columns."""
    rows = [list(log_row(time=NOW + n, body=f"{name} {n}")) for n in range(number)]
    for n, columns in bad.items():
        for column, value in columns.items():
            rows[n][FACT_COLUMNS[Signal.LOGS].index(column)] = value
    return request(name, rows=[tuple(row) for row in rows])


async def letters(connection: Connection) -> list[bytes]:
    """Return the payloads of the dead letters, which must all say the same otherwise."""
    rows = await rows_of(
        connection, "SELECT signal, reason, outcome, payload FROM dead_letters ORDER BY id"
    )
    assert {row[:3] for row in rows} <= {("logs", Reason.REFUSED_BY_POSTGRES, "quarantined")}
    return [row[3] for row in rows]


REFUSED: dict[str, dict[str, Any]] = {
    "jsonb with NUL": {"attributes": NUL},
    "no json": {"attributes": '{"line 1": not json'},
    "json that imitates a context": {"attributes": '{"a":\n"COPY logs, line 1, column 2"'},
    "text with NUL": {"body_text": "nul \0 in text"},
    "lone surrogate": {"body_text": "\ud800"},
    "bytes for text": {"body_text": b"bytes"},
    "beyond integer": {"severity_number": 2**31},
    "text for integer": {"severity_number": "9"},
    "beyond smallint": {"time_ns": 2**15},
    "beyond bigint": {"flags": 2**63},
    "text for bytes": {"trace_id": "text"},
    "NULL": {"attributes": None},
}
"""What asyncpg's codecs or PostgreSQL refuse."""


@pytest.mark.postgres_versions
@pytest.mark.parametrize("position", [0, 3, 5])
async def test_refused_row_costs_no_other_row(
    settings: DatabaseSettings, connection: Connection, position: int
) -> None:
    """Whoever refuses it, one item is quarantined and five are stored, each time."""
    async with flushing(settings) as stand:
        for name, columns in REFUSED.items():
            assert await stand.send(logs(name, 6, {position: columns})) is Outcome.STORED, name

        stand.check_books()
        kinds = len(REFUSED)
        assert stand.books[End.STORED] == 5 * kinds
        assert stand.books[End.QUARANTINED] == kinds
        reasons = {("logs", Reason.REFUSED_BY_POSTGRES.value): kinds}
        assert stand.metrics.quarantined.values == reasons
    expected = [f"logs item {position} of {name}".encode() for name in REFUSED]
    assert await letters(connection) == expected
    stored = await rows_of(connection, "SELECT body_text FROM logs ORDER BY 1")
    assert stored == sorted((f"{name} {n}",) for name in REFUSED for n in range(6) if n != position)


@pytest.mark.parametrize("signal", Signal)
async def test_one_refused_item_of_ten_thousand(
    settings: DatabaseSettings, connection: Connection, signal: Signal
) -> None:
    """A request from the wire: 9 999 items are stored, one is a letter that can be replayed."""
    payload = request_of(signal, items=10_000, base_unix_nano=NOW_NS).SerializeToString()
    one, again = (
        Converter(ConvertSettings(), retention_s=DAY_S).convert(
            signal, payload, digest=request_digest(b"", signal, payload), now_ns=NOW_NS
        )
        for _ in range(2)
    )
    raw = FACT_COLUMNS[signal].index("raw")
    one.rows[6_789] = (*one.rows[6_789][:raw], NUL, *one.rows[6_789][raw + 1 :])
    place = TIME_INDEX[signal]
    times = sorted(row[place] for n, row in enumerate(one.rows) if n != 6_789)
    async with flushing(settings, signal, letters_of=letters_of) as stand:
        assert await stand.send(one) is Outcome.STORED
        assert await stand.send(again) is Outcome.DUPLICATE

        stand.check_books()
        assert stand.books[End.STORED] == 9_999
        assert stand.books[End.QUARANTINED] == 1
        assert stand.books[End.DUPLICATE] == 10_000
    table, column = FACT_TABLES[signal], FACT_COLUMNS[signal][place]
    assert await rows_of(connection, f"SELECT {column} FROM {table} ORDER BY 1") == [
        (time,) for time in times
    ]
    assert await rows_of(connection, "SELECT reason, outcome, payload FROM dead_letters") == [
        (Reason.REFUSED_BY_POSTGRES, "quarantined", item_payload(signal, payload, 6_789))
    ]
    if signal is Signal.TRACES:
        assert await rows_of(connection, "SELECT sum(span_count)::int FROM traces") == [(9_999,)]


async def test_many_refused_rows(settings: DatabaseSettings, connection: Connection) -> None:
    """After the first few the rows are halved: every culprit is found, and only they."""
    bad = set(range(5, 160, 13))
    assert len(bad) > NAMED_MAX
    async with flushing(settings) as stand:
        sender = stand.send(logs("a", 160, {n: {"attributes": NUL} for n in bad}))

        assert await sender is Outcome.STORED

        stand.check_books()
        assert stand.books[End.QUARANTINED] == len(bad)
    assert await count(connection, "logs") == 160 - len(bad)
    assert sorted(await letters(connection)) == sorted(b"logs item %d of a" % n for n in bad)


async def test_look_for_refused_rows_takes_one_connection(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four tries for each culprit, not two for each halving, and a connection for them all."""
    connections = watch(monkeypatch, "connect")
    tries = watch(monkeypatch, "try_batch")
    bad = set(range(3, 1_000, 20))
    one = logs("a", 1_000, {n: {"attributes": NUL} for n in bad})

    found = await quarantine_culprits(one, REFUSAL, context(settings), named=NAMED_MAX)

    assert found == len(bad)
    assert [letter.payload for letter in one.dead_letters] == [
        b"logs item %d of a" % n for n in sorted(bad)
    ]
    assert len(connections) == 1
    assert len(tries) <= 4 * len(bad)


async def test_look_for_refused_rows_ends_in_time(settings: DatabaseSettings) -> None:
    """Others in trouble have their turn; what was found by then goes, and the rest is found later."""
    one = logs("a", 9, {n: {"attributes": NUL} for n in (0, 2, 4, 6, 8)})
    hurried = replace(context(settings), clock=HurryingClock())
    found: list[int] = []
    while len(one.rows) > 4:
        found.append(await quarantine_culprits(one, REFUSAL, hurried, named=NAMED_MAX))

    assert found == [1] * 5
    assert sorted(letter.payload for letter in one.dead_letters) == [
        b"logs item %d of a" % n for n in (0, 2, 4, 6, 8)
    ]


async def test_refused_rows_that_take_several_looks(
    settings: DatabaseSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write between two looks is refused again, and the next look goes on until none is left."""
    monkeypatch.setattr(poison, "LOOK_S", -1.0)
    bad = set(range(0, 40, 2))
    async with flushing(settings) as stand:
        sender = stand.send(logs("a", 40, {n: {"attributes": NUL} for n in bad}))

        assert await sender is Outcome.STORED

        stand.check_books()
        assert stand.books[End.QUARANTINED] == len(bad)
        assert stand.retries() == {"22P05": len(bad)}
    assert await count(connection, "logs") == 20
    assert await letters(connection) == [b"logs item %d of a" % n for n in sorted(bad)]


async def test_refused_rows_are_looked_for_although_the_sender_has_left(
    settings: DatabaseSettings, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look may take longer than any hold; given up, each retry would begin it anew."""
    monkeypatch.setattr(poison, "LOOK_S", -1.0)
    async with flushing(settings) as stand:
        stand.probe.hold("flush.begun")
        sender = stand.send(logs("a", 9, {n: {"attributes": NUL} for n in (0, 4, 8)}))
        await stand.probe.reached("flush.begun")
        sender.cancel()
        await asyncio.wait([sender])
        stand.probe.release("flush.begun")

        await stand.queue.empty()

        stand.check_books()
        assert stand.books[End.QUARANTINED] == 3
    assert await count(connection, "logs") == 6


async def test_look_for_refused_rows_needs_no_lock_of_the_ledger(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Somebody holds the whole ledger: the culprits are found meanwhile."""
    await connection.execute("BEGIN; LOCK TABLE ingest_ledger")
    one = logs("a", 9, {n: {"attributes": NUL} for n in (2, 4)})

    assert await quarantine_culprits(one, REFUSAL, context(settings), named=NAMED_MAX) == 2


async def test_request_of_nothing_but_refused_rows(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Nothing is left to store: the request is in dead_letters and in the ledger."""
    async with flushing(settings) as stand:
        one = logs("a", 3, {n: {"attributes": NUL} for n in range(3)})

        assert await stand.send(one) is Outcome.STORED
        again = logs("a", 3, {n: {"attributes": NUL} for n in range(3)})
        assert await stand.send(again) is Outcome.DUPLICATE

        stand.check_books()
    assert len(await letters(connection)) == 3
    assert await count(connection, "logs") == 0


async def test_refused_row_keeps_nobody_else_waiting(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The group of a poisoned request is committed before the culprit is looked for."""
    async with flushing(settings) as stand:
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker", 1, {}))
        await stand.probe.reached("flush.taken")
        poisoned = stand.send(logs("poisoned", 3, {1: {"attributes": NUL}}))
        others = [stand.send(logs(f"other {n}", 3, {})) for n in range(5)]
        stand.probe.release("flush.taken")

        outcomes = await asyncio.gather(blocker, poisoned, *others)

        assert set(outcomes) == {Outcome.STORED}
        assert await count(connection, "logs") == 1 + 2 + 15
        assert stand.metrics.flush_retries.values == {("logs", "22P05"): 2}


async def test_item_numbers_survive_earlier_quarantines(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The letter holds the item that the row came from, not the row's number."""
    one = logs("a", 3, {0: {"attributes": NUL}, 2: {"attributes": NUL}})
    one.item_indexes = [4, 7, 9]
    async with flushing(settings) as stand:
        await stand.send(one)

    assert sorted(await letters(connection)) == [b"logs item 4 of a", b"logs item 9 of a"]


async def test_refusal_without_a_named_row_is_halved(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The trace summary refuses: the server names no row, the halves do."""
    await connection.execute("ALTER TABLE traces ADD CONSTRAINT no CHECK (root_name <> 'bad')")
    rows = [
        span_row(n, time=NOW + n, trace=f"trace {n}", root=True, name="bad" if n == 5 else "good")
        for n in range(9)
    ]
    async with flushing(settings, Signal.TRACES) as stand:
        sender = stand.send(request("a", signal=Signal.TRACES, rows=rows))

        assert await sender is Outcome.STORED

        stand.check_books()
        assert stand.books[End.QUARANTINED] == 1
    assert await count(connection, "trace_spans", "name = 'good'") == 8
    assert await rows_of(connection, "SELECT payload FROM dead_letters") == [
        (b"traces item 5 of a",)
    ]


async def test_row_that_is_named_wrongly_costs_nothing_and_the_guilty_one_is_found(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The named row passes alone, so all are halved: a name is a hint and no proof."""
    one = logs("a", 6, {4: {"attributes": NUL}})
    error = PoisonRowError("refused", sqlstate="22P05", table="logs", row=1)

    assert await quarantine_culprits(one, error, context(settings), named=0) == 1

    assert [letter.payload for letter in one.dead_letters] == [b"logs item 4 of a"]
    assert len(one.rows) == 5


async def test_rows_that_do_not_go_together(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Each passes alone: the later ones are quarantined, the rest need not wait for ever."""
    (leaf,) = await rows_of(
        connection,
        "SELECT leaf FROM otlpg_leaves() WHERE parent = 'logs'"
        " AND $1::timestamptz >= starts_at AND $1 < ends_at",
        NOW,
    )
    await connection.execute(f"CREATE UNIQUE INDEX ON {leaf[0]} (body_text)")
    same = {n: {"body_text": "same"} for n in (1, 4, 7)}
    async with flushing(settings) as stand:
        sender = stand.send(logs("a", 9, same))

        async with asyncio.timeout(20):
            assert await sender is Outcome.STORED

        stand.check_books()
        assert stand.books[End.QUARANTINED] == 2
    assert await count(connection, "logs") == 7
    assert await count(connection, "logs", "body_text = 'same'") == 1
    assert await letters(connection) == [b"logs item 4 of a", b"logs item 7 of a"]


async def test_refused_dimension_takes_only_its_own_items(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A resource that PostgreSQL refuses: its items are quarantined, it is not tried again."""
    bad = resource_row("bad")._replace(attributes=NUL)
    rows = [span_row(0, time=NOW), span_row(1, time=NOW, resource=bad), span_row(2, time=NOW)]
    dims = dimensions([resource_row(), bad], [scope_row()])
    async with flushing(settings, Signal.TRACES) as stand:
        sender = stand.send(request("a", signal=Signal.TRACES, rows=rows, dims=dims))

        assert await sender is Outcome.STORED

    assert await count(connection, "trace_spans") == 2
    assert await rows_of(connection, "SELECT service_name FROM resources") == [("shop",)]


async def test_refused_dimension_that_nothing_refers_to_is_left_out(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """No item is to blame, so none is quarantined."""
    bad = resource_row("bad")._replace(attributes=NUL)
    dims = dimensions([resource_row(), bad], [scope_row()])
    async with flushing(settings) as stand:
        sender = stand.send(request("a", rows=[log_row(time=NOW)], dims=dims))

        assert await sender is Outcome.STORED

    assert await count(connection, "logs") == 1
    assert await count(connection, "dead_letters") == 0


async def test_refused_point(settings: DatabaseSettings, connection: Connection) -> None:
    """Points take the same road, with the series that they need."""
    metric, resource, scope = metric_row(), resource_row(), scope_row()
    series = series_row(metric, resource, scope)
    rows = [point_row(series, time=NOW + n) for n in range(5)]
    rows[2] = (*rows[2][:7], 2**63, *rows[2][8:])
    dims = dimensions([resource], [scope], [metric], [series])
    async with flushing(settings, Signal.METRICS) as stand:
        sender = stand.send(request("a", signal=Signal.METRICS, rows=rows, dims=dims))

        assert await sender is Outcome.STORED

    assert await count(connection, "metric_data_points") == 4
    assert await rows_of(connection, "SELECT payload FROM dead_letters") == [
        (b"metrics item 2 of a",)
    ]


async def test_nothing_is_given_up_while_the_sample_row_fails_too(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The table refuses everything: hold, and store when it has come to its senses."""
    await connection.execute("ALTER TABLE logs ADD CONSTRAINT closed CHECK (false)")
    async with flushing(settings) as stand:
        sender = stand.send(logs("a", 3, {}))
        await stand.probe.reached("flush.straggler_failed", 3)
        assert not sender.done()
        assert await count(connection, "dead_letters") == 0

        await connection.execute("ALTER TABLE logs DROP CONSTRAINT closed")

        assert await sender is Outcome.STORED
        assert stand.books[End.QUARANTINED] == 0
    assert await count(connection, "logs") == 3


async def test_refusal_that_no_row_repeats_is_held(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The ledger refuses, not a row: nothing is quarantined, the request waits."""
    await connection.execute("ALTER TABLE ingest_ledger ADD CONSTRAINT no CHECK (items <> 3)")
    async with flushing(settings) as stand:
        sender = stand.send(logs("a", 3, {}))
        await stand.probe.reached("flush.straggler_failed", 2)
        assert not sender.done()
        assert await stand.send(logs("b", 2, {})) is Outcome.STORED, "others pass"

        await connection.execute("ALTER TABLE ingest_ledger DROP CONSTRAINT no")

        assert await sender is Outcome.STORED
    assert await count(connection, "dead_letters") == 0
    assert await count(connection, "logs") == 5


async def test_refused_row_whose_leaf_was_dropped(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The look for the culprit finds no leaf: it is made again, and the look comes to its end."""
    async with flushing(settings) as stand:
        await stand.send(logs("a", 1, {}))
        query = "SELECT leaf FROM otlpg_leaves() WHERE parent = 'logs'"
        for (leaf,) in await rows_of(connection, query):
            await connection.execute(f"DROP TABLE {leaf}")

        async with asyncio.timeout(20):
            outcome = await stand.send(logs("b", 2, {0: {"attributes": NUL}}))

        assert outcome is Outcome.STORED
    assert await count(connection, "logs") == 1
    assert await letters(connection) == [b"logs item 0 of b"]
