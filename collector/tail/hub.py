"""Hands each item to the readers that want it, none of which can hold up another.

What was handed out lately is kept for readers that come back after a broken connection, and go on
where they were; ``reader`` is what each of them holds.

Everything runs on one event loop; nothing but ``open`` and ``Reader.take`` awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from typing import Final, NamedTuple

from collector.errors import TooManyReadersError
from collector.items import Item
from collector.rows import Signal
from collector.settings import TailSettings
from collector.tail.link import SubscriberLink
from collector.tail.reader import LinkState, Matches, Notice, Reader, Shown, Skipped, bytes_of
from collector.tail.subscriber import STRANGERS, Feed, Started
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import Metrics

LINGER_S: Final = 10.0
"""A subscription outlives its last reader by so long: one that reconnects loses nothing."""

RECENT_BYTES_MAX: Final = 4 * 2**20
"""Of items that are kept for those who come back."""

_ID: Final = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})", re.ASCII)


class _Fallen(NamedTuple):
    """What was skipped for one reason and is no longer kept note by note."""

    first: int
    last: int
    """Numbers of the first and the last note."""
    sum: Skipped


class Hub:
    """All readers of one API process."""

    def __init__(
        self,
        settings: TailSettings,
        link_of: Callable[[Signal], SubscriberLink],
        *,
        clock: Clock,
        metrics: Metrics,
        database: Callable[[], str | None] = lambda: None,
        workers: int = 0,
    ) -> None:
        """``database`` tells which one readers read, once that is known.

        ``workers`` of this daemon publish; over Redis those of others do, too.
        """
        self._workers = workers if settings.enabled else 0
        self._database = database
        self._settings = settings
        self._link_of = link_of
        self._clock = clock
        self._metrics = metrics
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._recent: deque[tuple[int, Shown | Skipped]] = deque()
        self._recent_bytes = 0
        self._fallen: dict[tuple[str, str], _Fallen] = {}  # by signal and why; older than _recent
        self._readers: set[Reader] = set()
        self._clients: Counter[str] = Counter()  # their readers
        self._feeds: dict[Signal, tuple[Feed, asyncio.Task[None]]] = {}
        self._begun_at: dict[Signal, int] = {}  # number of the first item that a feed could see
        self._lingering: dict[Signal, asyncio.TimerHandle] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Have a place for subscriptions until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def open(
        self,
        signals: Collection[Signal],
        matches: Matches,
        after: str | None = None,
        *,
        sees_all: bool = False,
        client: str = "",
    ) -> AsyncGenerator[tuple[Reader, Started]]:
        """Lend a reader, inside the block, that gets all that is committed from its start on.

        ``after``: an id that such a reader was given; what came behind it and is still here comes
        first. ``sees_all``: of what is no longer here, all was for it, so that it can be counted.
        ``client``: whose it is; one of them cannot take the places of all.

        Raises:
            TooManyReadersError: as many as ``tail.readers_max`` are here, or as many of this client
                as ``tail.readers_per_client_max``.
        """
        if len(self._readers) >= self._settings.readers_max:
            raise TooManyReadersError(self._settings.readers_max)
        if self._clients[client] >= self._settings.readers_per_client_max:
            raise TooManyReadersError(self._settings.readers_per_client_max, of_client=True)
        feeds = [self._feed(signal) for signal in signals]
        reader = Reader(
            frozenset(signals),
            matches,
            bytes_max=self._settings.reader_bytes_max,
            metrics=self._metrics,
        )
        self._readers.add(reader)
        self._clients[client] += 1
        self._metrics.tail_readers.set(len(self._readers))
        try:
            if after is not None:
                self._resume(reader, after, sees_all=sees_all)
            started = await asyncio.gather(*(feed.begin() for feed in feeds))
            self._tell_link(reader)
            self._tell_strangers(reader)
            yield reader, min(started)
        finally:
            self._readers.discard(reader)
            self._clients[client] -= 1
            self._clients = +self._clients  # without those that have none left
            self._metrics.tail_readers.set(len(self._readers))
            self._let_go(reader.signals)

    def place(self) -> str:
        """Return the id for readers that have been given all that came until now."""
        return f"{self._epoch}-{self._number}"

    # -- resuming --------------------------------------------------------------------------------

    def _resume(self, reader: Reader, after: str, *, sees_all: bool) -> None:
        """Give a reader what came behind an id, or tell that something is missing."""
        named = _ID.fullmatch(after)
        begun = max(self._begun_at[signal] for signal in reader.signals)
        if (
            named is None
            or named[1] != self._epoch
            or not begun <= (behind := int(named[2])) <= self._number
        ):
            reader.tell(Skipped("all", None, "lost"))
            return
        first = self._recent[0][0] if self._recent else self._number
        fallen = [each for each in self._fallen.values() if each.last >= behind]
        if first > behind:
            is_known = sees_all and not fallen  # else some of the numbers are those of notes
            reader.tell(Skipped("all", first - behind if is_known else None, "lost"))
        for each in fallen:
            if (
                each.sum.signal in reader.signals
            ):  # of a part that it was told before there is no sum
                is_new = each.first >= behind
                reader.tell(each.sum if is_new else each.sum._replace(items=None))
        reader.resume(
            event
            for number, event in self._recent
            if number >= behind and event.signal in reader.signals
        )

    # -- subscriptions ---------------------------------------------------------------------------

    def _feed(self, signal: Signal) -> Feed:
        """Return the running feed of a signal."""
        lingering = self._lingering.pop(signal, None)
        if lingering is not None:
            lingering.cancel()
        if signal not in self._feeds:
            assert self._tasks is not None
            feed = Feed(
                self._link_of(signal),
                _Told(self, signal),
                self._clock,
                self._database,
                workers=self._workers,
            )
            self._feeds[signal] = feed, self._tasks.create_task(feed.run())
            if signal in self._begun_at:  # what an id from before names is not all that was before
                self._number += 1
            self._begun_at[signal] = self._number
        return self._feeds[signal][0]

    def _let_go(self, signals: Iterable[Signal]) -> None:
        """End, a little later, the feeds that have no reader."""
        wanted = {signal for reader in self._readers for signal in reader.signals}
        loop = asyncio.get_running_loop()
        for signal in signals:
            if signal not in wanted and signal not in self._lingering:
                self._lingering[signal] = loop.call_later(LINGER_S, self.end, signal)

    def end(self, signal: Signal) -> None:
        """End the feed of a signal that nobody reads any more."""
        self._lingering.pop(signal).cancel()
        _, task = self._feeds.pop(signal)
        task.cancel()

    # -- what a feed tells -----------------------------------------------------------------------

    def show(self, signal: Signal, items: list[Item], transaction_id: int | None) -> None:
        """Hand out the items of one transaction."""
        first, epoch = self._number, self._epoch.encode()
        self._number += len(items)
        shown = [
            Shown.of(item, number, signal, transaction_id, epoch)
            for number, item in enumerate(items, first)
        ]
        for each in shown:
            self._keep(each.number, each)
        for reader in self._readers:
            if signal in reader.signals:
                reader.show(items, shown)

    def wake(self) -> None:
        """Let every ``Reader.take`` return, even with nothing."""
        for reader in self._readers:
            reader.wake()

    def tell(self, signal: Signal, event: Skipped) -> None:
        """Tell every reader of a signal."""
        self._keep(self._number, event)
        self._number += 1  # who names the next place was told of it
        for reader in self._readers:
            if signal in reader.signals:
                reader.tell(event)

    def look_at_links(self, signal: Signal) -> None:
        """Tell every reader of a signal for whom that makes a difference."""
        for reader in self._readers:
            if signal in reader.signals:
                self._tell_link(reader)

    def _tell_link(self, reader: Reader) -> None:
        """Tell a reader once when one of its links is away, and once when all are back."""
        feeds = [self._feeds[signal][0] for signal in reader.signals if signal in self._feeds]
        away = [feed.why_away for feed in feeds if feed.is_away]
        if bool(away) is reader.link_up:
            reader.link_up = not away
            reader.tell(LinkState(not away, (away[0] or "no link to the workers") if away else ""))

    def look_at_strangers(self, signal: Signal) -> None:
        """Tell every reader of a signal that there are publishers of another database."""
        for reader in self._readers:
            if signal in reader.signals:
                self._tell_strangers(reader)

    def _tell_strangers(self, reader: Reader) -> None:
        """Tell a reader once."""
        feeds = [self._feeds[signal][0] for signal in reader.signals if signal in self._feeds]
        if not reader.knows_strangers and any(feed.has_strangers for feed in feeds):
            reader.knows_strangers = True
            reader.tell(Notice(STRANGERS))

    def _keep(self, number: int, event: Shown | Skipped) -> None:
        """Keep an event for who comes back; of what has no room and is no item, add it up."""
        self._recent.append((number, event))
        self._recent_bytes += bytes_of(event)
        while self._recent_bytes > RECENT_BYTES_MAX:
            number, oldest = self._recent.popleft()
            self._recent_bytes -= bytes_of(oldest)
            if isinstance(oldest, Skipped):
                key = oldest.signal, oldest.why
                before = self._fallen.get(key)
                self._fallen[key] = (
                    _Fallen(number, number, oldest)
                    if before is None
                    else _Fallen(before.first, number, before.sum.plus(oldest.items))
                )


class _Told:
    """What the feed of one signal tells the hub."""

    def __init__(self, hub: Hub, signal: Signal) -> None:
        self._hub = hub
        self._signal = signal

    def on_items(self, items: list[Item], transaction_id: int | None) -> None:
        self._hub.show(self._signal, items, transaction_id)

    def on_skipped(self, items: int | None, why: str) -> None:
        self._hub.tell(self._signal, Skipped(self._signal.value, items, why))

    def on_strangers(self) -> None:
        self._hub.look_at_strangers(self._signal)

    def on_link(self, up: bool, message: str) -> None:
        del up, message  # the feed knows
        self._hub.look_at_links(self._signal)
