"""One reader of a live tail: what waits for it, and what it was not shown.

A reader that is slow loses its oldest items and is told how many; it holds up nobody, and what is
kept for it is bounded, whatever it is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import orjson

from collector.items import Item
from collector.rows import Signal
from collector.telemetry.metrics import Metrics

_DATA: Final = b"\ndata: "

Matches = Callable[[Item], bool]


class Shown(NamedTuple):
    """An item on its way to readers."""

    number: int
    signal: Signal
    event: bytes
    """As it goes to readers, made once for all of them.

    Spec: WHATWG HTML, server-sent events.
    """
    transaction_id: int | None

    @classmethod
    def of(
        cls, item: Item, number: int, signal: Signal, transaction_id: int | None, epoch: bytes
    ) -> Shown:
        """Return an item that is number ``number`` of an epoch; who comes back names the next one."""
        event = b"id: %b-%d\nevent: item%b%b\n\n" % (epoch, number + 1, _DATA, orjson.dumps(item))
        return cls(number, signal, event, transaction_id)

    @property
    def data(self) -> bytes:
        """The item in JSON, on one line."""
        return self.event[self.event.index(_DATA) + len(_DATA) : -2]


class Skipped(NamedTuple):
    """Items that a reader does not see."""

    signal: str  # or "all", where nobody knows
    items: int | None
    why: str

    def plus(self, items: int | None) -> Skipped:
        """Return it with more items; of some that nobody has counted the sum is unknown."""
        both = None if self.items is None or items is None else self.items + items
        return self._replace(items=both)


class LinkState(NamedTuple):
    """The link went away or came back."""

    up: bool
    message: str


class Notice(NamedTuple):
    """What else a reader should know."""

    message: str


Event = Shown | Skipped | LinkState | Notice

NOTE_BYTES: Final = 128
"""What an event that is no item counts in a reader's buffer."""


class Reader:
    """One reader's buffer."""

    def __init__(
        self,
        signals: frozenset[Signal],
        matches: Matches,
        *,
        bytes_max: int,
        metrics: Metrics,
    ) -> None:
        self.signals = signals
        self.link_up = True  # as it was told
        self.knows_strangers = False
        self._matches = matches
        self._bytes_max = bytes_max
        self._metrics = metrics
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._missed: dict[tuple[str, str], Skipped] = {}  # by signal and why; older than _events
        self._notes: dict[type, LinkState | Notice] = {}  # the last dropped ones
        self._wake = asyncio.Event()

    async def take(self) -> list[Event]:
        """Return what has come, oldest first; nothing only after ``wake``."""
        await self._wake.wait()
        return self.take_now()

    def take_now(self) -> list[Event]:
        """Return what has come, without waiting."""
        self._wake.clear()
        events: list[Event] = list(self._missed.values())
        events += self._notes.values()
        events += self._events
        self._missed, self._notes = {}, {}
        self._events.clear()
        self._bytes = 0
        return events

    def show(self, items: Iterable[Item], shown: Iterable[Shown]) -> None:
        """Take in those items that are wanted; ``shown`` is the same in the form that goes out."""
        matches = self._matches
        wanted = [each for item, each in zip(items, shown, strict=True) if matches(item)]
        if not wanted:
            return
        self._events.extend(wanted)
        self._bytes += sum([len(each.event) for each in wanted])
        self._fit()
        self._wake.set()

    def resume(self, events: Iterable[Shown | Skipped]) -> None:
        """Take in what came while the reader was away; of what has no room the oldest is lost."""
        wanted = [
            event
            for event in events
            if isinstance(event, Skipped) or self._matches(orjson.loads(event.data))
        ]
        room = self._bytes_max - 2 * NOTE_BYTES
        kept = len(wanted)
        while kept and (room := room - bytes_of(wanted[kept - 1])) >= 0:
            kept -= 1
        lost = sum(isinstance(event, Shown) for event in wanted[:kept])
        if lost:
            self.tell(Skipped("all", lost, "lost"))
        for event in wanted[:kept]:
            if isinstance(event, Skipped):
                self.tell(event)
        for event in wanted[kept:]:
            if isinstance(event, Skipped):
                self.tell(event)
            else:
                self._events.append(event)
                self._bytes += bytes_of(event)
        self._fit()
        self._wake.set()

    def wake(self) -> None:
        """Let ``take`` return, even with nothing."""
        self._wake.set()

    def tell(self, event: Skipped | LinkState | Notice) -> None:
        """Take in what is no item; two of a kind in a row are one."""
        last = self._events[-1] if self._events else None
        if isinstance(event, Skipped) and isinstance(last, Skipped) and last[::2] == event[::2]:
            self._events[-1] = last.plus(event.items)
            return
        self._events.append(event)
        self._bytes += NOTE_BYTES
        self._fit()
        self._wake.set()

    def _fit(self) -> None:
        """Drop the oldest events; of what is no item the sum is kept, and where the link stands."""
        while self._bytes > self._bytes_max:
            oldest = self._events.popleft()
            self._bytes -= bytes_of(oldest)
            if isinstance(oldest, LinkState | Notice):
                self._notes[type(oldest)] = oldest
                continue
            if isinstance(oldest, Shown):
                self._metrics.tail_skipped.add(1, oldest.signal.value, "slow")
                oldest = Skipped(oldest.signal.value, 1, "slow")
            key = oldest.signal, oldest.why
            before = self._missed.get(key)
            self._missed[key] = oldest if before is None else before.plus(oldest.items)


def bytes_of(event: Event) -> int:
    """Return what an event counts in a buffer."""
    return len(event.event) if isinstance(event, Shown) else NOTE_BYTES
