"""The messages of one signal as the API hears them, and what it did not hear.

A subscription lives while there are readers. ``begin`` returns once every publisher that Redis, or
the local socket, knows of has greeted: from then on nothing that is committed goes by unseen or
uncounted. A link that goes away is tried again for ever, and the numbers in the greetings tell how
many items were committed meanwhile.

A publisher that was killed cannot tell what it had committed and not sent. When a new one comes, the
feed calls the roll: of who does not answer, and did not say farewell, an unknown number is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from collector.errors import LinkError, TailMessageError
from collector.items import Item
from collector.tail.link import SubscriberLink
from collector.tail.message import Head, Message, decode
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

GREETING_S_MAX: Final = 1.5
"""A worker that has not greeted by then is hung, and a reader is told that one is missing."""

HELLO_S: Final = 1.0
"""Hellos come no more often, however many readers do: each costs every publisher a question to Redis."""

RETRY_S: Final = 0.5
STRANGERS: Final = (
    "another database publishes under this redis.channel_prefix; what it stores is not shown"
)
PUBLISHERS_MAX: Final = 1_024
"""Publishers whose last number is remembered; workers come and go."""


class Started(NamedTuple):
    """Who publishes now."""

    workers: int
    """Publishers that have greeted."""
    expected: int
    """Publishers that were asked."""


class Listener(Protocol):
    """Whom a feed tells."""

    def on_items(self, items: list[Item], transaction_id: int | None) -> None:
        """Items of one transaction."""
        ...

    def on_skipped(self, items: int | None, why: str) -> None:
        """Items that were committed and did not come; None: nobody knows how many."""
        ...

    def on_strangers(self) -> None:
        """Publishers of another database were heard; once."""
        ...

    def on_link(self, up: bool, message: str) -> None:
        """The link went away or came back."""
        ...


class Feed:
    """One signal's subscription; ``run`` it in a task, ``begin`` to know that it listens."""

    def __init__(
        self,
        link: SubscriberLink,
        listener: Listener,
        clock: Clock,
        database: Callable[[], str | None] = lambda: None,
        *,
        workers: int = 0,
    ) -> None:
        """``database`` tells which one its readers read, once that is known.

        ``workers`` should be there, whoever else is: those of this daemon.
        """
        self._workers = workers
        self._database = database
        self._link = link
        self._listener = listener
        self._clock = clock
        self._trouble = Trouble("otlpg.tail", clock)
        self._next: OrderedDict[str, int] = OrderedDict()  # by publisher: its next number
        self._greeted: set[str] = set()
        self._strangers: set[str] = set()  # of those that have greeted: of another database
        self.has_strangers = False
        """Whether publishers of another database were ever heard."""
        self._expected: int | None = None  # publishers that were asked; None: nobody yet
        self._last_started = Started(0, 0)  # when all had greeted; the next round may be under way
        self._roll_wanted = asyncio.Event()
        self._judging: asyncio.TimerHandle | None = None
        self._begun = asyncio.Event()
        self._has_begun = (
            False  # from then on readers count on it, and miss what strangers committed
        )
        self._asked_s = 0.0
        self._up: bool | None = None  # None: not tried yet
        self._why_away = ""

    @property
    def is_away(self) -> bool:
        """Whether the link is known to be away."""
        return self._up is False

    @property
    def why_away(self) -> str:
        """Why the link is not there; empty when nobody knows yet."""
        return self._why_away

    async def begin(self) -> Started:
        """Return once every publisher has greeted, or ``GREETING_S_MAX`` later.

        When the last hello is older than ``HELLO_S`` another one is said: publishers may be gone, or
        hang, by now.
        """
        if self._up and self._clock.monotonic_s() - self._asked_s > HELLO_S:
            with contextlib.suppress(LinkError):  # ``run`` meets it too, and tells
                await self._ask()
        try:
            async with asyncio.timeout(GREETING_S_MAX):
                await self._begun.wait()
        except TimeoutError:
            if self._up is None:  # not that it is away, but a reader will be told so
                self._up = False
            self._last_started = self._started()
        self._has_begun = True
        return self._last_started

    def _started(self) -> Started:
        """Return who has greeted so far, of those who should; strangers are neither."""
        strangers = len(self._greeted & self._strangers)
        expected = max(self._expected or 0, len(self._greeted)) - strangers
        return Started(len(self._greeted) - strangers, max(expected, self._workers))

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._call_rolls())
        finally:
            if self._judging is not None:
                self._judging.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._link.subscribed() as messages:
                    await self._ask()
                    self._set_up(True, "")
                    async for raw in messages:
                        self._take(raw)
            except LinkError as error:
                self._trouble.warn("live tails are away", "link", error=str(error))
                self._set_up(False, str(error))
            except Exception as error:  # noqa: BLE001 -- the API outlives whatever a link answers
                self._trouble.error(
                    "live tails are away by our own fault", type(error).__name__, exc_info=error
                )
                self._set_up(False, "live tails failed by our own fault")
            await asyncio.sleep(RETRY_S)

    async def _call_rolls(self) -> None:
        """Ask who is there whenever a publisher has come that may be in the place of another."""
        while True:
            await self._roll_wanted.wait()
            since_s = self._clock.monotonic_s() - self._asked_s
            await asyncio.sleep(max(0.0, HELLO_S - since_s))
            try:
                if self._up and self._roll_wanted.is_set():
                    await self._ask()
            except LinkError:  # ``_listen`` meets it too, and tells
                await asyncio.sleep(RETRY_S)

    async def _ask(self) -> None:
        """Ask every publisher for a greeting; until all have greeted nothing has begun.

        Whoever gives up in between, or is refused, leaves everything as it was, and a roll to be called.
        """
        before = self._greeted, self._strangers, self._expected, self._begun.is_set()
        self._asked_s = self._clock.monotonic_s()
        self._roll_wanted.clear()
        self._greeted, self._strangers, self._expected = set(), set(), None
        self._begun.clear()
        try:
            self._expected = max(await self._link.hello(), self._workers)
        except BaseException:
            self._greeted |= before[0]
            self._strangers |= before[1]
            self._expected = before[2]
            if before[3]:
                self._begun.set()
            self._roll_wanted.set()
            raise
        if self._judging is None:
            self._judge_after(GREETING_S_MAX)
        self._look_whether_begun()

    def _judge_after(self, delay_s: float) -> None:
        self._judging = asyncio.get_running_loop().call_later(delay_s, self._judge)

    def _judge(self) -> None:
        """Miss who is gone; of a round that is still young, later. New rounds put nothing off."""
        self._judging = None
        age_s = self._clock.monotonic_s() - self._asked_s
        if not self._begun.is_set() and age_s < GREETING_S_MAX:
            self._judge_after(GREETING_S_MAX - age_s)
            return
        self._miss_who_is_gone()

    def _miss_who_is_gone(self) -> None:
        """Tell of each publisher that was there before and did not answer, once all had the time.

        While fewer answered than should nobody is judged: one of them may hang, and go on.
        """
        if not self._begun.is_set() or not self._up:
            return
        for source in [source for source in self._next if source not in self._greeted]:
            del self._next[source]
            if self._has_begun:
                self._listener.on_skipped(None, "lost")

    def _set_up(self, up: bool, message: str) -> None:
        """Tell when that changes; that it is there from the start is no news."""
        before, self._up = self._up, up
        self._why_away = message
        if up is not before and not (up and before is None):
            self._listener.on_link(up, message)

    def _look_whether_begun(self) -> None:
        own = len(self._greeted - self._strangers)
        if self._expected is not None and (
            len(self._greeted) >= self._expected and own >= self._workers
        ):
            self._has_begun = True
            self._last_started = self._started()
            self._begun.set()

    def _take(self, raw: bytes) -> None:
        try:
            message = decode(raw)
        except TailMessageError as error:
            self._trouble.warn("a message of a live tail is not shown", "message", error=str(error))
            self._listener.on_skipped(None, "lost")
            return
        if self._is_strange(message.head):
            self._meet_stranger(message.head)
            return
        self._count(message)
        if not message.lines:
            return
        try:
            self._listener.on_items(message.lines, message.head.transaction_id)
        except Exception as error:  # noqa: BLE001 -- one message is lost, and no reader's feed
            self._trouble.error(
                "a message of a live tail is not shown by our own fault",
                type(error).__name__,
                exc_info=error,
            )
            self._listener.on_skipped(len(message.lines), "lost")

    def _is_strange(self, head: Head) -> bool:
        """Whether a message tells of another database; what either does not know cannot differ."""
        own = self._database()
        return own is not None and head.database is not None and head.database != own

    def _meet_stranger(self, head: Head) -> None:
        """Tell once that there are publishers of another database; they greet as all do."""
        if len(self._strangers) < PUBLISHERS_MAX:
            self._strangers.add(head.source)
        self._next.pop(head.source, None)
        if not head.items:
            self._greet(head.source)
            self._look_whether_begun()
        if not self.has_strangers:
            self.has_strangers = True
            self._listener.on_strangers()
        self._trouble.warn(STRANGERS, "strangers", setting="redis.channel_prefix")

    def _greet(self, source: str) -> None:
        if len(self._greeted) < PUBLISHERS_MAX:
            self._greeted.add(source)

    def _count(self, message: Message) -> None:
        """Keep the numbers, and tell of what is missing."""
        head = message.head
        expected = self._next.pop(head.source, None)
        self._next[head.source] = head.first + head.items
        if len(self._next) > PUBLISHERS_MAX:
            self._next.popitem(last=False)
        if not head.items:
            self._greet(head.source)
        if expected is not None and head.first > expected:
            self._listener.on_skipped(head.first - expected, "lost")
        elif expected is None and head.first and self._has_begun:
            self._listener.on_skipped(None, "lost")  # a publisher that nobody knew of
        if head.is_last:
            del self._next[head.source]
        elif expected is None and len(self._next) > 1:
            self._roll_wanted.set()  # it may be in the place of one that was killed
        self._look_whether_begun()
        if head.items > len(message.lines):
            self._listener.on_skipped(head.items - len(message.lines), "sampled")
