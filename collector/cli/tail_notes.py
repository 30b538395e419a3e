"""What `otlpg tail` says beside its items: a dim line on standard error for each thing, not too many.

A filtered tail under sampling hears of skipped items with each message of each worker. They are
summed up by reason, and told once a second at most; what is left at the end is told then. Whoever owns
the notes asks now and then whether some are due: a gap that each signal tells of is one line so.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

from collector.cli import printing
from collector.cli.painting import DIM, Brush, Part
from collector.cli.tail_text import note
from collector.operate.tail.news import News, Skipped, Unreadable

Summed: TypeAlias = Skipped | Unreadable

PAUSE_S: Final = 1.0
"""Between two times at which sums are told."""
REASONS_MAX: Final = 8
"""Of which sums are kept apart, whatever a server makes up."""
OTHER_REASONS: Final = "other reasons"


class Notes:
    """Standard error of one tail. ``clock`` only goes forward, in seconds."""

    def __init__(self, brush: Brush, clock: Callable[[], float]) -> None:
        self._brush = brush
        self._clock = clock
        self._told_s = float("-inf")
        self._sums: dict[tuple[type[Summed], str], Summed] = {}

    def tell(self, news: News) -> None:
        """Say it, unless nobody need know; what can be summed up is said when it is due."""
        if isinstance(news, Skipped | Unreadable):
            self._add(news)
            return
        text = note(news)
        if text is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Say something harmless, after what is not told yet."""
        self.tell_rest()
        printing.note(self._line(text))

    def tell_due(self) -> None:
        """Tell the sums, unless others were told a moment ago."""
        if self._sums and self._clock() - self._told_s >= PAUSE_S:
            self.tell_rest()

    def tell_rest(self) -> None:
        """Tell the sums now."""
        for line in self._take():
            printing.note(line)

    def end_at_once(self) -> None:
        """The same in the handler of Ctrl-C: something may be half written, and maybe nobody reads.

        On a terminal the shell's prompt stands below what that shows of Ctrl-C.
        """
        said = "".join(f"{line}\n" for line in self._take())
        error = sys.stderr.fileno()
        if os.isatty(error):
            said = "\n" + said
        if said and select.select([], [error], [], 0)[1]:
            os.write(error, said.encode(sys.stderr.encoding, "backslashreplace"))

    def _add(self, news: Summed) -> None:
        reason = news.why if isinstance(news, Skipped) else news.kind
        if (type(news), reason) not in self._sums and len(self._sums) >= REASONS_MAX:
            reason = OTHER_REASONS
        before = self._sums.get((type(news), reason))
        self._sums[type(news), reason] = _sum(before, news, reason)

    def _take(self) -> list[str]:
        sums, self._sums = self._sums, {}
        if sums:
            self._told_s = self._clock()
        return [self._line(text) for news in sums.values() if (text := note(news)) is not None]

    def _line(self, text: str) -> str:
        return self._brush.line([Part(f"-- {text}", DIM)])


def _sum(before: Summed | None, news: Summed, reason: str) -> Summed:
    """Return both as one; of items of which nobody knows how many, nobody knows the sum."""
    if isinstance(news, Unreadable):
        return Unreadable(
            reason, news.events + (before.events if isinstance(before, Unreadable) else 0)
        )
    if not isinstance(before, Skipped):
        return Skipped(news.signal, news.items, reason)
    known = before.items is not None and news.items is not None
    return Skipped(news.signal, (before.items or 0) + (news.items or 0) if known else None, reason)
