"""Realistic requests become the rows of ``tests/golden/convert``."""

from __future__ import annotations

import pytest

from tests.golden.convert import CASES, FOLDER, path_of, rendered


@pytest.mark.parametrize("case", CASES)
def test_rows_are_those_of_the_golden_file(case: str) -> None:
    """After a change on purpose: ``.venv/bin/python -m tests.golden.convert``."""
    assert rendered(case) == path_of(case).read_text()


def test_every_golden_file_has_its_case() -> None:
    """None is left over from a case that is gone."""
    assert {path.stem for path in FOLDER.iterdir()} == set(CASES)
