"""How far an export is: a bar on a terminal's standard error, and what it comes to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from collector.cli.counts import ITEMS
from collector.rows import Signal

if TYPE_CHECKING:
    from collector.operate.export.run import Progress


@contextmanager
def shown() -> Generator[Callable[[Progress], None]]:
    """Lend what shows progress: nothing where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(), TextColumn("{task.fields[items]} items"),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("exporting", total=None, items="0")

        def tell(progress: Progress) -> None:
            if progress.when is not None:
                bar.update(
                    task,
                    total=max(progress.when.length_us, 1),
                    completed=progress.done - progress.when.start,
                    items=f"{progress.items.total():,}",
                )

        yield tell


def summary(progress: Progress, written_bytes: int) -> str:
    """Return what an export came to."""
    counts = ", ".join(
        f"{progress.items[signal]:,} {ITEMS[signal]}" for signal in Signal if progress.items[signal]
    )
    return (
        f"{counts or 'nothing'} in {progress.requests:,} requests,"
        f" {written_bytes / 2**20:,.1f} MiB before compression"
    )


def where_to_go_on(progress: Progress) -> str:
    """Return how an export that was ended can go on without sending all of it again."""
    from collector.query.display import rfc3339

    text = rfc3339(progress.done, None)
    return (
        f"all before {text} was taken, or is told above; the same command goes on with"
        f" --from {text}, in the place of any --since or --from"
    )
