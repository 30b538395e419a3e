"""Answers that are kept for a while: which services, operations and metrics there are moves slowly.

They are kept in Redis when there is one, so that all APIs of a database have them, and in this process
while there is none. Redis is never waited for longer than ``redis.timeout_s``; when it fails it is left
alone for ``AWAY_S``, and nobody notices but for the time. A key is a digest: of what was asked, of
which database, by which version.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from collector import __version__
from collector.errors import LinkError
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.metrics import Metrics

AWAY_S: Final = 10.0
"""So long a Redis that did not answer is not asked again."""
ANSWER_BYTES_MAX: Final = 2**20
"""What is larger is not kept."""
BYTES_MAX: Final = 16 * 2**20
"""Answers kept in this process, with what each costs besides; the oldest go first."""
ENTRY_BYTES: Final = 512
"""Of a key and its place, more than measured (327): most answers are small."""


class Remote(Protocol):
    """Where answers are kept for more than this process; every method may raise ``LinkError``."""

    async def get(self, key: str) -> bytes | None:
        """Return an answer; None: it is not there, or not any more."""
        ...

    async def put(self, key: str, answer: bytes, lifetime_s: float) -> None:
        """Keep an answer for so long."""
        ...


class Kept:
    """Gives an answer again that was given a moment ago."""

    def __init__(
        self,
        lifetime_s: float,
        identity: Callable[[], Awaitable[str]],
        clock: Clock,
        metrics: Metrics,
        remote: Remote | None = None,
    ) -> None:
        """``identity`` tells which database is asked; ``lifetime_s`` 0 keeps nothing.

        It is a question as all are, and takes its turn.
        """
        self.lifetime_s = lifetime_s
        self._identity = identity
        self._known: tuple[str, float] | None = None  # the identity, and until when it holds
        self._asking: asyncio.Future[str] | None = None
        self._clock = clock
        self._metrics = metrics
        self._remote = remote
        self._away_until_s = 0.0
        self._memory = Memory(clock)
        self._trouble = Trouble("otlpg.api", clock)

    async def answer(self, about: tuple[object, ...], ask: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what was answered about this, at most ``lifetime_s`` ago, or ask.

        Args:
            about: the question, complete; values whose ``repr`` tells them apart.
            ask: what gives the answer; its errors are raised and not kept.

        Raises:
            QueryTimeoutError: PostgreSQL did not say in time which database it is.
            StoreError: it did not answer.
        """
        if not self.lifetime_s:
            return await ask()
        key = _digest(await self._database(), about)
        found = await self._get(key)
        self._metrics.api_slow_answers.add(1, "new" if found is None else "kept")
        if found is None:
            found = await ask()
            if len(found) <= ANSWER_BYTES_MAX:
                await self._put(key, found)
        return found

    async def _database(self) -> str:
        """Return the identity, which is asked for again as often as answers are.

        All who wait for it share one question, and its failure: one after the other they would wait
        for a database that is away as many times as they are.
        """
        now_s = self._clock.monotonic_s()
        if self._known is not None and now_s < self._known[1]:
            return self._known[0]
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask_identity(now_s + self.lifetime_s))
            self._asking.add_done_callback(_heard)
        return await asyncio.shield(self._asking)  # who leaves does not end it for the others

    async def _ask_identity(self, until_s: float) -> str:
        try:
            identity = await self._identity()
        finally:
            self._asking = None
        self._known = (identity, until_s)
        return identity

    async def _get(self, key: str) -> bytes | None:
        if remote := self._asked_remote():
            try:
                found = await remote.get(key)
            except LinkError as error:
                self._left_alone(error)
            else:
                self._away_until_s = 0.0
                return found
        return self._memory.get(key)

    async def _put(self, key: str, answer: bytes) -> None:
        if remote := self._asked_remote():
            try:
                await remote.put(key, answer, self.lifetime_s)
            except LinkError as error:
                self._left_alone(error)
            else:
                self._away_until_s = 0.0
                return
        self._memory.put(key, answer, self.lifetime_s)

    def _asked_remote(self) -> Remote | None:
        """Return the remote unless it is left alone; of those who come when it was, one tries it."""
        if self._away_until_s:
            now_s = self._clock.monotonic_s()
            if now_s < self._away_until_s:
                return None
            self._away_until_s = now_s + AWAY_S
        return self._remote

    def _left_alone(self, error: LinkError) -> None:
        self._away_until_s = self._clock.monotonic_s() + AWAY_S
        self._trouble.warn("answers are kept in this process alone", "redis", error=str(error))


def _heard(asking: asyncio.Future[str]) -> None:
    """Take a failure that nobody waits for any more."""
    if not asking.cancelled():
        asking.exception()


def _digest(identity: str, about: tuple[object, ...]) -> str:
    return hashlib.sha256(repr((__version__, identity, about)).encode()).hexdigest()


class _Entry(NamedTuple):
    answer: bytes
    until_s: float


class Memory:
    """Answers in this process, at most ``BYTES_MAX`` with what they cost besides."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What all entries cost."""
        return self._bytes

    def get(self, key: str) -> bytes | None:
        """Return an answer; None: it is not there, or not any more."""
        self._drop_old()
        entry = self._entries.get(key)
        return None if entry is None else entry.answer

    def put(self, key: str, answer: bytes, lifetime_s: float) -> None:
        """Keep an answer for so long."""
        self._drop(key)
        self._drop_old()
        self._entries[key] = _Entry(answer, self._clock.monotonic_s() + lifetime_s)
        self._bytes += len(answer) + ENTRY_BYTES
        while self._bytes > BYTES_MAX:
            self._drop(next(iter(self._entries)))

    def _drop_old(self) -> None:
        """Drop what nobody is given any more: all have one lifetime, so the oldest stand in front."""
        now_s = self._clock.monotonic_s()
        while self._entries and next(iter(self._entries.values())).until_s <= now_s:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= len(entry.answer) + ENTRY_BYTES
