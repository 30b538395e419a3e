"""The export body between a real queue and a converter that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest
from structlog.testing import capture_logs

from collector.buffer.budget import ByteBudget
from collector.buffer.entry import End, Entry, Outcome
from collector.buffer.queue import BoundedQueue
from collector.convert.request import Converter
from collector.errors import (
    DrainingError,
    HoldExpiredError,
    MalformedCallError,
    NoSlotError,
    QueueFullError,
    ReadTimeoutError,
    UndecodableError,
    WrongSignalError,
)
from collector.receive.export import BYTES_WHILE_CONVERTED, Ack, Export, Transcode
from collector.receive.turns import Turns
from collector.rows import ConvertedRequest, DeadLetterRow, Signal
from collector.settings import ReceiveSettings
from collector.telemetry.clock import SystemClock
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import TestProbe
from tests.converted import log_row, request

WAIT_S = 10.0


class ScriptedConverter(Converter):
    """Converts each body to three log records, or to what the script has for it."""

    def __init__(self) -> None:
        self.script: dict[bytes, ConvertedRequest | Exception] = {}
        self.slices = 1
        self.made_bytes = 0
        self.converted: list[bytes] = []
        self.began = asyncio.Event()

    def steps(
        self, signal: Signal, payload: bytes, *, digest: bytes, now_ns: int
    ) -> Generator[int, None, ConvertedRequest]:
        """Yield between slices, then end as the script says."""
        del now_ns
        self.converted.append(payload)
        self.began.set()
        for _ in range(self.slices - 1):
            yield self.made_bytes
        made = self.script.get(payload) or request(
            payload.decode(), signal=signal, rows=[log_row(time=1)] * 3
        )
        if isinstance(made, Exception):
            raise made
        made.digest = digest
        return made


class Bench:
    """An export body for logs whose flusher is the test itself."""

    def __init__(self, settings: ReceiveSettings, items_max: int = 100) -> None:
        self.metrics = Metrics()
        self.converter = ScriptedConverter()
        self.probe = TestProbe()
        self.budget = ByteBudget(2**20)
        self.queue = BoundedQueue(items_max, self.budget, count=self._count)
        self._export = Export(
            settings=settings,
            converter=self.converter,
            queues={Signal.LOGS: self.queue},
            clock=SystemClock(),
            metrics=self.metrics,
            probe=self.probe,
            turns=Turns(SystemClock()),
        )

    def _count(self, end: End, items: int) -> None:
        if items:
            self.metrics.items.add(items, "logs", end)

    def send(
        self,
        body: bytes,
        *,
        left_s: float | None = 30.0,
        transcode: Transcode | None = None,
        body_bytes_max: int | None = None,
    ) -> asyncio.Task[Ack]:
        """Export ``body`` in a task, as the server does."""

        async def read() -> bytes:
            return body

        return asyncio.create_task(
            self._export.export(
                Signal.LOGS,
                read,
                left_s=left_s,
                transcode=transcode,
                body_bytes_max=body_bytes_max,
            )
        )

    async def take(self) -> list[Entry]:
        """Take what waits, as a flusher does."""
        return await self.queue.take(20_000, 2**20, 1)

    async def commit(self, outcome: Outcome = Outcome.STORED) -> None:
        """Settle the next group."""
        for entry in await self.take():
            self.queue.settle(entry, outcome)

    def books(self) -> dict[str, float]:
        """Return the items by their end."""
        return {labels[1]: value for labels, value in self.metrics.items.values.items()}


@pytest.fixture
def bench() -> Bench:
    """An export body with the default limits."""
    return Bench(ReceiveSettings())


async def test_ok_comes_after_the_commit_and_not_before(bench: Bench) -> None:
    """Taken by a flusher is not yet committed."""
    call = bench.send(b"a")
    (entry,) = await bench.take()
    await asyncio.sleep(0)
    assert not call.done()

    bench.queue.settle(entry, Outcome.STORED)

    assert await call == Ack()
    assert bench.books() == {"received": 3, "stored": 3}


@pytest.mark.parametrize("body", [b"", b"nothing but frames"], ids=["no bytes", "no items"])
async def test_an_empty_request_is_ok_at_once(bench: Bench, body: bytes) -> None:
    """Nothing reaches the queue: PostgreSQL may be away."""
    bench.converter.script[body] = request()

    assert await bench.send(body) == Ack()
    assert bench.queue.items == 0
    assert bench.books() == {}


async def test_the_same_bytes_in_flight_are_converted_and_stored_once(bench: Bench) -> None:
    """A retry that comes while the first try is still held gets the same answer."""
    first = bench.send(b"a")
    await bench.probe.reached("receive.offered")
    second = bench.send(b"a")
    await bench.probe.reached("receive.offered", 2)

    await bench.commit()

    assert (await first, await second) == (Ack(), Ack())
    assert bench.converter.converted == [b"a"]
    assert bench.books() == {"received": 6, "stored": 3, "duplicate": 3}


async def test_the_same_bytes_converted_at_the_same_time_join_in_the_queue(bench: Bench) -> None:
    """Two conversions overlap; the second offer finds the first one's entry."""
    bench.converter.slices = 3
    calls = [bench.send(b"a"), bench.send(b"a")]
    await bench.probe.reached("receive.offered", 2)

    await bench.commit()
    await asyncio.gather(*calls)

    assert len(bench.converter.converted) == 2
    assert bench.books() == {"received": 6, "stored": 3, "duplicate": 3}


