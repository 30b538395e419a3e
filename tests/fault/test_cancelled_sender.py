"""Senders leave at every stage of their request: nothing stored twice, no slot kept, books right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import pytest

from collector.app import Daemon
from collector.rows import Signal
from collector.settings import (
    ConvertSettings,
    DatabaseSettings,
    IngestSettings,
    ReceiveSettings,
    Settings,
)
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.e2e import daemon as real
from tests.fault.leaving import Leaver, Protocol
from tests.fault.oracle import judge, unbalanced
from tests.fault.records import Record, requests
from tests.fault.sender import Line, RecordingSender, attempt, connect_to
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again, stored_items

SLOTS = 4
NOTICED_S_MAX = 10.0
POLL_S = 0.01


class Stage(NamedTuple):
    """Where a sender leaves, and what becomes of its request then."""

    share: float  # of the body that was sent
    moment: str  # that the request has reached
    times: int  # by then, counting the one that is in its way
    stored: bool


STAGES = {
    "before the body": Stage(0.0, "receive.slot_taken", 1, stored=False),
    "in the body": Stage(0.5, "receive.slot_taken", 1, stored=False),
    "while converting": Stage(1.0, "receive.slice_converted", 1, stored=False),
    "in the queue": Stage(1.0, "receive.offered", 2, stored=False),
    "in flight": Stage(1.0, "flush.copied", 1, stored=True),
    "after COMMIT": Stage(1.0, "flush.committed", 1, stored=True),
}


@dataclass
class Running:
    """A daemon in this process, whose moments a test can stop at."""

    daemon: Daemon
    probe: TestProbe
    metrics: Metrics
    line: Line

    async def noticed(self, protocol: Protocol, signal: Signal) -> None:
        """Return once the daemon knows that a sender has left."""
        async with asyncio.timeout(NOTICED_S_MAX):
            while (signal, protocol, "CANCELLED") not in self.metrics.requests.values:  # noqa: ASYNC110 -- a counter
                await asyncio.sleep(POLL_S)

    def wrong_books(self) -> list[str]:
        """Return the books that do not balance."""
        books = {str(signal): dict.fromkeys(real.ENDS, 0) for signal in Signal}
        for (signal, end), count in self.metrics.items.values.items():
            books[signal][end] = int(count)
        return unbalanced(books)

    async def all_slots_are_free(self, fresh: Iterator[Record]) -> list[Record]:
        """Return requests that were all in a slot at once, each acknowledged by now."""
        records = [next(fresh) for _ in range(SLOTS)]
        taken = self.probe.counts["receive.slot_taken"]
        self.probe.hold("receive.slot_taken")
        async with asyncio.timeout(NOTICED_S_MAX), asyncio.TaskGroup() as tasks:
            for record in records:
                tasks.create_task(attempt(record, self.line))
            await self.probe.reached("receive.slot_taken", taken + SLOTS)
            self.probe.release("receive.slot_taken")
        return records


@pytest.fixture
async def running(database_settings: DatabaseSettings) -> AsyncGenerator[Running]:
    """A daemon with few slots, short slices and one flusher."""
    probe, metrics = TestProbe(), Metrics()
    settings = Settings(
        receive=ReceiveSettings(grpc_port=0, http_port=0, slots=SLOTS, slots_per_connection=SLOTS),
        convert=ConvertSettings(slice_items=2),
        ingest=IngestSettings(flushers=1),
        database=database_settings,
    )
    daemon = Daemon(settings, clock=SystemClock(), metrics=metrics, probe=probe)
    await daemon.start()
    async with AsyncExitStack() as open_channels:
        channel = await connect_to(open_channels, f"127.0.0.1:{daemon.ports['grpc']}")
        yield Running(daemon, probe, metrics, Line([channel]))
    await daemon.stop()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("name", STAGES)
async def test_who_leaves_is_stored_once_or_not_at_all(
    running: Running, database_settings: DatabaseSettings, protocol: Protocol, name: str
) -> None:
    """What was not in flight is gone, what was is stored; the same bytes again are OK, once."""
    fresh = (each for each in requests(15) if each.signal is Signal.LOGS and len(each.texts()) > 5)
    in_its_way, record = next(fresh), next(fresh)

    await leave_at(STAGES[name], record, in_its_way, running, protocol)
    found = set(await stored_items(database_settings)).intersection(record.texts())
    again = await attempt(record, running.line)
    others = await running.all_slots_are_free(fresh)

    assert bool(found) == STAGES[name].stored
    assert again
    verdict = judge([record, in_its_way, *others], await stored_items(database_settings))
    verdict.unbalanced = running.wrong_books()
    verdict.assert_promises_kept()
    assert verdict.acknowledged >= 1 + SLOTS


async def leave_at(
    stage: Stage, record: Record, in_its_way: Record, running: Running, protocol: Protocol
) -> None:
    """Send, leave at ``stage``, and return once the daemon has done with it what it does."""
    probe = running.probe
    async with asyncio.timeout(NOTICED_S_MAX), asyncio.TaskGroup() as tasks:
        gate = "flush.taken" if stage.times == 2 else stage.moment
        if stage.share == 1:
            probe.hold(gate)
        if stage.times == 2:  # the only flusher is held up by another request
            tasks.create_task(attempt(in_its_way, running.line))
            await probe.reached(gate)
        leaver = await Leaver.call(running.daemon.ports[protocol], protocol, record, stage.share)
        await probe.reached(stage.moment, stage.times)
        await leaver.leave()
        await running.noticed(protocol, record.signal)
        probe.release(gate)
        if stage.stored:
            await probe.reached("flush.settled")


# -- a whole daemon, at any moment ---------------------------------------------------------------

IMPATIENT = 16
CALLS_EACH = 15
CALLS_EACH_OF_LONG_RUN = 150
LONG_RUNS = 4
DEADLINES_S = (0.001, 0.5)
PATIENT_IN_THE_END = 0.5
"""Share of the requests that are sent once more, and then waited for."""


def impatience(calls_each: int) -> Fault:
    """Return the fault that many senders leave at moments drawn from the seed."""

    async def fault(daemon: real.Daemon, sender: RecordingSender, rng: Random) -> None:
        ports: dict[Protocol, int] = {"grpc": daemon.grpc_port, "http": daemon.http_port}
        async with AsyncExitStack() as open_channels, asyncio.TaskGroup() as tasks:
            for _ in range(IMPATIENT):
                line = Line([await connect_to(open_channels, f"127.0.0.1:{daemon.grpc_port}")])
                tasks.create_task(be_impatient(sender, line, ports, rng, calls_each))
        await serves_again(sender)

    return fault


async def be_impatient(
    sender: RecordingSender,
    line: Line,
    ports: dict[Protocol, int],
    rng: Random,
    calls_each: int,
) -> None:
    """Make so many calls one after the other, and leave most of them."""
    for _ in range(calls_each):
        record = sender.new_record()
        wait_s = DEADLINES_S[0] * (DEADLINES_S[1] / DEADLINES_S[0]) ** rng.random()
        match rng.choice(("deadline", "cancel", "grpc", "http")):
            case "deadline":
                await attempt(record, line, timeout_s=wait_s)
            case "cancel":
                await cancel_after(line, record, wait_s)
            case "grpc" | "http" as protocol:
                leaver = await Leaver.call(ports[protocol], protocol, record, rng.random())
                await asyncio.sleep(rng.choice((0, wait_s)))
                await leaver.leave()
        if rng.random() < PATIENT_IN_THE_END:
            await attempt(record, line)


async def cancel_after(line: Line, record: Record, wait_s: float) -> None:
    """Cancel the call when it takes longer."""
    try:
        async with asyncio.timeout(wait_s):
            await attempt(record, line)
    except TimeoutError:
        return


async def test_impatient_senders_lose_and_repeat_nothing(
    database_settings: DatabaseSettings,
) -> None:
    """Deadlines from a millisecond, cancelled calls, connections reset at any byte of the body."""
    verdict = await run_under(impatience(CALLS_EACH), database_settings, seed=16)

    verdict.assert_promises_kept()
    assert verdict.unacknowledged > 0


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(900, 900 + LONG_RUNS))
async def test_thousands_of_impatient_calls_lose_and_repeat_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """The same, 2 400 calls for each of four seeds."""
    verdict = await run_under(impatience(CALLS_EACH_OF_LONG_RUN), durable_database, seed=seed)

    verdict.assert_promises_kept()
