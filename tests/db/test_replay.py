"""Replay of dead letters: each item is stored once, under its own receive time, or kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.convert.identity import request_digest
from collector.errors import CommandError
from collector.maintain.ledger import LedgerRetirement
from collector.operate import replay_store
from collector.operate.letters import explained
from collector.operate.replay import BATCH_LETTERS
from collector.operate.replay_result import End, Result
from collector.rows import FACT_TABLES, PG_EPOCH_UNIX_US, Reason, Signal
from collector.settings import DatabaseSettings
from collector.store import migrate
from collector.store.letter_queries import Selection
from collector.store.pool import Database
from collector.store.transaction import write_batch
from collector.telemetry.clock import SystemClock
from collector.telemetry.probe import Probe, TestProbe
from tests.db.lettering import letters, put, replay
from tests.db.test_roles import as_user
from tests.db.writing import NOW, context, count, make_leaves
from tests.factories import request_of
from tests.fault.proxy import Fault, wire_to
from tests.unit.convert.converting import converter, item_payload, logs_of, span_of, traces_of

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.store.pool import Connection

NOW_NS = (NOW + PG_EPOCH_UNIX_US) * 1000
DAY_US = 86_400_000_000
REJECTED = Selection(outcomes=("rejected",))


def log(body: str = "hello", *, time_ns: int = NOW_NS) -> bytes:
    """Return a request of one log record."""
    record = LogRecord(time_unix_nano=time_ns)
    record.body.string_value = body
    return logs_of(record).SerializeToString()


def spans(*names: str, bad: str = "") -> bytes:
    """Return a request of spans with these names, of which ``bad`` has no id."""
    return traces_of(
        *(
            span_of(
                name=name,
                span_id=b"" if name == bad else bytes(7) + bytes([number + 1]),
                start_time_unix_nano=NOW_NS,
                end_time_unix_nano=NOW_NS + 1,
            )
            for number, name in enumerate(names)
        )
    ).SerializeToString()


def convert_now(signal: Signal, payload: bytes, **settings: Any) -> ConvertedRequest:
    """Return what the request becomes when it is received now."""
    digest = request_digest(b"", signal, payload)
    return converter(**settings).convert(signal, payload, digest=digest, now_ns=NOW_NS)


# -- what is stored ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != Reason.WRONG_SIGNAL])
@pytest.mark.parametrize("signal", Signal)
async def test_a_letter_that_converts_now_is_stored_once(
    database_settings: DatabaseSettings, connection: Connection, signal: Signal, reason: Reason
) -> None:
    """Whatever it was set aside for: its row is there, the letter is not, a second replay is idle."""
    payload = request_of(signal, items=5, base_unix_nano=NOW_NS).SerializeToString()
    letter = await put(connection, item_payload(signal, payload, 3), signal, reason=reason)

    results = await replay(database_settings)
    again = await replay(database_settings)

    assert results == [Result(letter, signal, End.STORED, items=1)]
    assert again == []
    assert await count(connection, FACT_TABLES[signal]) == 1
    assert await count(connection, "dead_letters") == 0
    assert await count(connection, "ingest_ledger") == 0


async def test_the_receive_time_is_the_letters_own(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A record without a time stands where it came, days ago, in a leaf made for it."""
    received_at = NOW - 40 * DAY_US
    await put(connection, log(time_ns=0), received_at=received_at)

    [result] = await replay(database_settings)

    assert result.end is End.STORED
    assert await connection.fetchval("SELECT time FROM logs") == received_at