async def test_other_calls_have_their_turn_between_two_slices(bench: Bench) -> None:
    """A request of many slices does not keep a small one waiting."""
    bench.converter.slices = 1000
    large = bench.send(b"large")
    await bench.probe.reached("receive.slot_taken")
    bench.converter.slices = 1
    bench.send(b"small").add_done_callback(lambda _: None)

    (entry,) = await bench.take()

    assert entry.request.payload == b"small"
    bench.queue.settle(entry, Outcome.STORED)
    await bench.commit()
    await large


async def test_the_hold_ends_before_the_deadline_and_the_entry_leaves(bench: Bench) -> None:
    """PostgreSQL is away: 0.85 of the deadline, then "again", and the books say refused."""
    with pytest.raises(HoldExpiredError) as caught:
        await bench.send(b"a", left_s=0.2)

    assert 0.1 < caught.value.held_s < 0.2
    assert bench.queue.items == 0
    assert bench.books() == {"received": 3, "refused": 3}


async def test_a_sender_that_leaves_takes_what_no_flusher_has(bench: Bench) -> None:
    """Cancelled while it waits in the queue: removed, refused."""
    call = bench.send(b"a")
    await bench.probe.reached("receive.offered")

    call.cancel()
    await asyncio.wait((call,))

    assert bench.queue.items == 0
    assert bench.books() == {"received": 3, "refused": 3}


async def test_what_is_in_flight_is_stored_though_its_sender_left(bench: Bench) -> None:
    """The transaction cannot be taken back, so the books say stored."""
    call = bench.send(b"a")
    (entry,) = await bench.take()

    call.cancel()
    await asyncio.wait((call,))
    bench.queue.settle(entry, Outcome.STORED)

    assert bench.books() == {"received": 3, "stored": 3}


async def test_a_full_queue_refuses_and_the_books_balance() -> None:
    """Nothing was taken, nothing was dropped; the items are counted as refused."""
    bench = Bench(ReceiveSettings(), items_max=4)
    first = bench.send(b"a")
    await bench.probe.reached("receive.offered")

    with pytest.raises(QueueFullError):
        await bench.send(b"b")

    await bench.commit()
    await first
    assert bench.books() == {"received": 6, "stored": 3, "refused": 3}


async def test_a_closed_queue_refuses_before_anything_is_converted(bench: Bench) -> None:
    """What is refused undecoded is counted in requests, for nobody knows its items."""
    bench.queue.close()

    with pytest.raises(DrainingError):
        await bench.send(b"a")

    assert bench.converter.converted == []
    assert bench.books() == {}


async def test_a_queue_that_closes_during_a_conversion_refuses(bench: Bench) -> None:
    """What is decoded in the middle of a drain is counted as well."""
    bench.converter.slices = 2
    call = bench.send(b"a")
    await bench.converter.began.wait()
    bench.queue.close()

    with pytest.raises(DrainingError):
        await call

    assert bench.books() == {"received": 3, "refused": 3}


async def test_what_finds_no_room_is_refused_unconverted(bench: Bench) -> None:
    """An overloaded daemon spends nothing on requests that it cannot take."""
    nearly_all, kept_for_small = bench.budget.bytes_max - 10, bench.budget.bytes_max // 8

    with (
        bench.queue.reserve(nearly_all),
        bench.queue.reserve(kept_for_small),
        pytest.raises(QueueFullError),
    ):
        await bench.send(b"abc")

    assert bench.converter.converted == []
    call = bench.send(b"abc")
    await bench.commit()
    assert await call == Ack()


