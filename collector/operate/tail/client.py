"""A tail that goes on: one connection after another, and what was missed between two of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from random import Random
from typing import Final, NoReturn

from collector.errors import TailLostError, UnreachableError
from collector.operate.tail.connection import (
    CONNECT_S_MAX,
    HEAD_S_MAX,
    SILENCE_S_MAX,
    Answer,
    Server,
    opened,
)
from collector.operate.tail.news import (
    Back,
    Connected,
    Item,
    Live,
    Lost,
    News,
    Skipped,
    Waiting,
    news_of,
)
from collector.operate.tail.query import Query
from collector.operate.tail.sse import EventStream

PAUSE_S: Final = 0.5
"""Before the first new try, unless the server asks for another time."""
PAUSE_S_MAX: Final = 15.0
ASKED_S_MAX: Final = 60.0
"""Longest pause that a server may ask for."""

MISSED_S_MAX: Final = 0.5
"""So long after ``live`` a server may take to say what it has not kept."""
NEXT_STEP: Final = (
    "`otlpg dev` or `otlpg serve` must run there, with api.enabled; another place, or https://, is "
    "named by --url or OTLPG_URL"
)

_SENDABLE_ID: Final = re.compile(r"[!-~]{1,1024}")


class Pause:
    """How long to wait before the next try: twice as long each time, with jitter."""

    def __init__(self, random: Random) -> None:
        self.first_s = PAUSE_S
        self._random = random
        self._tries = 0

    def reset(self) -> None:
        """Begin anew: the server has sent something."""
        self._tries = 0

    def next_s(self, asked_s: float | None) -> float:
        """Return the seconds to wait; at least those that the server asked for, up to a minute."""
        longest = min(self.first_s * 2 ** min(self._tries, 16), PAUSE_S_MAX)
        self._tries += 1
        return max(longest * self._random.uniform(0.5, 1), min(asked_s or 0.0, ASKED_S_MAX))


class Client:
    """One tail. ``follow`` it once."""

    def __init__(
        self,
        server: Server,
        query: Query,
        tell: Callable[[News], None],
        *,
        random: Random | None = None,
        connect_s_max: float = CONNECT_S_MAX,
        head_s_max: float = HEAD_S_MAX,
        silence_s_max: float = SILENCE_S_MAX,
        missed_s_max: float = MISSED_S_MAX,
    ) -> None:
        self._server = server
        self._query = query
        self._tell = tell
        self._connect_s_max = connect_s_max
        self._head_s_max = head_s_max
        self._silence_s_max = silence_s_max
        self._missed_s_max = missed_s_max
        self._pause = Pause(random or Random())
        self._last_event_id = ""
        self._has_shown = False  # an item, or that stored ones are over: not to be asked for again
        self._is_known = False  # the server answered once as it should
        self._is_waiting = False  # for its first answer
        self._is_live = False  # on this connection
        self._is_away = False
        self._missed: int | None = 0

    async def follow(self) -> NoReturn:
        """Tell all news, for ever; a connection that ends is followed by another.

        A server that is there and says nothing may be one that starts, or is held: it is waited for.

        Raises:
            UnreachableError: there never was a tail, and nobody is there, or somebody without tails.
            UsageError: the server says what is wrong with the query.
            UnauthenticatedError: it wants a key, or knows not this one.
            ForbiddenError: the key is for something else.
        """
        while True:
            try:
                await self._connect_once()
            except TailLostError as error:
                if not self._is_known and not error.is_silence:
                    step = "" if error.is_answer else f"\n{NEXT_STEP}"
                    raise UnreachableError(
                        f"no live tail at {self._server.url}: {error}{step}"
                    ) from error
                self._say_away(str(error))
                await asyncio.sleep(self._pause.next_s(error.retry_after_s))

    async def _connect_once(self) -> NoReturn:
        is_resumed = bool(self._last_event_id)
        async with opened(
            self._server,
            self._query.target(with_stored=not (is_resumed or self._has_shown)),
            last_event_id=self._last_event_id,
            connect_s_max=self._connect_s_max,
            head_s_max=self._head_s_max,
            silence_s_max=self._silence_s_max,
        ) as answer:
            self._is_known = True
            self._is_live = False
            if self._is_waiting:
                self._is_waiting = False
                self._tell(Connected())
            if self._has_shown and not is_resumed:
                self._missed = None
            await self._read(answer)
        raise TailLostError("the server ended the connection")

    async def _read(self, answer: Answer) -> None:
        stream = EventStream(last_event_id=self._last_event_id)
        while piece := await self._piece(answer):
            for event in stream.feed(piece):
                if (news := news_of(event)) is not None:
                    self._hear(news)
                self._pause.reset()
                is_sendable = _SENDABLE_ID.fullmatch(stream.last_event_id)
                self._last_event_id = stream.last_event_id if is_sendable else ""
            if stream.retry_ms is not None:
                self._pause.first_s = min(max(stream.retry_ms / 1000, 0.1), PAUSE_S_MAX)

    async def _piece(self, answer: Answer) -> bytes:
        """Return the next piece; say that we are back when what was missed would be known by now."""
        if self._is_away and self._is_live:
            try:
                async with asyncio.timeout(self._missed_s_max):
                    return await answer.piece()
            except TimeoutError:
                self._say_back()
        return await answer.piece()

    def _hear(self, news: News) -> None:
        """Tell what came; after an outage first how much it cost.

        What it cost is told beside ``live``, before it or after it, and before anything new.
        """
        if isinstance(news, Live):
            self._is_live = True
        elif self._is_away:
            if isinstance(news, Skipped) and news.why == "lost":
                if self._missed is not None:
                    self._missed = None if news.items is None else self._missed + news.items
                return
            self._say_back()
        self._has_shown = self._has_shown or isinstance(news, Item | Live)
        self._tell(news)

    def _say_away(self, why: str) -> None:
        """Say it once, until somebody is there."""
        if not self._is_known and not self._is_waiting:
            self._is_waiting = True
            self._tell(Waiting(why))
        elif self._is_known and not self._is_away:
            self._is_away = True
            self._tell(Lost(why))

    def _say_back(self) -> None:
        self._is_away = False
        self._tell(Back(self._missed))
        self._missed = 0
