"""Standard streams that whoever started us has closed: ``otlpg logs >&-``.

Python has None in the place of such a stream, and the next file or connection that is opened gets its
number: whatever then writes to standard error writes into that.
"""

from __future__ import annotations

import io
import os
import sys

from collector.errors import CommandError


class ClosedOutput(io.TextIOBase):
    """Standard output, closed: a command that has nothing to print does not notice."""

    def fileno(self) -> int:
        """Return its number, behind which is nothing."""
        return 1

    def write(self, _text: str, /) -> int:
        """Refuse every text, an empty one too.

        Raises:
            CommandError: always.
        """
        raise CommandError("standard output is closed")


def require_output() -> None:
    """Return if standard output is there; for a command that would print only much later.

    Raises:
        CommandError: it is closed.
    """
    if isinstance(sys.stdout, ClosedOutput):
        sys.stdout.write("")


def replace_closed() -> None:
    """Put something into the place of each closed stream: the end of a file, or nowhere.

    Notes on a closed standard error are lost, as is meant by closing it; data on a closed standard
    output is an error, once there is some.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number, which is this one
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] -- typeshed hides it
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 -- for good
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = ClosedOutput()
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 -- for good