async def test_a_body_under_conversion_counts_for_the_budget(bench: Bench) -> None:
    """Many conversions at once hold no more than the budget, and leave nothing charged."""
    bench.converter.slices = 3
    bench.converter.script[b"a"] = UndecodableError(Signal.LOGS)
    call = bench.send(b"a")
    await bench.converter.began.wait()
    assert bench.budget.used == BYTES_WHILE_CONVERTED

    with pytest.raises(UndecodableError):
        await call

    assert bench.budget.used == 0


async def test_a_conversion_is_refused_where_it_becomes_more_than_fits(bench: Bench) -> None:
    """In the middle, retryably, and leaves nothing charged."""
    bench.converter.slices, bench.converter.made_bytes = 1_000, bench.budget.bytes_max
    with bench.queue.reserve(bench.budget.bytes_max // 2 + 1), pytest.raises(QueueFullError):
        await bench.send(b"a")

    assert bench.probe.counts["receive.slice_converted"] == 0
    assert bench.budget.used == 0


async def test_a_conversion_may_become_more_than_the_budget_alone(bench: Bench) -> None:
    """What is charged for follows what it has become, until it is in the queue."""
    bench.converter.slices, bench.converter.made_bytes = 3, 2 * bench.budget.bytes_max
    call = bench.send(b"a")
    await bench.probe.reached("receive.slice_converted")
    assert bench.budget.used == 2 * bench.budget.bytes_max

    await bench.commit()

    assert await call == Ack()
    assert bench.budget.used == 0


async def test_a_conversion_that_outlasts_the_hold_is_given_up(bench: Bench) -> None:
    """Its sender hears of it in time, and nothing of it stays charged."""
    bench.converter.slices = 1_000_000

    with pytest.raises(HoldExpiredError):
        await bench.send(b"a", left_s=0.05)

    assert bench.budget.used == 0
    assert bench.books() == {}


async def test_a_held_call_has_given_its_slot_back() -> None:
    """One slot, PostgreSQL away, and still every call reaches the queue."""
    bench = Bench(ReceiveSettings(slots=1, slot_wait_s_max=0.01))

    calls = [bench.send(b"a"), bench.send(b"b"), bench.send(b"c")]
    await bench.probe.reached("receive.offered", 3)

    await bench.commit()
    assert await asyncio.gather(*calls) == [Ack(), Ack(), Ack()]


async def wait_for_others(_body: bytes) -> bytes:
    """Transcode nothing, as behind many large documents."""
    await asyncio.Event().wait()
    return b""


async def test_bodies_to_transcode_leave_half_of_the_slots_to_others() -> None:
    """Sixteen that wait for one another, and still the call of another sender is served."""
    bench = Bench(ReceiveSettings(slot_wait_s_max=60.0))
    waiting = [bench.send(b"{}", transcode=wait_for_others) for _ in range(16)]
    await bench.probe.reached("receive.transcoding", 8)

    other = bench.send(b"a", left_s=5.0)
    await asyncio.wait_for(bench.commit(), WAIT_S)

    assert await other == Ack()
    assert bench.probe.counts["receive.transcoding"] == 8
    for call in waiting:
        call.cancel()
    await asyncio.wait(waiting)


async def test_a_body_to_transcode_holds_no_more_room_than_it_has_bytes() -> None:
    """What it might have become is free while it waits for its turn."""
    limits = ReceiveSettings(
        request_bytes_max=2**20, json_bytes_max=2**20, bodies_bytes_max=2**20 + 2
    )
    bench = Bench(limits)
    waiting = bench.send(b"{}", transcode=wait_for_others)
    await bench.probe.reached("receive.transcoding")

    other = bench.send(b"a", left_s=5.0)
    await asyncio.wait_for(bench.commit(), WAIT_S)

    assert await other == Ack()
    waiting.cancel()
    await asyncio.wait((waiting,))


async def test_the_hold_ends_for_what_waits_to_be_transcoded_too(bench: Bench) -> None:
    """Its sender is told in time to come again."""
    with pytest.raises(HoldExpiredError):
        await asyncio.wait_for(bench.send(b"{}", left_s=0.05, transcode=wait_for_others), WAIT_S)


async def test_no_slot_is_refused_before_the_body_is_read() -> None:
    """The reader of the second call is never asked."""
    bench = Bench(ReceiveSettings(slots=1, slot_wait_s_max=0.01))
    bench.probe.hold("receive.slot_taken")
    first = bench.send(b"a")
    await bench.probe.reached("receive.slot_taken")

    with pytest.raises(NoSlotError):
        await bench.send(b"b")

    assert bench.converter.converted == []
    assert bench.books() == {}
    bench.probe.release("receive.slot_taken")
    await bench.commit()
    await first


async def test_a_body_that_does_not_arrive_is_refused_in_time() -> None:
    """Within read_s_max, or earlier when the sender waits less; its slot is free again."""
    bench = Bench(ReceiveSettings(slots=1, read_s_max=0.05))
    never = asyncio.Event()

    async def read() -> bytes:
        await never.wait()
        return b""

    for left_s in (30.0, 0.01):
        with pytest.raises(ReadTimeoutError):
            await bench._export.export(Signal.LOGS, read, left_s=left_s)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "error", [UndecodableError("logs"), MalformedCallError("two")], ids=lambda e: type(e).__name__
)
async def test_what_cannot_be_decoded_is_not_in_the_books(bench: Bench, error: Exception) -> None:
    """Nobody knows how many items it holds; it is counted as a request."""
    bench.converter.script[b"junk"] = error

    with pytest.raises(type(error)):
        await bench.send(b"junk")

    assert bench.books() == {}
    assert bench.queue.items == 0


