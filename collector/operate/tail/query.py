"""What a reader asks the server for: signals, a filter, and how far back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlencode

PATH: Final = "/api/v1/tail"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""What a filter reads as itself, without quotes."""


class Query(NamedTuple):
    """The parameters of one tail. ``since`` is as the server reads it: ``30s``, ``5m``, ``2h``."""

    signal: str = "all"
    filter: str = ""
    lines: int = 0
    since: str | None = None

    def target(self, *, with_stored: bool = True) -> str:
        """Return path and query; without stored items the tail begins with what comes now."""
        parameters = {"signal": self.signal, "q": self.filter}
        if with_stored:
            parameters |= {"n": str(self.lines), "since": self.since or ""}
        return f"{PATH}?{urlencode({name: text for name, text in parameters.items() if text})}"


def term(field: str, value: str) -> str:
    """Return ``field:value``, quoted where a filter would read the value as anything but itself.

    A star in quotes is a star: the value is meant exactly.
    """
    if _PLAIN.fullmatch(value):
        return f"{field}:{value}"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{field}:"{quoted}"'


def filter_of(
    words: Iterable[str],
    *,
    service: str | None = None,
    level: str | None = None,
    trace: str | None = None,
) -> str:
    """Return one filter that means all of these: words of a filter, and options beside it."""
    terms = [
        *([term("service", service)] if service is not None else []),
        *([f"severity:>={level}"] if level is not None else []),
        *([term("trace", trace)] if trace is not None else []),
    ]
    return " ".join([*terms, *words])
