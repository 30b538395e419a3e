"""How a request of `otlpg verify` is delivered: the same bytes, again and again, until a deadline."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from random import Random

from collector.operate.verify.delivery import ATTEMPT_S_MIN, BACKOFF_S_MAX, Delivery, Sender
from collector.operate.verify.doors import OK, Answer
from collector.operate.verify.options import Options, Protocol
from collector.operate.verify.pause import Pause
from collector.restore.equality import ExportRequest
from collector.rows import Signal
from collector.telemetry.metrics import VerifyMetrics
from tests.clocks import HandClock

AWAY = Answer("retry", "UNAVAILABLE")
TAKEN = Answer("ok", OK)
DEADLINE_S, TIMEOUT_S = 30.0, 10.0


class ScriptedDoor:
    """Answers what it was told to, the last answer for ever; each attempt takes ``takes_s``."""

    def __init__(self, clock: HandClock, answers: Iterable[Answer], takes_s: float) -> None:
        self._clock, self._answers, self._takes_s = clock, list(answers), takes_s
        self.bodies: list[bytes] = []
        self.timeouts_s: list[float] = []

    def encode(self, request: ExportRequest) -> bytes:
        """Return the message; nothing here asks for it."""
        return request.SerializeToString()

    async def send(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:  # noqa: ARG002 -- as Door
        """Answer, and let time pass."""
        self.bodies.append(body)
        self.timeouts_s.append(timeout_s)
        self._clock.move(timedelta(seconds=min(self._takes_s, timeout_s)))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def close(self) -> None:
        """Do nothing."""


class HandPause(Pause):
    """Waits by moving the clock."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits_s: list[float] = []

    async def ended_within(self, seconds: float) -> bool:
        """Be there at once, unless the end came before."""
        if not self.ended:
            self.waits_s.append(seconds)
            self._clock.move(timedelta(seconds=seconds))
        return self.ended


class Delivering:
    """A sender with its door, its pause and its counters."""

    def __init__(self, *answers: Answer, takes_s: float = 0.0) -> None:
        clock = HandClock()
        self.door = ScriptedDoor(clock, answers, takes_s)
        self.pause = HandPause(clock)
        self.metrics = VerifyMetrics()
        self._sender = Sender(
            protocol=Protocol.GRPC,
            door=self.door,
            options=Options(
                grpc_endpoint="", http_endpoint="", instance="",
                deadline_s=DEADLINE_S, timeout_s=TIMEOUT_S,
            ),
            clock=clock,
            rng=Random(1),
            pause=self.pause,
            metrics=self.metrics,
        )  # fmt: skip

    async def deliver(self) -> Delivery:
        """Deliver some bytes."""
        return await self._sender.deliver(Signal.LOGS, b"the bytes")


async def test_the_same_bytes_are_sent_until_ok() -> None:
    """Each attempt is counted by its answer; the time is that from the first to the last."""
    delivering = Delivering(AWAY, AWAY, TAKEN, takes_s=1)

    delivery = await delivering.deliver()

    assert (delivery.told, delivery.attempts, delivery.code) == ("acknowledged", 3, OK)
    assert delivering.door.bodies == [b"the bytes"] * 3
    assert round(delivery.took_s - 3, 3) == round(sum(delivering.pause.waits_s), 3)
    assert delivering.metrics.attempts.values == {
        (Protocol.GRPC, "UNAVAILABLE"): 2,
        (Protocol.GRPC, OK): 1,
    }


async def test_what_is_refused_for_good_is_not_sent_again() -> None:
    """Its code and words go into the log."""
    delivering = Delivering(Answer("never", "UNAUTHENTICATED", "unknown key"))

    delivery = await delivering.deliver()

    assert (delivery.told, delivery.attempts) == ("rejected", 1)
    assert (delivery.code, delivery.detail) == ("UNAUTHENTICATED", "unknown key")


async def test_it_gives_up_at_its_deadline() -> None:
    """No attempt may last longer than what is left, and none begins with next to nothing left."""
    delivering = Delivering(AWAY, takes_s=TIMEOUT_S)

    delivery = await delivering.deliver()

    assert delivery.told == "refused"
    assert delivery.took_s <= DEADLINE_S
    assert max(delivering.door.timeouts_s) == TIMEOUT_S
    assert ATTEMPT_S_MIN <= delivering.door.timeouts_s[-1] < TIMEOUT_S


async def test_it_comes_again_when_the_daemon_says() -> None:
    """To the moment, without jitter."""
    delivering = Delivering(AWAY._replace(retry_s=1.6), AWAY._replace(retry_s=0.0), TAKEN)

    await delivering.deliver()

    assert delivering.pause.waits_s == [1.6, 0.0]


async def test_it_does_not_wait_for_what_lies_beyond_the_deadline() -> None:
    """Asked to come again in a minute, it says at once that it was refused."""
    delivering = Delivering(AWAY._replace(retry_s=60))

    delivery = await delivering.deliver()

    assert (delivery.told, delivery.attempts, delivering.pause.waits_s) == ("refused", 1, [])


async def test_unasked_it_waits_longer_each_time_within_a_bound() -> None:
    """Half of the pause at least, and never more than the longest one."""
    delivering = Delivering(AWAY)

    await delivering.deliver()

    waits_s = delivering.pause.waits_s
    for number, wait_s in enumerate(waits_s):
        pause_s = min(0.25 * 2**number, BACKOFF_S_MAX)
        assert pause_s / 2 <= wait_s <= pause_s
    assert len(waits_s) > 6


async def test_the_end_of_the_run_ends_the_waiting() -> None:
    """One attempt is made all the same: what was begun is not lost without a word."""
    delivering = Delivering(AWAY)
    delivering.pause.end()

    delivery = await delivering.deliver()

    assert (delivery.told, delivery.attempts) == ("refused", 1)
