"""``otlpg dead-letters show``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import options, printing
from collector.cli.connecting import load_beside_dev
from collector.cli.dead_letters.filters import ID_MAX, with_letters
from collector.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collector.settings import Settings
    from collector.store.letter_queries import Letter


def show(
    letter: Annotated[int, typer.Argument(help="Id of the letter.", min=1, max=ID_MAX)],
    raw: Annotated[bool, typer.Option("--raw", help="Its exact bytes, and nothing else.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write its exact bytes into a new file.", metavar="FILE"),
    ] = None,
    config: options.Config = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
) -> None:
    """Show one letter: why it was set aside, whether it can be replayed, and what is in it."""
    from collector.operate import letters

    if raw and output is None and sys.stdout.isatty():
        raise UsageError(
            "--raw would send a sender's bytes to the terminal; use a pipe or --output"
        )
    settings = load_beside_dev(config, data_dir).settings
    found = with_letters(config, data_dir, lambda connection: letters.get(connection, letter))
    if output is not None:
        _write(output, found.payload)
    elif raw:
        sys.stdout.buffer.write(found.payload)
    else:
        _print_letter(found, settings, as_text=sys.stdout.isatty() and not as_json)


def _print_letter(letter: Letter, settings: Settings, *, as_text: bool) -> None:
    from collector.cli.dead_letters import text
    from collector.operate.letters import EXPLANATIONS, outlook
    from collector.operate.readable import tree_of
    from collector.rows import Signal

    head = letter.head
    known = head.signal in set(Signal)
    tree = tree_of(Signal(head.signal), letter.payload) if known else None
    explanation = EXPLANATIONS.get(head.reason, "")
    chances = outlook(letter, settings)
    if as_text:
        for line in text.letter_lines(letter, explanation, chances, tree):
            print(line)
    else:
        printing.ascii_json_line(text.letter_map(letter, explanation, chances, tree))


def _write(path: Path, payload: bytes) -> None:
    """Write a new file that only its owner can read."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(payload)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error
    printing.note(f"{len(payload):,} bytes are in {path}")
