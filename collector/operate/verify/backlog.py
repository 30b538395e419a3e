"""Acknowledged requests that nobody could look for yet: remembered, and looked for again.

An outage that is longer than a look is patient is the one in which a failover loses rows. What was
acknowledged before it, and read by nobody, must not end as if all were well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from collector.operate.verify.delivery import Delivery
from collector.operate.verify.judge import Finding, judge_request
from collector.operate.verify.look import Looker
from collector.operate.verify.marked import Marker, mark
from collector.operate.verify.options import Protocol
from collector.operate.verify.pause import Pause
from collector.rows import Signal

REQUESTS_MAX: Final = 10_000
"""Remembered at most, some 10 MB: an outage of nearly an hour at one round a second."""
AGAIN_S: Final = 2.0
"""Between two tries to look for the oldest, while PostgreSQL cannot be read."""


class Unread(NamedTuple):
    """What to look for: the marker makes the request again, whose items are the same."""

    signal: Signal
    marker: Marker
    protocol: Protocol
    delivery: Delivery
    after_letter: int | None


class Backlog:
    """``settle`` is called once for each that was added, with the end of each of its items."""

    def __init__(
        self, looker: Looker, pause: Pause, settle: Callable[[Unread, list[Finding]], None]
    ) -> None:
        self._looker = looker
        self._pause = pause
        self._settle = settle
        self._waiting: deque[Unread] = deque()
        self._given_up = False

    def add(self, unread: Unread) -> None:
        """Remember one; where there is no room the oldest is forgotten, and stays unread."""
        if len(self._waiting) >= REQUESTS_MAX:
            self._forget(self._waiting.popleft())
        self._waiting.append(unread)

    def give_up(self) -> None:
        """Look for nothing more."""
        self._given_up = True

    async def run(self) -> None:
        """Look for the oldest now and then, and for all others once that succeeds.

        Raises:
            CommandError: as ``Looker.see``.
        """
        while not await self._pause.ended_within(AGAIN_S):
            await self._look()

    async def finish(self) -> None:
        """Look a last time; what cannot be read now stays unread.

        Raises:
            CommandError: as ``Looker.see``; the rest is unread all the same.
        """
        try:
            await self._look()
        finally:
            while self._waiting:
                self._forget(self._waiting.popleft())

    async def _look(self) -> None:
        """Look for each, the oldest first, until one cannot be read."""
        while self._waiting and not self._given_up:
            unread = self._waiting.popleft()
            marked = mark(
                unread.signal, unread.marker, with_bad_item=unread.after_letter is not None
            )
            seen = None
            try:
                seen = await self._looker.see(
                    marked, acknowledged=True, after_letter=unread.after_letter, away_s_max=0.0
                )
            finally:
                if seen is None:
                    self._waiting.appendleft(unread)
            if seen is None:
                return
            told = unread.delivery.told
            self._settle(unread, judge_request(marked, seen, told, unread.after_letter))

    def _forget(self, unread: Unread) -> None:
        marked = mark(unread.signal, unread.marker, with_bad_item=unread.after_letter is not None)
        told = unread.delivery.told
        self._settle(unread, judge_request(marked, None, told, unread.after_letter))
