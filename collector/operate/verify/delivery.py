"""One request sent as a proper OTLP sender does it: the same bytes until OK, or its deadline."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from collector.operate.verify.doors import Door
from collector.operate.verify.judge import Told
from collector.operate.verify.options import Options, Protocol
from collector.operate.verify.pause import Pause
from collector.rows import Signal
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import VerifyMetrics

BACKOFF_S_MIN: Final = 0.25
BACKOFF_S_MAX: Final = 5.0
ATTEMPT_S_MIN: Final = 0.05
"""With less than this left of the deadline no further attempt is made."""


class Delivery(NamedTuple):
    """How it went; ``took_s`` is from the first attempt to the last answer."""

    told: Told
    attempts: int
    took_s: float
    code: str
    detail: str


@dataclass(frozen=True)
class Sender:
    """Sends by one protocol.

    Retries wait as long as the daemon asks for, else a growing and jittered time; ``pause`` ends
    them early, when the run is to end.
    """

    protocol: Protocol
    door: Door
    options: Options
    clock: Clock
    rng: Random
    pause: Pause
    metrics: VerifyMetrics

    async def deliver(self, signal: Signal, body: bytes) -> Delivery:
        """Send until OK, until an answer that forbids to try again, or until the deadline."""
        began_s = self.clock.monotonic_s()
        backoff_s = BACKOFF_S_MIN
        attempts = 0
        while True:
            left_s = self.options.deadline_s - (self.clock.monotonic_s() - began_s)
            answer = await self.door.send(signal, body, min(self.options.timeout_s, left_s))
            attempts += 1
            self.metrics.attempts.add(1, self.protocol, answer.code)
            took_s = self.clock.monotonic_s() - began_s
            if answer.outcome == "ok":
                return Delivery("acknowledged", attempts, took_s, answer.code, answer.detail)
            if answer.outcome == "never":
                return Delivery("rejected", attempts, took_s, answer.code, answer.detail)
            wait_s = answer.retry_s
            if wait_s is None:
                wait_s = backoff_s * self.rng.uniform(0.5, 1.0)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            is_over = took_s + wait_s + ATTEMPT_S_MIN > self.options.deadline_s
            if is_over or await self.pause.ended_within(wait_s):
                return Delivery("refused", attempts, took_s, answer.code, answer.detail)
