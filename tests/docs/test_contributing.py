"""The tour of CONTRIBUTING leads to places that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_place_of_the_tour_exists() -> None:
    """A function that moved or was renamed turns this red, and so does a file."""
    places: list[tuple[str, str]] = re.findall(r"`([\w/]+\.\w+)::(\w+)`", CONTRIBUTING)

    assert len(places) >= 15
    for path, name in places:
        source = (ROOT / path).read_text()
        assert re.search(rf"\b(?:def|class) {name}\b", source), f"{path}::{name}"


def test_every_path_is_there() -> None:
    """Each file or folder of the repository that is named exists."""
    paths = set(re.findall(r"`((?:collector|tests|deploy)/[\w/.]*\w/?)`", CONTRIBUTING))

    assert len(paths) >= 5
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_command_of_make_is_a_target() -> None:
    """`make x` is in the Makefile, wherever it is named."""
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(re.findall(r"`make ([a-z-]+)`", CONTRIBUTING)) <= set(targets)
