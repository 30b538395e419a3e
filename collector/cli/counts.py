"""The live count of `otlpg dev`: one line in place on a terminal, a line per change in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from collector.rows import Signal

if TYPE_CHECKING:
    from collector.telemetry.metrics import Snapshot

ERASE: Final = "\r\x1b[K"
"""To the beginning of the line, and all of it away."""
ITEMS: Final = {Signal.TRACES: "spans", Signal.METRICS: "data points", Signal.LOGS: "log records"}
"""What the items of a signal are called."""
TROUBLE = ("quarantined", "rejected", "refused")


class LiveCounts:
    """Shows how much was stored; ``show`` takes the sum of all counters about once a second.

    On a terminal the cursor stays before the counts, so that a line of the log, which any process of
    the daemon may write, takes their place instead of standing behind them.
    """

    def __init__(self) -> None:
        self._shown = ""
        self._started = False
        self._in_place = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._in_place and self._shown:
            sys.stdout.write(f"{ERASE}{self._shown}\n")  # over what the terminal shows of Ctrl-C
            sys.stdout.flush()

    def start(self) -> None:
        """Begin to show, once the banner stands above."""
        self._started = True
        self._in_place = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.show({})

    def show(self, snapshot: Snapshot) -> None:
        """Show the counts of a snapshot if they changed."""
        text = line(items_by_end(snapshot))
        if not self._started or text == self._shown:
            return
        self._shown = text
        if self._in_place:
            columns = shutil.get_terminal_size().columns
            sys.stdout.write(f"{ERASE}{text[: columns - 1]}\r")
            sys.stdout.flush()
        else:
            print(text, flush=True)


def items_by_end(snapshot: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return how many items of each signal met each end."""
    return {
        (labels[0], labels[1]): int(value)
        for labels, value in snapshot.get("otlpg_items_total", [])
    }


def line(items: Mapping[tuple[str, str], int]) -> str:
    """Return the counts as one line; ends other than stored appear once they have happened."""
    if not any(items.values()):
        return "waiting for the first item"
    stored = ", ".join(
        f"{items.get((signal, 'stored'), 0):,} {name}" for signal, name in ITEMS.items()
    )
    ends = {
        end: sum(items.get((signal, end), 0) for signal in ITEMS) for end in ("duplicate", *TROUBLE)
    }
    others = ", ".join(f"{count:,} {end}" for end, count in ends.items() if count)
    return f"stored {stored}" + (f"; {others}" if others else "")
