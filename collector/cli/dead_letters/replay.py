"""``otlpg dead-letters replay``."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import exit_codes, options, printing
from collector.cli.connecting import load_beside_dev
from collector.cli.dead_letters import filters
from collector.cli.dead_letters.filters import selection_of
from collector.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collector.operate.replay import Replay
    from collector.operate.replay_result import Result
    from collector.settings import Settings
    from collector.store.letter_queries import Selection


def replay(
    ids: filters.Ids = None,
    everything: filters.All = False,
    signal: filters.SignalName = None,
    reason: filters.ReasonName = None,
    outcome: filters.OutcomeName = None,
    since: filters.Since = None,
    until: filters.Until = None,
    as_signal: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="Replay rejected bodies, and as this signal.",
            callback=filters.one_of(filters.SIGNALS),
        ),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Store what letters hold, under their original receive time; what is stored is no letter any more."""
    from collector.operate.replay import Replay
    from collector.operate.replay_result import End
    from collector.rows import Signal
    from collector.telemetry.clock import SystemClock
    from collector.telemetry.probe import Probe

    if bool(ids) == everything:
        raise UsageError("name letters by their ids, or give --all")
    outcome = outcome or (None if ids else "rejected" if as_signal else "quarantined")
    selection = selection_of(signal, reason, outcome, since, until, ids)
    settings = _quiet(config, data_dir)
    as_text = sys.stdout.isatty() and not as_json

    async def run() -> Counter[str]:
        work = Replay(
            settings,
            clock=SystemClock(),
            probe=Probe(),
            as_signal=Signal(as_signal) if as_signal else None,
        )
        try:
            return await _replay(work, selection, as_text)
        finally:
            await work.stop()

    counts = asyncio.run(run())
    printing.note(
        f"{counts['letters']:,} letters: "
        + ", ".join(f"{counts[end]:,} {end}" for end in End if counts[end] or end is End.STORED)
        + f"; {counts['items']:,} items stored, {counts['left']:,} left"
    )
    if ids and counts["letters"] < len(set(ids)):
        raise NotFoundError(f"{len(set(ids)) - counts['letters']} of the letters do not exist")
    if counts[End.KEPT] or counts[End.BUSY] or counts["left"]:
        raise typer.Exit(exit_codes.FAILURE)


def _quiet(config: Path | None, data_dir: Path | None) -> Settings:
    """Return the settings, and send warnings of the stages that a command runs to standard error."""
    from collector.operate.dev import quiet
    from collector.telemetry.logging import configure

    settings = quiet(load_beside_dev(config, data_dir))
    configure(settings.telemetry)
    return settings


async def _replay(work: Replay, selection: Selection, as_text: bool) -> Counter[str]:
    """Replay and print what became of letters; on a terminal, of those that are not wholly stored."""
    from collector.cli.dead_letters import text
    from collector.operate.letters import explained
    from collector.operate.replay_result import REMEDIES, End

    counts: Counter[str] = Counter()
    remedies: set[str] = set()
    with explained("replay dead letters"):
        async for result in work.run(selection):
            _count(counts, result)
            remedies |= REMEDIES.keys() & set(result.why.split(", "))
            if not as_text:
                printing.ascii_json_line({**result._asdict(), "end": str(result.end)})
            elif result.end is not End.STORED or result.left:
                print(text.result_line(result))
    for reason in sorted(remedies):
        printing.note(f"{reason}: {REMEDIES[reason]}, here and in the daemon, and replay again")
    return counts


def _count(counts: Counter[str], result: Result) -> None:
    counts["letters"] += 1
    counts[result.end] += 1
    counts["items"] += result.items
    counts["left"] += result.left