async def test_the_summary_of_a_trace_grows(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Replayed spans are added to the row of their trace."""
    await make_leaves(database_settings)
    await write_batch(
        connection,
        [convert_now(Signal.TRACES, spans("first"))],
        context(database_settings, Signal.TRACES),
    )
    await put(connection, spans("second", "third"), Signal.TRACES)

    await replay(database_settings)

    assert await connection.fetchval("SELECT span_count FROM traces") == 3


async def test_more_letters_than_one_batch_of_all_signals(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Every letter has one result, whatever stands between those of its signal."""
    payloads = {
        s: request_of(s, items=1, base_unix_nano=NOW_NS).SerializeToString() for s in Signal
    }
    number = BATCH_LETTERS + 20
    for signal, payload in payloads.items():
        await connection.execute(
            "INSERT INTO dead_letters (signal, received_at, reason, outcome, payload)"
            " SELECT $1, now(), 'nul', 'quarantined', $2 FROM generate_series(1, $3)",
            signal,
            payload,
            number // 3,
        )

    results = await replay(database_settings)

    assert len({result.letter for result in results}) == 3 * (number // 3) == len(results)
    assert {result.end for result in results} == {End.STORED}
    for table in FACT_TABLES.values():
        assert await count(connection, table) == number // 3


# -- what stays ----------------------------------------------------------------------------------


async def test_what_still_cannot_be_stored_is_kept(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The same letter with the same bytes, one attempt more, and the reason of today."""
    bad = spans("bad", bad="bad")
    letter = await put(connection, bad, Signal.TRACES, reason=Reason.TOO_DEEP, attempts=4)
    broken = await put(connection, b"\n\x7f", Signal.LOGS)

    results = await replay(database_settings)

    assert [(result.letter, result.end) for result in results] == [
        (broken, End.KEPT),
        (letter, End.KEPT),
    ]
    assert await letters(connection) == [
        ("traces", Reason.INVALID_SPAN_ID, "quarantined", 5, bad),
        ("logs", Reason.UNDECODABLE, "quarantined", 1, b"\n\x7f"),
    ]


async def test_the_good_part_of_a_letter_is_stored_and_the_rest_stays(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Of three spans one has no id: two rows, and one letter of one span that knows its attempts."""
    payload = spans("a", "b", "c", bad="b")
    letter = await put(connection, payload, Signal.TRACES, attempts=1, received_at=NOW - DAY_US)

    results = await replay(database_settings)

    assert results == [Result(letter, "traces", End.STORED, items=2, left=1, why="invalid_span_id")]
    rest = item_payload(Signal.TRACES, payload, 1)
    assert await letters(connection) == [("traces", "invalid_span_id", "quarantined", 2, rest)]
    assert await count(connection, "dead_letters", "received_at < now() - interval '23 h'") == 1
    assert await count(connection, "trace_spans") == 2

    [second] = await replay(database_settings)

    assert (second.end, second.left) == (End.KEPT, 1)
    assert await count(connection, "trace_spans") == 2


async def test_a_repair_is_kept_as_it_is_when_received(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A text with NUL is stored without it, and its bytes are a letter of outcome repaired."""
    payload = log("a\0b")
    await put(connection, payload, reason=Reason.TOO_LARGE)

    [result] = await replay(database_settings)

    assert (result.end, result.items, result.left) == (End.STORED, 1, 0)
    assert await connection.fetchval("SELECT body_text FROM logs") == "a\ufffdb"
    assert await letters(connection) == [("logs", "nul", "repaired", 1, payload)]


async def test_rows_that_postgres_refuses_cost_no_other_letter(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Two of seven letters are refused at COPY: five are stored, two stay with an attempt more."""
    await connection.execute("ALTER TABLE logs ADD CONSTRAINT no CHECK (body_text <> 'poison')")
    bodies = ["a", "b", "poison", "c", "d", "poison", "e"]
    for body in bodies:
        await put(connection, log(body))

    results = await replay(database_settings)

    assert [result.end for result in sorted(results)] == [
        End.KEPT if body == "poison" else End.STORED for body in bodies
    ]
    assert await count(connection, "logs") == 5
    kept = ("logs", Reason.REFUSED_BY_POSTGRES, "quarantined", 1, log("poison"))
    assert await letters(connection) == [kept, kept]


async def test_one_refused_item_of_a_letter_leaves_the_others(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The rest is stored; the refused item is a letter of its own that knows its attempts."""
    await connection.execute("ALTER TABLE trace_spans ADD CONSTRAINT no CHECK (name <> 'poison')")
    payload = spans("a", "poison", "c")
    await put(connection, payload, Signal.TRACES, attempts=2)

    [result] = await replay(database_settings)

    assert (result.end, result.items, result.left) == (End.STORED, 2, 1)
    rest = item_payload(Signal.TRACES, payload, 1)
    assert await letters(connection) == [
        ("traces", Reason.REFUSED_BY_POSTGRES, "quarantined", 3, rest)
    ]


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.body_text = 'poison' THEN {}; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION refuse()"""


@pytest.mark.parametrize(
    "how",
    ["RAISE EXCEPTION 'odd'", "RAISE EXCEPTION 'slow' USING ERRCODE = '57014'"],
    ids=["unlisted", "retryable"],
)
async def test_one_stubborn_letter_does_not_end_the_replay(
    database_settings: DatabaseSettings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """A failure that nobody foresaw, or that never passes: the others are stored, it is kept."""
    monkeypatch.setattr(replay_store, "GIVE_UP_S", 0.0)
    await connection.execute(REFUSE.format(how))
    bodies = ["a", "b", "poison", "c", "d"]
    for body in bodies:
        await put(connection, log(body), reason=Reason.TOO_LARGE)

    results = sorted(await replay(database_settings))

    assert [result.end for result in results] == [
        End.KEPT if body == "poison" else End.STORED for body in bodies
    ]
    assert "PostgreSQL did not store it" in results[2].why
    assert await letters(connection) == [
        ("logs", Reason.TOO_LARGE, "quarantined", 1, log("poison"))
    ]


async def test_an_odd_failure_of_our_own_row_blames_no_letter(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Somebody's trigger takes nothing at all: every letter stays as it was."""
    await connection.execute(
        REFUSE.format("RAISE EXCEPTION 'odd'").replace("= 'poison'", "IS NULL OR true")
    )
    for _ in range(2):
        await put(connection, log())
    before = await letters(connection)

    with pytest.raises(CommandError), explained("replay dead letters"):
        await replay(database_settings)

    assert await letters(connection) == before


async def test_a_table_that_takes_nothing_blames_no_letter(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """When our own row is refused too, every letter stays as it was."""
    await connection.execute("ALTER TABLE logs ADD CONSTRAINT no CHECK (flags <> 0)")
    await put(connection, log())

    with pytest.raises(CommandError), explained("replay dead letters"):
        await replay(database_settings)

    assert await letters(connection) == [("logs", "undecodable", "quarantined", 0, log())]


async def test_a_raised_limit_lets_a_letter_pass(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A letter is converted with the limits of today."""
    await put(connection, log("x" * 2_000), reason=Reason.TOO_LARGE)

    before = await replay(database_settings, item_bytes_max=1_024)
    after = await replay(database_settings, item_bytes_max=4_096)

    assert [(result.end, result.why) for result in before] == [(End.KEPT, "too_large")]
    assert [result.end for result in after] == [End.STORED]


# -- once ----------------------------------------------------------------------------------------


async def test_of_two_replays_at_once_one_stores(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The second does not wait for the first: it is told that the letters are taken."""
    ids = [await put(connection, log(str(number))) for number in range(5)]
    probe = TestProbe()
    probe.hold("flush.before_commit")
    first = asyncio.create_task(replay(database_settings, probe=probe))
    await probe.reached("flush.before_commit")

    second = await replay(database_settings)
    probe.release("flush.before_commit")

    assert {(result.letter, result.end) for result in second} == {(id_, End.BUSY) for id_ in ids}
    assert {result.end for result in await first} == {End.STORED}
    assert await count(connection, "logs") == 5
    assert await count(connection, "dead_letters") == 0


async def test_letters_that_are_taken_cost_the_others_nothing(
    database_settings: DatabaseSettings, connection: Connection, other_connection: Connection
) -> None:
    """Somebody holds one of three letters: two are stored, and the third stays."""
    ids = [await put(connection, log(str(number))) for number in range(3)]
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters WHERE id = $1 FOR UPDATE", ids[1])
        results = await replay(database_settings)

    assert {result.letter: result.end for result in results} == {
        ids[0]: End.STORED,
        ids[1]: End.BUSY,
        ids[2]: End.STORED,
    }
    assert await count(connection, "logs") == 2
    assert await count(connection, "dead_letters") == 1


async def test_letters_that_went_meanwhile_are_gone(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Somebody deleted one after it was read: the other is stored."""
    ids = [await put(connection, log(str(number))) for number in range(2)]
    probe = TestProbe()
    probe.hold("flush.begun")
    running = asyncio.create_task(replay(database_settings, probe=probe))
    await probe.reached("flush.begun")
    await connection.execute("DELETE FROM dead_letters WHERE id = $1", ids[0])
    probe.release("flush.begun")

    results = await running

    assert [(result.letter, result.end) for result in results] == [
        (ids[0], End.GONE),
        (ids[1], End.STORED),
    ]


@pytest.mark.parametrize("fault", [Fault.LOSE_COMMIT, Fault.LOSE_REPLY])
async def test_a_commit_without_an_answer_is_neither_lost_nor_repeated(
    database_settings: DatabaseSettings, connection: Connection, fault: Fault
) -> None:
    """The letters decide whether it happened."""
    await make_leaves(database_settings)
    warm = await put(connection, log("warm"))
    async with wire_to(database_settings) as (wire, wired):
        await replay(
            wired, Selection(ids=(warm,))
        )  # so that the only COMMIT below is of the letters
        for number in range(4):
            await put(connection, log(str(number)))
        probe = TestProbe()
        probe.hold("flush.before_commit")
        running = asyncio.create_task(replay(wired, probe=probe))
        await probe.reached("flush.before_commit")
        wire.fault = fault
        probe.release("flush.before_commit")
        results = await running

    assert wire.struck == 1
    assert [result.end for result in results] == [End.STORED] * 4
    assert await count(connection, "logs") == 5
    assert await count(connection, "dead_letters") == 0


async def test_a_lost_commit_is_not_stored_because_its_letters_went(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The COMMIT never came, and a purge takes the letter before anybody looks: it is gone."""
    await make_leaves(database_settings)
    warm = await put(connection, log("warm"))
    async with wire_to(database_settings) as (wire, wired):
        await replay(wired, Selection(ids=(warm,)))
        await put(connection, log())
        probe = TestProbe()
        probe.hold("flush.before_commit")
        probe.hold("replay.failed")
        running = asyncio.create_task(replay(wired, probe=probe))
        await probe.reached("flush.before_commit")
        wire.fault = Fault.LOSE_COMMIT
        probe.release("flush.before_commit")
        await probe.reached("replay.failed")
        await connection.execute("DELETE FROM dead_letters")
        probe.release("replay.failed")
        [result] = await running

    assert wire.struck == 1
    assert result.end is End.GONE
    assert await count(connection, "logs") == 1


async def test_killed_before_commit_nothing_has_happened(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Letters are there as they were, and the next replay stores them."""
    await put(connection, log())
    probe = TestProbe()
    probe.hold("flush.before_commit")
    running = asyncio.create_task(replay(database_settings, probe=probe))
    await probe.reached("flush.before_commit")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await connection.execute(  # the server notices the end of the connection a little later
        "SELECT FROM dead_letters FOR UPDATE"
    )

    assert await letters(connection) == [("logs", "undecodable", "quarantined", 0, log())]
    assert [result.end for result in await replay(database_settings)] == [End.STORED]


async def test_a_repetition_of_the_original_request_is_a_duplicate(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The ledger knows the request that the letter came from, before the replay and after."""
    await make_leaves(database_settings)
    records = [LogRecord(time_unix_nano=NOW_NS + number) for number in range(3)]
    records[1].body.string_value = "x" * 2_000
    payload = logs_of(*records).SerializeToString()
    original = convert_now(Signal.LOGS, payload, item_bytes_max=1_024)
    ctx = context(database_settings)
    assert (await write_batch(connection, [original], ctx)).stored == [True]
    assert await count(connection, "logs") == 2

    [result] = await replay(database_settings)
    stored = (await write_batch(connection, [convert_now(Signal.LOGS, payload)], ctx)).stored

    assert (result.end, stored) == (End.STORED, [False])
    assert await count(connection, "logs") == 3


async def test_a_letter_is_not_swallowed_by_the_ledger(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """A one-item request that was set aside whole is in the ledger, with the letter's very bytes."""
    await make_leaves(database_settings)
    payload = log("x" * 2_000)
    original = convert_now(Signal.LOGS, payload, item_bytes_max=1_024)
    await write_batch(connection, [original], context(database_settings))
    assert [row[4] for row in await letters(connection)] == [payload]

    [result] = await replay(database_settings)

    assert result.end is End.STORED
    assert await count(connection, "logs") == 1


# -- which letters -------------------------------------------------------------------------------


async def test_repaired_and_rejected_letters_are_skipped_and_say_why(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """Nothing is stored twice, nothing is guessed; the letters stay untouched."""
    repaired = await put(connection, log("a\0b"), reason=Reason.NUL, outcome="repaired")
    rejected = await put(connection, log(), "traces", reason="wrong_signal", outcome="rejected")
    foreign = await put(connection, log(), "profiles")
    before = await letters(connection)

    results = await replay(database_settings, Selection())

    assert [(result.letter, result.end) for result in results] == [
        (letter, End.SKIPPED) for letter in (repaired, rejected, foreign)
    ]
    assert ["purge it" in results[0].why, "--as" in results[1].why] == [True, True]
    assert await letters(connection) == before


async def rejected_logs(connection: Connection, received_at: int = NOW) -> bytes:
    """Put logs that came to the door of traces; return the body."""
    base_ns = (received_at + PG_EPOCH_UNIX_US) * 1000
    payload = request_of(Signal.LOGS, items=5, base_unix_nano=base_ns).SerializeToString()
    await put(
        connection,
        payload,
        Signal.TRACES,
        received_at=received_at,
        reason=Reason.WRONG_SIGNAL,
        outcome="rejected",
    )
    return payload


async def test_a_rejected_body_is_stored_as_what_it_is(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """With --as logs; the same bytes at the right door are a duplicate afterwards."""
    payload = await rejected_logs(connection)

    [result] = await replay(database_settings, REJECTED, as_signal=Signal.LOGS)
    later = (
        await write_batch(
            connection, [convert_now(Signal.LOGS, payload)], context(database_settings)
        )
    ).stored

    assert (result.end, result.items, later) == (End.STORED, 5, [False])
    assert await count(connection, "logs") == 5
    assert await count(connection, "dead_letters") == 0


async def test_an_old_rejected_body_is_remembered_from_its_replay_on(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The ledger's window begins when it was stored, not days ago when it came to the wrong door."""
    payload = await rejected_logs(connection, received_at=NOW - 3 * DAY_US)
    await replay(database_settings, REJECTED, as_signal=Signal.LOGS)
    database = Database(database_settings)

    await LedgerRetirement(24, database, SystemClock(), probe=Probe()).retire()

    await database.stop()
    assert (
        await write_batch(
            connection, [convert_now(Signal.LOGS, payload)], context(database_settings)
        )
    ).stored == [False]


async def test_a_rejected_body_that_came_again_to_the_right_door_is_a_duplicate(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """It is stored already; the letter goes."""
    await make_leaves(database_settings)
    payload = await rejected_logs(connection)
    await write_batch(connection, [convert_now(Signal.LOGS, payload)], context(database_settings))

    [result] = await replay(database_settings, REJECTED, as_signal=Signal.LOGS)

    assert result.end is End.DUPLICATE
    assert await count(connection, "logs") == 5
    assert await count(connection, "dead_letters") == 0


@pytest.mark.parametrize("as_signal", [Signal.TRACES, Signal.METRICS])
async def test_a_rejected_body_is_kept_when_it_is_replayed_as_what_it_is_not(
    database_settings: DatabaseSettings, connection: Connection, as_signal: Signal
) -> None:
    """The whole body stays one letter, so that another --as may follow."""
    payload = await rejected_logs(connection)

    [result] = await replay(database_settings, REJECTED, as_signal=as_signal)

    assert result.end is End.KEPT
    assert await letters(connection) == [("traces", "wrong_signal", "rejected", 1, payload)]


# -- who may -------------------------------------------------------------------------------------


async def test_ingest_may_replay_and_read_may_not(
    database_settings: DatabaseSettings, connection: Connection
) -> None:
    """The rights of ``otlpg_ingest`` suffice; a reader is told what it lacks."""
    await migrate.up(connection, roles=True)
    await put(connection, log())
    database = await connection.fetchval("SELECT current_database()")
    users: dict[str, DatabaseSettings] = {}
    for role in ("otlpg_ingest", "otlpg_read"):
        await connection.execute(f"CREATE ROLE {role}_{database} LOGIN IN ROLE {role}")
        users[role] = as_user(database_settings, f"{role}_{database}")

    lacking = pytest.raises(CommandError, match="otlpg_ingest or the owner")
    with lacking, explained("replay dead letters"):
        await replay(users["otlpg_read"])
    [result] = await replay(users["otlpg_ingest"])
    for role in users:
        await connection.execute(f"DROP ROLE {role}_{database}")

    assert result.end is End.STORED