def letter(outcome: str, reason: str) -> DeadLetterRow:
    """Return a dead letter as the converter makes it."""
    return DeadLetterRow("logs", 0, reason, outcome, b"...")


async def test_quarantined_items_are_ok_with_a_message(bench: Bench) -> None:
    """The reasons are our own codes; nothing is rejected, so nobody sends again."""
    bench.converter.script[b"a"] = request(
        rows=[log_row(time=1)],
        quarantined=2,
        dead_letters=[letter("quarantined", "too_deep"), letter("quarantined", "undecodable")],
    )

    with capture_logs() as logged:
        call = bench.send(b"a")
        await bench.commit()
        ack = await call

    (line,) = logged
    assert (line["event"], line["cause"]) == ("items quarantined", "too_deep, undecodable")
    assert (line["items"], line["of_items"], line["example"]) == (2, 3, "0x2e2e2e")
    assert ack.rejected == 0
    assert "kept in dead_letters only: 2 of 3 items (too_deep, undecodable)" in ack.message
    assert bench.books() == {"received": 3, "stored": 1, "quarantined": 2}


async def test_rejected_items_are_told_by_their_number(bench: Bench) -> None:
    """The sender's own drop counter can be right."""
    bench.converter.script[b"a"] = request(
        rows=[log_row(time=1)], rejected=1, dead_letters=[letter("rejected", "undecodable")]
    )

    call = bench.send(b"a")
    await bench.commit()
    ack = await call

    assert ack.rejected == 1
    assert "cannot be stored: 1 of 2 items (undecodable)" in ack.message


async def test_a_duplicate_is_plain_ok(bench: Bench) -> None:
    """Its first sender was told about the quarantined items."""
    bench.converter.script[b"a"] = request(
        quarantined=1, dead_letters=[letter("quarantined", "too_deep")]
    )

    call = bench.send(b"a")
    await bench.commit(Outcome.DUPLICATE)

    assert await call == Ack()
    assert bench.books() == {"received": 1, "duplicate": 1}


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_the_wrong_signal_is_kept_and_then_rejected(bench: Bench, outcome: Outcome) -> None:
    """The bytes are committed before the sender hears INVALID_ARGUMENT, the second time as well."""
    made = request(rejected=2, dead_letters=[letter("rejected", "wrong_signal")])
    made.wrong_signal = True
    bench.converter.script[b"a"] = made

    call = bench.send(b"a")
    (entry,) = await bench.take()
    assert not call.done()
    bench.queue.settle(entry, outcome)

    with pytest.raises(WrongSignalError, match="none of the 2 items"):
        await call


async def test_the_time_from_body_to_ack_is_measured(bench: Bench) -> None:
    """Once per committed request, and not for a refused one."""
    call = bench.send(b"a")
    await bench.commit()
    await call
    with pytest.raises(HoldExpiredError):
        await bench.send(b"b", left_s=0.01)

    assert sum(bench.metrics.ack_seconds.values[("logs",)][:-1]) == 1
    assert sum(bench.metrics.convert_seconds.values[("logs",)][:-1]) == 2
