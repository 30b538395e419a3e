"""Small charts for a terminal: values over time in braille dots, or in one line of blocks.

A dot has a place in a cell of two by four; values are joined where no step between them is empty.
Where the terminal's encoding lacks braille, a star stands for a cell that has dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille cell, by column and row. Spec: Unicode, block U+2800."""
_BRAILLE: Final = 0x2800
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = "_.-~=+*#"

Values = Mapping[int, float]
"""Value by the number of its step."""


class Range(NamedTuple):
    """Between which values a chart lies."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return the range of finite values; one of some height where all are equal or none is."""
        finite = [value for value in values if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        if low >= 0 and low < high / 2:
            low = 0.0
        return cls(low, high) if high > low else cls(low - 0.5, low + 0.5)

    def part(self, value: float) -> float:
        """Return how high a value lies, 0 to 1."""
        height = self.high / 2 - self.low / 2  # the whole may be beyond what a double holds
        if height == 0:  # equal, and too large or too small for a half to make a difference
            return 0.5
        return min(max((value / 2 - self.low / 2) / height, 0.0), 1.0)


def rows(
    values: Values, steps: int, *, width: int, height: int, shown: Range, is_ascii: bool = False
) -> list[str]:
    """Return the rows of a chart, the highest first.

    Shape: ``height`` texts of ``width`` cells.
    """
    grid = [[0] * width for _ in range(height)]
    for x, y in _dots(values, steps, width * 2, height * 4, shown):
        grid[height - 1 - y // 4][x // 2] |= _DOTS[x % 2][3 - y % 4]
    if is_ascii:
        return ["".join("*" if cell else " " for cell in row) for row in grid]
    return ["".join(chr(_BRAILLE + cell) if cell else " " for cell in row) for row in grid]


def _dots(
    values: Values, steps: int, width: int, height: int, shown: Range
) -> Iterator[tuple[int, int]]:
    """Yield the places of all dots; several times, perhaps."""
    places = {
        step: (step * width // max(1, steps), round(shown.part(value) * (height - 1)))
        for step, value in sorted(values.items())
        if math.isfinite(value)
    }
    yield from places.values()
    for before, after in pairwise(places):
        if after - before == 1:
            yield from _between(places[before], places[after])


def _between(a: tuple[int, int], b: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield a straight line of dots."""
    (x, y), (end_x, end_y) = a, b
    count = max(abs(end_x - x), abs(end_y - y), 1)
    for n in range(1, count):
        yield x + (end_x - x) * n // count, y + (end_y - y) * n // count


def sparkline(
    values: Values, steps: int, *, width: int, shown: Range, is_ascii: bool = False
) -> str:
    """Return one line of blocks; a cell has the mean of its steps, and is empty without any."""
    by_cell: dict[int, list[float]] = {}
    for step, value in values.items():
        if math.isfinite(value):
            by_cell.setdefault(step * width // max(1, steps), []).append(value)
    blocks = _ASCII_BLOCKS if is_ascii else _BLOCKS
    return "".join(
        blocks[round(shown.part(math.fsum(v / len(own) for v in own)) * (len(blocks) - 1))]
        if (own := by_cell.get(cell))
        else " "
        for cell in range(width)
    )


def number_text(value: float) -> str:
    """Return a value in at most four digits and a thousand's sign, or as a power of ten."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    for sign, size in (
        ("T", 1e12),
        ("G", 1e9),
        ("M", 1e6),
        ("k", 1e3),
        ("", 1.0),
        ("m", 1e-3),
        ("µ", 1e-6),
    ):
        if size <= abs(value) < size * 1e3:
            return f"{value / size:.4g}{sign}"
    return f"{value:.3g}"
