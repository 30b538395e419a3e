"""The flushers: groups, senders that leave, connections that break, leaves that vanish."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from collector.buffer.entry import End, Outcome
from collector.errors import DrainingError
from collector.rows import PG_EPOCH_UNIX_US, Signal
from collector.store.ledger import SENTINEL_DAY
from collector.telemetry.clock import SystemClock
from tests.converted import dimensions as dimensions_of
from tests.converted import log_row, request, resource_row, scope_row, span_row
from tests.db.flushing import HOLD_S, flushing
from tests.db.writing import NOW, count, rows_of
from tests.fault.proxy import COMMIT_FAULTS, Fault, wire_to

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

DURING = [
    "flush.taken",
    "flush.begun",
    "flush.copied",
    "flush.claimed",
    "flush.before_commit",
    "flush.committed",
    "flush.settled",
]
"""Every moment of a flush, in order."""

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flusher'"


@pytest.fixture
async def settings(settings: DatabaseSettings) -> DatabaseSettings:
    """A database with leaves around now, and a name by which its flushers can be told."""
    return settings.model_copy(update={"app_name": "flusher"})


def spans(name: str, number: int = 3, *, trace: str | None = None) -> ConvertedRequest:
    """Return a request with spans of one trace."""
    rows = [span_row(n, time=NOW + n, trace=trace or name, root=n == 0) for n in range(number)]
    return request(name, signal=Signal.TRACES, rows=rows)


def logs(name: str, number: int = 3, *, time: int = NOW) -> ConvertedRequest:
    """Return a request with log records."""
    return request(name, rows=[log_row(time=time + n, body=f"{name} {n}") for n in range(number)])


async def test_idle_daemon_commits_one_request_at_once(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Nothing else has to come: the sender hears once its rows are committed."""
    async with flushing(settings) as stand:
        assert await stand.send(logs("a")) is Outcome.STORED
        assert await count(connection, "logs") == 3
        assert await stand.send(logs("a")) is Outcome.DUPLICATE

        stand.check_books()
        assert stand.books[End.STORED] == stand.books[End.DUPLICATE] == 3
        assert stand.metrics.store_up.values == {(): 1}


