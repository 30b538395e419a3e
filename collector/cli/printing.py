"""Data to standard output, everything else to standard error."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any


def json_line(value: Any) -> None:
    """Print one value as one line of JSON."""
    import orjson

    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def note(text: str) -> None:
    """Tell a person something that is no data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def own_command() -> str:
    """Return how this very command is typed in another terminal at the same place."""
    if shutil.which("otlpg"):
        return "otlpg"
    typed = Path(sys.argv[0])
    if typed.name != "otlpg":
        return f"{sys.executable} -m collector"
    typed = typed.absolute()
    return str(typed.relative_to(Path.cwd()) if typed.is_relative_to(Path.cwd()) else typed)
