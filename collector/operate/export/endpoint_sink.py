"""An export into another OTLP receiver: each request until it is taken, as a proper sender does it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from collector.errors import CommandError, UnreachableError
from collector.operate.export.read import Part
from collector.operate.verify.doors import PARTIAL, Answer, Door
from collector.telemetry.clock import Clock

ATTEMPT_S_MAX: Final = 30.0
RETRY_S_MAX: Final = 300.0
"""For one request with all its attempts."""
BACKOFF_S_MIN: Final = 0.5
BACKOFF_S_MAX: Final = 15.0

LARGE_BYTES_MIN: Final = 2**20
"""No receiver finds one item smaller than that too large: gRPC takes four times as much by itself."""

_TOO_LARGE: Final = frozenset({"RESOURCE_EXHAUSTED", "413"})
"""Not to be tried again as it is; its halves may do."""
_SAYS_SIZE: Final = frozenset({"413"})
"""The other one is said by whoever has enough of us, too."""


class EndpointSink:
    """Sends requests one after the other.

    Attributes:
        bytes: of bodies that were taken.
    """

    def __init__(
        self, door: Door, *, clock: Clock, rng: Random, retry_s_max: float = RETRY_S_MAX
    ) -> None:
        self._door = door
        self._clock = clock
        self._rng = rng
        self._retry_s_max = retry_s_max
        self.bytes = 0
        self._partial = 0
        self._partial_reason = ""
        self._too_large = 0
        self._too_large_reason = ""

    @property
    def complaint(self) -> str:
        """What the receiver left out for good; empty where it took everything."""
        return "; ".join(
            f"{count:,} {what}, the last one since: {reason or 'the receiver does not say'}"
            for count, what, reason in (
                (self._partial, "requests were not taken whole", self._partial_reason),
                (self._too_large, "items are too large for the receiver", self._too_large_reason),
            )
            if count
        )

    async def take(self, part: Part) -> int:
        """Send a request until it is taken; one that is too large for the receiver goes in halves.

        A single item that is too large is left out, and told at the end: it would be so at every try,
        and nothing behind it would ever leave. One that is refused in the same words and is small
        meets a quota, as all after it would.

        Returns:
            How many items were taken.

        Raises:
            UnreachableError: the receiver did not take it within the time for all its attempts.
            CommandError: the receiver will never take it.
        """
        body = self._door.encode(part.request)
        answer = await self._deliver(part, body)
        if answer.code in _TOO_LARGE and answer.outcome == "never":
            if len(part.rows) > 1:
                return sum([await self.take(half) for half in part.halves()])
            if answer.code in _SAYS_SIZE or len(body) >= LARGE_BYTES_MIN:
                self._too_large += 1
                self._too_large_reason = _words(answer)
                return 0
        if answer.code == PARTIAL:
            self._partial += 1
            self._partial_reason = answer.detail
        elif answer.outcome == "never":
            raise CommandError(f"the receiver refused {part.signal}: {_words(answer)}")
        elif answer.outcome == "retry":
            raise UnreachableError(f"the receiver did not take {part.signal}: {_words(answer)}")
        self.bytes += len(body)
        return len(part.rows)

    async def finish(self) -> None:
        """Give up the connection."""
        await self._door.close()

    async def abandon(self) -> None:
        """Give up the connection. Safe after ``finish``."""
        await self._door.close()

    async def _deliver(self, part: Part, body: bytes) -> Answer:
        """Return the answer that ends it: OK, never, or one to be tried again when the time is up.

        Spec: opentelemetry-specification protocol/otlp.md, "Failures" and "Retryable Response
        Codes": it waits as long as the receiver asks for, else a growing and jittered time.
        """
        began_s = self._clock.monotonic_s()
        backoff_s = BACKOFF_S_MIN
        while True:
            answer = await self._door.send(part.signal, body, ATTEMPT_S_MAX)
            if answer.outcome != "retry":
                return answer
            wait_s = answer.retry_s
            if wait_s is None:
                wait_s = backoff_s * self._rng.uniform(0.5, 1.0)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            if self._clock.monotonic_s() - began_s + wait_s > self._retry_s_max:
                return answer
            await asyncio.sleep(wait_s)


def _words(answer: Answer) -> str:
    return f"{answer.code}: {answer.detail}" if answer.detail else answer.code