async def test_what_waits_is_committed_as_one_group(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Requests that came while a flush ran share the next transaction."""
    async with flushing(settings) as stand:
        stand.probe.hold("flush.before_commit")
        first = stand.send(logs("first"))
        await stand.probe.reached("flush.before_commit")
        others = [stand.send(logs(f"other {n}")) for n in range(20)]
        stand.probe.release("flush.before_commit")

        assert set(await asyncio.gather(first, *others)) == {Outcome.STORED}
        assert stand.probe.counts["flush.committed"] == 2
        assert await count(connection, "logs") == 63


async def test_small_group_waits_for_company_when_many_are_here(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Four requests at once never wait; from five on, what is here first becomes one group."""
    async with flushing(settings) as stand:
        few = [stand.send(logs(f"few {n}")) for n in range(4)]
        assert set(await asyncio.gather(*few)) == {Outcome.STORED}
        assert stand.probe.counts["flush.gathering"] == 0

        stand.probe.hold("flush.before_commit")
        many = [stand.send(logs(f"many {n}")) for n in range(2)]
        await stand.probe.reached("flush.before_commit", 2)
        many += [stand.send(logs(f"more {n}")) for n in range(5)]
        stand.probe.hold("flush.gathering")
        stand.probe.release("flush.before_commit")
        await stand.probe.reached("flush.gathering")
        many += [stand.send(logs("last"))]
        stand.probe.release("flush.gathering")

        assert set(await asyncio.gather(*many)) == {Outcome.STORED}
        assert stand.probe.counts["flush.committed"] == 3
        assert await count(connection, "logs") == 36


async def test_drain_waits_for_no_company(settings: DatabaseSettings) -> None:
    """Once the queue is closed nobody else can come, so a small group goes at once."""
    async with flushing(settings) as stand:
        stand.probe.hold("flush.before_commit")
        senders = [stand.send(logs("first"))]
        await stand.probe.reached("flush.before_commit")
        senders += [stand.send(logs(f"other {n}")) for n in range(6)]
        draining = asyncio.create_task(stand.flushers.drain(HOLD_S))
        await asyncio.sleep(0)
        stand.probe.release("flush.before_commit")

        assert await draining
        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        assert stand.probe.counts["flush.gathering"] == 0


@pytest.mark.parametrize("moment", DURING)
async def test_sender_may_leave_at_any_moment(
    settings: DatabaseSettings, connection: Connection, moment: str
) -> None:
    """A cancelled sender stops nothing: what was taken is stored, and the flusher goes on."""
    async with flushing(settings, Signal.TRACES) as stand:
        stand.probe.hold(moment)
        sender = stand.send(spans("a"))
        await stand.probe.reached(moment)
        sender.cancel()
        await asyncio.wait([sender])
        stand.probe.release(moment)

        assert await stand.send(spans("b")) is Outcome.STORED
        assert await stand.send(spans("a")) is Outcome.DUPLICATE
        assert await count(connection, "trace_spans") == 6
        await stand.queue.empty()
        stand.check_books()


@pytest.mark.parametrize("moment", DURING)
async def test_connection_may_break_at_any_moment(
    settings: DatabaseSettings, connection: Connection, moment: str
) -> None:
    """The backend is ended in the middle: everything is stored, exactly once, without a restart."""
    async with flushing(settings, Signal.TRACES) as stand:
        await stand.send(spans("warm"))
        stand.probe.hold(moment)
        sender = stand.send(spans("a"))
        await stand.probe.reached(moment, 2)
        assert await count(connection, f"({KILL}) AS killed") >= 1
        stand.probe.release(moment)

        assert await sender is Outcome.STORED
        assert await stand.send(spans("b")) is Outcome.STORED
        assert await count(connection, "trace_spans") == 9
        assert await rows_of(connection, "SELECT DISTINCT span_count FROM traces") == [(3,)]
        await stand.queue.empty()
        stand.check_books()


@pytest.mark.parametrize("moment", ["flush.begun", "flush.copied", "flush.claimed"])
async def test_worker_that_stood_still_in_a_transaction(
    settings: DatabaseSettings, connection: Connection, moment: str
) -> None:
    """The server ends a transaction that stands idle: no request is to blame, the group goes on."""
    hasty = settings.model_copy(update={"idle_in_transaction_s_max": 0.05})
    async with flushing(hasty) as stand:
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker"))
        await stand.probe.reached("flush.taken")
        senders = [stand.send(logs(f"a {n}")) for n in range(3)]
        stand.probe.hold("flush.settled")
        stand.probe.release("flush.taken")
        await blocker
        stand.probe.hold(moment)
        stand.probe.release("flush.settled")
        await stand.probe.reached(moment, 2)

        while await count(connection, "pg_stat_activity", "application_name = 'flusher'"):
            pass  # until the server has had enough
        stand.probe.release(moment)

        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        assert sum(stand.retries().values()) == 1
        assert stand.probe.counts["flush.committed"] == 2, "the group stayed together"
        assert await count(connection, "logs") == 12


@pytest.mark.parametrize("fault", COMMIT_FAULTS)
async def test_commit_whose_outcome_is_unknown(
    settings: DatabaseSettings, connection: Connection, fault: Fault
) -> None:
    """COMMIT or its answer is lost: the ledger decides, the items are stored once."""
    hasty = settings.model_copy(update={"statement_s_max": 0.2})
    async with wire_to(hasty) as (wire, through), flushing(through, Signal.TRACES) as stand:
        await stand.send(spans("warm"))
        wire.fault = fault

        assert await stand.send(spans("a")) is Outcome.STORED

        assert wire.struck == 1
        assert sum(stand.retries().values()) >= 1
        committed_unheard = fault is not Fault.LOSE_COMMIT
        query = "SELECT max(seen) FROM ingest_ledger"
        assert await rows_of(connection, query) == [(1 + committed_unheard,)]
        assert await count(connection, "trace_spans") == 6
        assert await rows_of(connection, "SELECT DISTINCT span_count FROM traces") == [(3,)]
        assert stand.books[End.STORED] == 6
        stand.check_books()


async def test_group_waits_as_one_for_its_own_commit(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Its COMMIT goes on after the connection broke, and holds its claims: nobody is guilty."""
    hasty = settings.model_copy(update={"lock_s_max": 0.1})
    await slow_commits(connection)
    async with wire_to(hasty) as (wire, through), flushing(through) as stand, asyncio.timeout(20):
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker"))
        await stand.probe.reached("flush.taken")
        senders = [stand.send(logs(f"a {n}")) for n in range(5)]
        stand.probe.hold("flush.settled")
        stand.probe.release("flush.taken")
        await blocker
        await connection.execute("SELECT pg_advisory_lock(1)")  # no COMMIT comes to its end
        wire.fault = Fault.BREAK_IN_COMMIT
        stand.probe.release("flush.settled")

        await stand.probe.reached("flush.failed", 3)
        assert not any(sender.done() for sender in senders)
        assert stand.retries()["55P03"] >= 2
        await connection.execute("SELECT pg_advisory_unlock(1)")

        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        assert stand.probe.counts["flush.straggler_failed"] == 0
        assert stand.probe.counts["flush.committed"] == 2, "the group stayed together"
        assert await count(connection, "logs") == 18
        stand.check_books()


async def slow_commits(connection: Connection) -> None:
    """Let every COMMIT of log records wait while somebody holds advisory lock 1."""
    await connection.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM set_config('lock_timeout', '0', true);"
        " PERFORM pg_advisory_xact_lock_shared(1);"
        " RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON logs"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
    )


async def test_duplicate_in_a_group_of_unknown_outcome_stays_a_duplicate(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """After a lost answer what the group itself stored counts as stored, and nothing else does."""
    async with wire_to(settings) as (wire, through), flushing(through) as stand:
        await stand.send(logs("known"))
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker"))
        await stand.probe.reached("flush.taken", 2)
        senders = [stand.send(logs("known")), stand.send(logs("new"))]
        stand.probe.release("flush.taken")
        await blocker
        wire.fault = Fault.LOSE_REPLY

        assert await asyncio.gather(*senders) == [Outcome.DUPLICATE, Outcome.STORED]

        assert wire.struck == 1
        assert await count(connection, "logs") == 9


async def test_leaf_that_vanished_is_made_again(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Somebody dropped a leaf that was believed to exist: the flush runs again, nothing is lost."""
    async with flushing(settings) as stand:
        await stand.send(logs("a"))
        for (leaf,) in await rows_of(
            connection, "SELECT leaf FROM otlpg_leaves() WHERE parent = 'logs'"
        ):
            await connection.execute(f"DROP TABLE {leaf}")

        assert await stand.send(logs("b")) is Outcome.STORED

        assert stand.retries() == {"23514": 1}
        assert await count(connection, "logs") == 3


async def test_late_items_get_their_leaves_on_demand(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Rows of last week are stored, with their trace's day; so is their ledger's day."""
    week_us = 7 * 86_400_000_000
    rows = [span_row(n, time=NOW - n * week_us, trace="a") for n in range(3)]
    async with flushing(settings, Signal.TRACES) as stand:
        sender = stand.send(request("a", signal=Signal.TRACES, rows=rows))

        assert await sender is Outcome.STORED

    assert await rows_of(connection, "SELECT span_count FROM traces") == [(1,)] * 3


async def test_day_outside_the_retention_uses_the_sentinel(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A request whose day has no leaf is recognised all the same."""
    one = logs("a")
    one.day = SENTINEL_DAY.replace(year=1999)
    async with flushing(settings) as stand:
        assert await stand.send(one) is Outcome.STORED
        assert await stand.send(one) is Outcome.DUPLICATE

    assert await rows_of(connection, "SELECT day, seen FROM ingest_ledger") == [(SENTINEL_DAY, 2)]


async def test_only_the_request_that_waits_for_a_lock_waits(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A peer hangs on one ledger row: the group's other requests are committed meanwhile."""
    hasty = settings.model_copy(update={"lock_s_max": 0.1})
    guilty = logs("guilty")
    await lock_in_ledger(connection, guilty)
    async with flushing(hasty) as stand:
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker"))
        await stand.probe.reached("flush.taken")
        waiting = stand.send(guilty)
        others = [stand.send(logs(f"other {n}")) for n in range(5)]
        stand.probe.release("flush.taken")

        assert set(await asyncio.gather(blocker, *others)) == {Outcome.STORED}
        await stand.probe.reached("flush.straggler_failed", 2)
        assert not waiting.done()
        assert await stand.send(logs("later")) is Outcome.STORED, "no flusher is stalled"
        assert set(stand.retries()) == {"55P03"}

        await connection.execute("ROLLBACK")
        assert await waiting is Outcome.STORED
        assert await count(connection, "logs") == 24
        stand.check_books()


async def test_straggler_without_senders_is_given_up(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Nobody waits for it: its place is free, it counts as refused, and its retry is stored."""
    hasty = settings.model_copy(update={"lock_s_max": 0.1})
    guilty = logs("guilty")
    await lock_in_ledger(connection, guilty)
    async with flushing(hasty) as stand:
        first = stand.send(guilty)
        second = stand.send(guilty)
        await stand.probe.reached("flush.straggler_failed")
        first.cancel()
        failed = stand.probe.counts["flush.straggler_failed"]
        await stand.probe.reached("flush.straggler_failed", failed + 2)
        assert not second.done(), "one of them still waits"

        second.cancel()
        async with asyncio.timeout(HOLD_S):
            await stand.queue.empty()

        assert stand.books == {End.REFUSED: 6}
        await connection.execute("ROLLBACK")
        assert await stand.send(guilty) is Outcome.STORED
        stand.check_books()


async def test_sender_that_left_during_a_flush_that_fails(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The others of its group are stored although they are alone too; the guilty one is given up."""
    hasty = settings.model_copy(update={"lock_s_max": 0.1})
    guilty = logs("guilty")
    await lock_in_ledger(connection, guilty)
    async with flushing(hasty) as stand:
        stand.probe.hold("flush.taken")
        blocker = stand.send(logs("blocker"))
        await stand.probe.reached("flush.taken")
        senders = [stand.send(guilty), stand.send(logs("innocent"))]
        stand.probe.release("flush.taken")
        await blocker
        stand.probe.hold("flush.copied")
        await stand.probe.reached("flush.copied", 2)
        for sender in senders:
            sender.cancel()
        await asyncio.wait(senders)
        stand.probe.release("flush.copied")

        async with asyncio.timeout(HOLD_S):
            await stand.queue.empty()

        assert await count(connection, "logs") == 6
        assert stand.books[End.STORED] == 6
        assert stand.books[End.REFUSED] == 3
        stand.check_books()


class WrongClock(SystemClock):
    """Runs, but not where it should."""

    def __init__(self, start: datetime) -> None:
        self.wrong_ns = int(start.timestamp()) * 10**9 - super().unix_ns()

    def unix_ns(self) -> int:
        """Return the wrong time."""
        return super().unix_ns() + self.wrong_ns


@pytest.mark.parametrize("year", [1970, 2554])
async def test_request_taken_while_the_clock_was_wrong(
    settings: DatabaseSettings, connection: Connection, year: int
) -> None:
    """There is no leaf for its time: it costs no other request, and goes when its sender leaves."""
    wrong = datetime(year, 1, 1, 0, 0, 10, tzinfo=UTC)
    clock = WrongClock(wrong)
    time = clock.unix_ns() // 1000 - PG_EPOCH_UNIX_US
    rows = [log_row(time=time + n, body="wrong") for n in range(3)]
    async with flushing(settings, clock=clock) as stand:
        wrong_sender = stand.send(request("wrong", rows=rows, received_at=time))
        await stand.probe.reached("flush.straggler_failed")
        clock.wrong_ns = 0

        assert await stand.send(logs("right")) is Outcome.STORED
        assert stand.metrics.store_up.values == {(): 1}
        assert not wrong_sender.done()

        wrong_sender.cancel()
        async with asyncio.timeout(HOLD_S):
            await stand.queue.empty()
        stand.check_books()
        assert stand.books[End.REFUSED] == 3
        assert await stand.send(logs("wrong")) is Outcome.STORED, "sent again, by the right clock"
    assert await count(connection, "logs") == 6


async def lock_in_ledger(connection: Connection, one: ConvertedRequest) -> None:
    """Claim a request as a peer that hangs before its COMMIT, until ROLLBACK."""
    await connection.execute("BEGIN")
    await connection.execute(
        "INSERT INTO ingest_ledger (day, digest, received_at, items) VALUES ($1, $2, $3, 3)",
        one.day, one.digest, NOW,
    )  # fmt: skip


async def test_role_without_a_privilege_is_no_store(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """The line names table and privilege and helps; once granted, the request is stored."""
    await connection.execute("REVOKE INSERT ON logs FROM CURRENT_USER")
    async with flushing(settings) as stand:
        with capture_logs() as lines:
            sender = stand.send(logs("a"))
            await stand.probe.reached("flush.straggler_failed", 2)
        assert stand.metrics.store_up.values == {(): 0}

        await connection.execute("GRANT INSERT ON logs TO CURRENT_USER")
        assert await sender is Outcome.STORED
        assert stand.metrics.store_up.values == {(): 1}

    (line,) = (line for line in lines if line["event"] == "flush failed")
    assert line["error"] == "InsufficientPrivilegeError (42501): permission denied for table logs"
    assert "otlpg_ingest" in line["hint"]


async def test_giant_request_leaves_a_flusher_for_the_others(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """While a giant is written the small requests pass; it is one transaction all the same."""
    async with flushing(settings, flushers=2, rows_max=100) as stand:
        stand.probe.hold("flush.copied")
        first = stand.send(logs("giant 1", 300))
        await stand.probe.reached("flush.copied")
        second = stand.queue.offer(logs("giant 2", 300))
        small = stand.queue.offer(logs("small"))
        await stand.probe.reached("flush.copied", 2)
        assert small.taken
        assert not second.taken, "the last flusher carries no giant"
        stand.probe.release("flush.copied")

        for entry in (small, second):
            assert await stand.queue.wait(entry, HOLD_S) is Outcome.STORED
        assert await first is Outcome.STORED
        assert await count(connection, "logs") == 603


async def test_giant_in_trouble_lets_the_next_giant_pass(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """A giant that fails alone is in nobody's way: the place for giants is free again."""
    hasty = settings.model_copy(update={"lock_s_max": 0.1})
    guilty = logs("guilty", 300)
    await lock_in_ledger(connection, guilty)
    async with flushing(hasty, flushers=2, rows_max=100) as stand:
        waiting = stand.send(guilty)
        await stand.probe.reached("flush.straggler_failed")

        assert await stand.send(logs("giant", 300)) is Outcome.STORED

        assert not waiting.done()
        await connection.execute("ROLLBACK")
        assert await waiting is Outcome.STORED
        stand.check_books()


async def test_drain_flushes_what_waits_and_ends(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Everything that was accepted is committed; nothing new is; the flushers return."""
    async with flushing(settings) as stand:
        senders = [stand.send(logs(f"a {n}")) for n in range(10)]

        assert await stand.flushers.drain(10) is True

        assert set(await asyncio.gather(*senders)) == {Outcome.STORED}
        assert await count(connection, "logs") == 30
        with pytest.raises(DrainingError):
            stand.send(logs("late"))


async def test_drain_gives_up_at_its_deadline(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """What could not be committed in time is refused; its senders may try elsewhere."""
    async with flushing(settings) as stand:
        stand.probe.hold("flush.before_commit")
        taken, waiting = stand.send(logs("taken")), None
        await stand.probe.reached("flush.before_commit")
        waiting = stand.send(logs("waiting"))

        assert await stand.flushers.drain(0) is False

        for sender in (taken, waiting):
            with pytest.raises(DrainingError):
                await sender
        assert stand.books == {End.REFUSED: 6}
        assert await count(connection, "logs") == 0


async def test_six_writers_with_the_same_traces_and_resources_never_deadlock(
    settings: DatabaseSettings, connection: Connection
) -> None:
    """Six processes, 90 % overlap, opposite orders: nobody waits in a circle, sums are exact."""
    writers, rounds, traces = 6, 12, 40

    def overlapping(writer: int, number: int) -> ConvertedRequest:
        order = range(traces) if writer % 2 else range(traces - 1, -1, -1)
        rows = [
            span_row(
                writer * 1000 + number,
                time=NOW + n,
                trace=f"shared {n}" if n % 10 else f"own {writer} {n}",
                service=f"service {writer}",
            )
            for n in order
        ]
        dims = dimensions_of([resource_row(f"host {number} {n % 7}") for n in order], [scope_row()])
        return request(f"{writer} {number}", signal=Signal.TRACES, rows=rows, dims=dims)

    async def work(writer: int) -> dict[str, float]:
        async with flushing(settings, Signal.TRACES) as stand:
            for number in range(rounds):
                assert await stand.send(overlapping(writer, number)) is Outcome.STORED
            return stand.retries()

    retries = await asyncio.gather(*(work(writer) for writer in range(writers)))

    assert retries == [{}] * writers
    spans_stored = writers * rounds * traces
    assert await count(connection, "trace_spans") == spans_stored
    query = "SELECT sum(span_count)::bigint, count(*) FROM traces"
    assert await rows_of(connection, query) == [(spans_stored, 36 + 4 * writers)]
    query = "SELECT DISTINCT cardinality(services) FROM traces WHERE span_count > 12"
    assert await rows_of(connection, query) == [(writers,)]
    assert await count(connection, "resources") == rounds * 7
