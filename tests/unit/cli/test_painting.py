"""cli.painting: colours that can be read, and lines that fit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.painting import CUT, PALETTE, RED, Brush, Part, brush_for, cells

PLAIN = Brush(colours=False)
LEVELS = (0, 95, 135, 175, 215, 255)


def luminance(colour: int) -> float:
    """Return the relative luminance of a colour of xterm's cube.

    Spec: W3C WCAG 2.1, "relative luminance".
    """
    place = colour - 16
    channels = (LEVELS[place // 36], LEVELS[place // 6 % 6], LEVELS[place % 6])
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in channels)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", PALETTE)
def test_every_colour_can_be_read_on_dark_and_on_light(colour: int) -> None:
    """Contrast of at least 3.6 to 1 with both."""
    light = luminance(colour)

    assert 1.05 / (light + 0.05) >= 3.6
    assert (light + 0.05) / 0.05 >= 3.6


def test_a_name_has_one_colour() -> None:
    """Whenever and wherever; names spread over the palette, and any text is a name."""
    brush = Brush(colours=True, many_colours=True)

    assert brush.colour_of("checkout") == brush.colour_of("checkout") == "38;5;129"
    assert len({brush.colour_of(f"service-{n}") for n in range(500)}) == len(PALETTE)
    assert Brush(colours=True).colour_of("\ud800") in {"32", "34", "35", "36"}


def test_colours_end_with_their_part() -> None:
    """The terminal is left as it was found, also by a line that is cut."""
    brush = Brush(colours=True)
    parts = [Part("a "), Part("red", RED), Part("", RED), Part(" b")]

    assert brush.line(parts) == "a \x1b[31mred\x1b[0m b"
    assert brush.line(parts, 4) == f"a \x1b[31mr\x1b[0m\x1b[31m{CUT}\x1b[0m"
    assert PLAIN.line(parts) == "a red b"


@pytest.mark.parametrize(
    ("texts", "width", "shown"),
    [
        (["abc", "def"], 6, "abcdef"),
        (["abc", "def"], 5, f"abcd{CUT}"),
        (["abc", "def"], 3, f"ab{CUT}"),
        (["abc"], 1, CUT),
        (["東京", "x"], 5, "東京x"),
        (["東京", "x"], 4, f"東{CUT}"),
        (["東京"], 3, f"東{CUT}"),
        (["e\u0301e\u0301e\u0301"], 3, "e\u0301e\u0301e\u0301"),
        (["🙂🙂"], 4, "🙂🙂"),
    ],
)
def test_a_line_is_cut_to_the_cells_that_there_are(
    texts: list[str], width: int, shown: str
) -> None:
    """A wide letter takes two, a mark none; the last cell says that more would follow."""
    assert PLAIN.line(map(Part, texts), width) == shown


@pytest.mark.parametrize(
    ("encoding", "locale", "is_ascii"),
    [
        ("utf-8", "en_US.UTF-8", False),
        ("utf-8", "", False),
        ("utf-8", "C", True),
        ("utf-8", "POSIX", True),
        ("cp437", "", True),
        ("ascii", "en_US.UTF-8", True),
    ],
)
def test_one_thing_says_whether_we_draw_in_ascii(
    encoding: str, locale: str, is_ascii: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars, charts and the mark of a cut line never disagree about a terminal."""
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.delenv("LANG", raising=False)

    brush = brush_for(io.TextIOWrapper(io.BytesIO(), encoding=encoding), no_color=True)

    assert brush.is_ascii == is_ascii
    assert brush.cut.isascii() == is_ascii


@given(st.lists(st.text("ab東🙂e\u0301 ", max_size=8), max_size=6), st.integers(1, 30))
def test_no_line_is_wider_than_it_may_be(texts: list[str], width: int) -> None:
    """And one that fits is whole."""
    line = PLAIN.line(map(Part, texts), width)

    assert cells(line) <= width
    assert line == "".join(texts) or (line.endswith(CUT) and cells("".join(texts)) > width)
