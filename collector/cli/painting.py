"""A line for a terminal: parts in colours, cut to what fits.

Colours are chosen to be readable on dark and on light grounds. Every line ends in the terminal's own
colour, so that a command may be ended between any two lines.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TextIO
from zlib import crc32

DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
BOLD_RED: Final = "1;31"

PALETTE: Final = (
    27, 28, 30, 31, 62, 63, 64, 67, 94, 97, 99, 100, 129, 130, 132, 133, 134, 162, 164,
)  # fmt: skip
"""Of xterm's 256 colours some that differ: contrast at least 3.6 to 1 with black and with white, and
no pure red, which means an error."""

FEW_COLOURS: Final = (32, 34, 35, 36)
"""For a terminal that has no more: green, blue, magenta, cyan."""

CUT: Final = "…"
ASCII_CUT: Final = ">"
MORE: Final = "..."
"""Stands for what is left out where no width bounds it: every terminal can show it."""


class Part(NamedTuple):
    """A piece of a line, harmless already; ``style`` is a sequence of SGR numbers, or nothing."""

    text: str
    style: str = ""


class Brush(NamedTuple):
    """What the terminal can show."""

    colours: bool
    many_colours: bool = False
    encoding: str = "utf-8"
    """What it lacks is written as an escape, which takes as many cells as it has characters."""
    is_ascii: bool = False
    """Whether all that we draw ourselves must be ASCII: bars, charts, the mark of a cut line."""

    @property
    def cut(self) -> str:
        """What stands in the last cell of a line that goes on."""
        return ASCII_CUT if self.is_ascii else CUT

    def colour_of(self, name: str) -> str:
        """Return the style of a name: the same one whenever and wherever it is seen."""
        number = crc32(name.encode("utf-8", "surrogatepass"))
        if self.many_colours:
            return f"38;5;{PALETTE[number % len(PALETTE)]}"
        return str(FEW_COLOURS[number % len(FEW_COLOURS)])

    def line(self, parts: Iterable[Part], width: int | None = None) -> str:
        """Return one line, without its end: at most ``width`` cells, or all of it.

        The last cell of a line that was cut says so. Parts beyond it are not asked for.
        """
        held = map(self._held, parts)
        taken = held if width is None else cut(held, width, self.cut)
        return "".join(self._painted(part) for part in taken)

    def _held(self, part: Part) -> Part:
        """Return a part as the terminal can hold it."""
        if self.encoding == "utf-8" or part.text.isascii():
            return part
        held = part.text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return Part(held, part.style)

    def _painted(self, part: Part) -> str:
        if not (self.colours and part.style and part.text):
            return part.text
        return f"\x1b[{part.style}m{part.text}\x1b[0m"


def cut(parts: Iterable[Part], width: int, mark: str = CUT) -> list[Part]:
    """Return parts of at most ``width`` cells; the last cell of what was cut is the mark.

    Parts beyond it are not asked for.
    """
    taken: list[Part] = []
    used = 0
    for part in parts:
        taken.append(part)
        used += cells(part.text)
        if used > width:
            return [*_first(taken, width - 1), Part(mark, part.style)]
    return taken


def _first(parts: Iterable[Part], free: int) -> Iterator[Part]:
    """Yield as much of the parts as fits into so many cells."""
    for part in parts:
        text = fitting(part.text, free)
        yield Part(text, part.style)
        if text != part.text:
            return
        free -= cells(text)


def cells(text: str) -> int:
    """Return how many cells of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import get_character_cell_size

    return sum(map(get_character_cell_size, text))


def fitting(text: str, free: int) -> str:
    """Return the beginning of a printable text that fits into so many cells."""
    if text.isascii():
        return text[: max(free, 0)]
    from rich.cells import get_character_cell_size

    for place, sign in enumerate(text):
        free -= get_character_cell_size(sign)
        if free < 0:
            return text[:place]
    return text


def brush_for(stream: TextIO, *, no_color: bool) -> Brush:
    """Return what the terminal behind a stream can show; what is no terminal has no colours."""
    from collector.telemetry.logging import wants_colour

    many = "256color" in os.environ.get("TERM", "") or bool(os.environ.get("COLORTERM"))
    encoding = codecs.lookup(stream.encoding or "utf-8").name
    return Brush(
        colours=not no_color and wants_colour(stream),
        many_colours=many,
        encoding=encoding,
        is_ascii=encoding != "utf-8" or _is_c_locale(),
    )


def _is_c_locale() -> bool:
    """Whether the user has said that the terminal is one of ASCII; Python writes UTF-8 even so.

    Where nothing is said, as in a container, it mostly is of UTF-8. What Python itself puts into
    LC_CTYPE then tells nothing.
    """
    return (os.environ.get("LC_ALL") or os.environ.get("LANG")) in {"C", "POSIX"}
