"""Every file of the corpus, on every commit: the oracle, and a real PostgreSQL for its rows."""

from __future__ import annotations

from collections import Counter

import pytest

from collector.rows import Signal
from tests.fuzz.case import CORPUS, Encoding, load_all
from tests.fuzz.judge import Judge
from tests.fuzz.oracle import TURN_S_MAX
from tests.fuzz.seeds import seeds

BYTES_MAX = 300_000


def test_the_corpus_holds_every_seed_and_stays_small() -> None:
    """Who adds a seed writes its file, and a file that is no seed is named by its hash."""
    wanted = dict(seeds())
    found = dict(load_all())

    assert {name: found.get(name) for name in wanted} == wanted
    assert all(name == found[name].file_name() for name in found.keys() - wanted.keys())
    assert sum(len(case.data) for case in found.values()) < BYTES_MAX
    assert {case.door for case in found.values()} == {case.door for case in wanted.values()}


@pytest.mark.parametrize("encoding", Encoding)
async def test_every_case_ends_as_it_must(encoding: Encoding, judge: Judge) -> None:
    """No error but the documented ones, balanced books, rows that PostgreSQL takes and gives back."""
    cases = {name: case for name, case in load_all() if case.door.encoding is encoding}
    slowest_s = 0.0
    verdicts: Counter[str] = Counter()

    for name, case in cases.items():
        try:
            judged = await judge.judge(case)
        except Exception as error:
            raise AssertionError(f"{CORPUS.name}/{name}: {error}") from error
        verdicts[judged.verdict] += 1
        slowest_s = max(slowest_s, judged.slowest_s)

    refusals = [refusal for signal in Signal for refusal in await judge.copy(signal)]
    assert not refusals
    assert len(cases) >= 30
    assert len(verdicts) >= 5
    assert (judge.copied_rows > 100) == (encoding is not Encoding.HTTP)
    assert slowest_s < TURN_S_MAX
