"""Tells live tails what was committed, and never makes a flush wait.

``offer`` is called after COMMIT, with the acknowledgements on their way. Without listeners it adds
two numbers. Otherwise it picks what the rate cap allows, builds one message at once, so that nothing
of a request is kept, and puts it into a bounded backlog that drops its oldest. ``run`` sends what is
there, through a link that gives up soon: while that is away nothing is built.

**Who listens** is known by the link, which asks once a second. A new reader does not wait for that:
it sends a hello, the publisher asks at once, and answers with a *greeting*, a message without items.
Everything that is committed after a greeting is published, which is what the reader builds on. A
worker that drains says *farewell*; one that is gone without may have committed what it never sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from collector.errors import LinkError
from collector.rows import ConvertedRequest, Signal
from collector.settings import TailSettings
from collector.tail.link import PublisherLink
from collector.tail.message import Head, Pick, encode
from collector.tail.sampling import Sampler
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.metrics import Metrics
from collector.telemetry.probe import Probe

RETRY_S_MIN: Final = 0.25
"""Pause between two attempts to reach a link that is away, doubled each time up to the link's own
longest; short again after one that was there for longer than that."""


@dataclass(slots=True)
class _Waiting:
    """A message in the backlog."""

    signal: Signal
    body: bytes
    lines: int


class Publisher:
    """What one worker tells. Moments of the probe: ``tail.published``, ``tail.link_failed``."""

    def __init__(
        self,
        settings: TailSettings,
        link: PublisherLink,
        *,
        clock: Clock,
        metrics: Metrics,
        probe: Probe,
        database: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``database`` tells which one it is that is committed to, once that is known."""
        self._database = database
        self._settings = settings
        self._link = link
        self._clock = clock
        self._metrics = metrics
        self._probe = probe
        self._trouble = Trouble("otlpg.tail", clock)
        self._source = secrets.token_hex(8)
        self._numbers = dict.fromkeys(Signal, 0)
        self._has_left = False
        self._samplers = {
            signal: Sampler(settings.items_per_second_max, settings.message_items_max, clock)
            for signal in Signal
        }
        self._backlog: deque[_Waiting] = deque()
        self._backlog_bytes = 0
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait to be sent."""
        return self._backlog_bytes

    def wanted(self, signal: Signal) -> bool:
        """Whether somebody listens, or may: a link that has not asked yet does not know."""
        return self._link.wanted(signal)

    def offer(
        self, signal: Signal, requests: Sequence[ConvertedRequest], transaction_id: int | None
    ) -> None:
        """Tell that ``requests`` were committed by one transaction. Returns at once, never raises."""
        items = sum(len(request.rows) for request in requests)
        first = self._numbers[signal]
        self._numbers[signal] = first + items
        if not items or not self._link.wanted(signal):
            return
        try:
            self._put(self._build(signal, requests, items, first, transaction_id))
        except Exception as error:  # noqa: BLE001 -- they are committed, and no flush may fail here
            self._metrics.tail_skipped.add(items, signal.value, "fault")
            self._trouble.error(
                "items are not shown by our own fault", type(error).__name__, exc_info=error
            )

    def _build(
        self,
        signal: Signal,
        requests: Sequence[ConvertedRequest],
        items: int,
        first: int,
        transaction_id: int | None,
    ) -> _Waiting:
        """Return the message about ``items`` in ``requests``, of which the first has a number."""
        picks: list[Pick] = self._samplers[signal].pick(signal, requests, items)
        if len(picks) < items:
            self._metrics.tail_skipped.add(items - len(picks), signal.value, "rate")
        head = Head(signal, self._source, first, items, transaction_id, self._database())
        body = encode(head, picks, self._settings.message_bytes_max)
        lines = body.count(b"\n")
        if lines < len(picks):
            self._metrics.tail_skipped.add(len(picks) - lines, signal.value, "size")
        return _Waiting(signal, body, lines)

    def miss(self, signal: Signal, items: int) -> None:
        """Count items as committed that cannot be shown: readers are told that they missed them."""
        self._numbers[signal] += items
        if items and self._link.wanted(signal):
            self._metrics.tail_skipped.add(items, signal.value, "unsure")

    async def drain(self, deadline_s: float) -> None:
        """Return once everything that waits, and a farewell, is sent or given up, or at the deadline."""
        self._greet([signal for signal in Signal if self._link.wanted(signal)], is_last=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._emptied.wait()

    async def run(self) -> None:
        """Send until cancelled; a link that is away is tried again for ever.

        One that was cut is worth a line in the log when it is not back at once.
        """
        retry_s = RETRY_S_MIN
        away_since_s = self._clock.monotonic_s()
        while True:
            was_up, began_s = False, self._clock.monotonic_s()
            try:
                async with self._link.connected():
                    was_up = True
                    self._metrics.tail_link_up.set(1)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._link.watch(self._greet))
                        tasks.create_task(self._send())
            except Exception as error:  # noqa: BLE001 -- ingest outlives whatever a link answers
                away_since_s = self._clock.monotonic_s() if was_up else away_since_s
                away_s = self._clock.monotonic_s() - away_since_s
                self._tell_why(error, is_news=not was_up and away_s >= self._link.patience_s)
            self._metrics.tail_link_up.set(0)
            self._drop_all()
            await self._probe.reach("tail.link_failed")
            if self._clock.monotonic_s() - began_s > self._link.retry_s_max:
                retry_s = RETRY_S_MIN
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, self._link.retry_s_max)

    def _tell_why(self, error: Exception, *, is_news: bool) -> None:
        """Log why the link is away; what is no ``LinkError`` is a fault of ours.

        A link that was cut may be there again at the next attempt, which otherwise tells.
        """
        first = _first_of(error)
        if not isinstance(first, LinkError):
            self._trouble.error(
                "live tails are away by our own fault", type(first).__name__, exc_info=first
            )
        elif is_news:
            self._trouble.warn("live tails are away", "link", error=str(first))

    def _greet(self, signals: Sequence[Signal], *, is_last: bool = False) -> None:
        """Say that everything from here on is published, or that nothing more comes.

        Who has said farewell says no more: its reader would take it for another publisher.
        """
        if self._has_left:
            return
        self._has_left = is_last
        for signal in signals:
            head = Head(
                signal, self._source, self._numbers[signal], 0, None, self._database(), is_last
            )
            self._put(_Waiting(signal, encode(head, (), self._settings.message_bytes_max), 0))

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._backlog:
                waiting = self._backlog.popleft()
                self._backlog_bytes -= len(waiting.body)
                began_s = self._clock.monotonic_s()
                try:
                    await self._link.send(waiting.signal, waiting.body)
                except BaseException:
                    self._count_dropped(waiting)
                    raise
                self._metrics.tail_publish_seconds.observe(self._clock.monotonic_s() - began_s)
                self._metrics.tail_published.add(waiting.lines, waiting.signal.value)
                await self._probe.reach("tail.published")
            self._emptied.set()

    # -- backlog ---------------------------------------------------------------------------------

    def _put(self, waiting: _Waiting) -> None:
        self._backlog.append(waiting)
        self._emptied.clear()
        self._backlog_bytes += len(waiting.body)
        while self._backlog_bytes > self._settings.backlog_bytes_max:
            self._drop()
        self._wake.set()

    def _drop(self) -> None:
        oldest = self._backlog.popleft()
        self._backlog_bytes -= len(oldest.body)
        self._count_dropped(oldest)

    def _count_dropped(self, waiting: _Waiting) -> None:
        if waiting.lines:
            self._metrics.tail_skipped.add(waiting.lines, waiting.signal.value, "backlog")

    def _drop_all(self) -> None:
        while self._backlog:
            self._drop()
        self._emptied.set()


def _first_of(error: Exception) -> Exception:
    """Return the first error in a group of whatever depth."""
    if isinstance(error, ExceptionGroup):
        return _first_of(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error
