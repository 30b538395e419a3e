"""The catalogue of bad inputs is complete: no number without a proof, and no case that vanished."""

from __future__ import annotations

import re
from pathlib import Path

from tests.catalogue.cases import CASES, RUNS
from tests.catalogue.conversations import CALLED, FLOODS, SPOKEN, SPOKEN_TO_GRPC
from tests.catalogue.coverage import DECIDED_OTHERWISE, ELSEWHERE, LEFT_OUT, NUMBERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def runs_in_all() -> int:
    """Return how many inputs are tried: cases by their transports and company, and conversations."""
    return len(RUNS) + len(SPOKEN) + len(CALLED) + len(FLOODS) + len(SPOKEN_TO_GRPC)


def test_every_number_has_a_proof() -> None:
    """Cases of its own, or tests that exist."""
    entries = (*CASES, *SPOKEN, *CALLED)
    proven = {entry.number for entry in entries} | ELSEWHERE.keys()

    assert proven == NUMBERS.keys()
    assert (LEFT_OUT.keys() | DECIDED_OTHERWISE.keys()) - NUMBERS.keys() == {45, 109, 117}


def test_every_test_that_the_coverage_names_exists() -> None:
    """One that was renamed or deleted turns this red."""
    for names in ELSEWHERE.values():
        for name in names:
            path, _, function = name.partition("::")
            assert not function or f"def {function}(" in (ROOT / path).read_text(), name


def test_no_run_has_vanished() -> None:
    """README says how many there are at the least; printed with ``-s``."""
    found = re.search(r"([\d ]+) runs of a catalogue of bad inputs", README)
    assert found is not None

    print(f"\n{runs_in_all()} runs of the catalogue: {len(CASES)} cases and conversations")  # noqa: T201
    assert runs_in_all() >= int(found[1].replace(" ", ""))


def test_no_two_runs_have_one_name() -> None:
    """Or one of them could not be run by itself."""
    names = [str(run) for run in (*RUNS, *SPOKEN, *CALLED)]

    assert len(set(names)) == len(names)
