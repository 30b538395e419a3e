"""Data to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from typing import Any


def json_line(value: Any) -> None:
    """Print one value as one line of JSON."""
    import orjson

    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def note(text: str) -> None:
    """Tell a person something that is no data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
