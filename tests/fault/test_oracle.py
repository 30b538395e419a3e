"""The oracle sees each kind of damage, one at a time, and nothing where there is none."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.fault.oracle import Verdict, judge, unbalanced
from tests.fault.records import QUARANTINED, Record, requests

SEED = 7


def sent(*, acknowledged: bool) -> tuple[list[Record], list[str]]:
    """Return twelve requests with several items each, and all their items' texts."""
    records = [
        record
        for record in islice(requests(SEED), 40)
        if len(record.texts()) > 2
    ][:12]  # fmt: skip
    for record in records:
        record.acknowledged = acknowledged
    return records, [text for record in records for text in record.texts()]


def damage(verdict: Verdict) -> dict[str, int]:
    """Return how many items each kind of damage struck."""
    kinds = ("lost", "repeated", "torn", "strange", "failures")
    return {kind: len(found) for kind in kinds if (found := getattr(verdict, kind))}


def test_what_was_acknowledged_and_stored_once_is_fine() -> None:
    """Books that balance give an empty verdict."""
    records, stored = sent(acknowledged=True)

    verdict = judge(records, reversed(stored))

    verdict.assert_promises_kept()
    assert verdict.acknowledged == 12


def test_an_acknowledged_item_that_is_not_there_is_lost() -> None:
    """One missing item is enough."""
    records, stored = sent(acknowledged=True)

    verdict = judge(records, stored[1:])

    assert damage(verdict) == {"lost": 1}
    with pytest.raises(AssertionError, match="1 items lost"):
        verdict.assert_promises_kept()


@pytest.mark.parametrize("acknowledged", [True, False])
def test_an_item_that_is_there_twice_is_repeated(acknowledged: bool) -> None:
    """Nobody may be stored twice, heard or not."""
    records, stored = sent(acknowledged=acknowledged)

    verdict = judge(records, [*stored, stored[0]])

    assert damage(verdict) == {"repeated": 1}


@pytest.mark.parametrize("kept", [0, 1])
def test_an_unacknowledged_request_may_be_stored_or_not(kept: int) -> None:
    """Without an answer the sender knows nothing, so both are right."""
    records, stored = sent(acknowledged=False)

    assert damage(judge(records, stored * kept)) == {}


def test_half_an_unacknowledged_request_is_torn() -> None:
    """A request is one transaction: all of its items or none."""
    records, stored = sent(acknowledged=False)

    assert damage(judge(records, stored[1:])) == {"torn": 1}


def test_an_altered_item_is_lost_and_strange() -> None:
    """Equal means equal in every field."""
    records, stored = sent(acknowledged=True)
    altered = stored[0].replace("shop", "shep", 1)

    assert damage(judge(records, [altered, *stored[1:]])) == {"lost": 1, "strange": 1}


def test_a_bad_item_belongs_into_the_dead_letters_once() -> None:
    """Neither in a table nor twice nor nowhere; so its neighbours' place is settled too."""
    records, stored = sent(acknowledged=True)
    letter = next(text for text in stored if text.startswith(QUARANTINED))
    others = [text for text in stored if text != letter]

    assert damage(judge(records, others)) == {"lost": 1}
    assert damage(judge(records, [*stored, letter])) == {"repeated": 1}
    assert damage(judge(records, [*others, letter.removeprefix(QUARANTINED)])) == {
        "lost": 1,
        "strange": 1,
    }


def test_a_valid_request_must_not_be_refused_for_good() -> None:
    """A reply that forbids the retry is a failure of its own."""
    records, _ = sent(acknowledged=False)
    records[0].failure = "INVALID_ARGUMENT"

    assert damage(judge(records, [])) == {"failures": 1}


def test_equal_seeds_send_equal_requests() -> None:
    """Apart from the time of the run, a seed is enough to send the same again."""
    first, second = (list(islice(requests(SEED), 30)) for _ in range(2))

    assert [record.signal for record in first] == [record.signal for record in second]
    assert [len(record.texts()) for record in first] == [len(record.texts()) for record in second]


def test_books_that_do_not_balance_are_told() -> None:
    """An item that came in and met no end, or two, is as bad as one that is lost."""
    ends = {"received": 5, "stored": 3, "duplicate": 1, "quarantined": 0, "rejected": 0}
    books = {"logs": {**ends, "refused": 1}, "traces": {**ends, "refused": 0}}

    verdict = Verdict(unbalanced=unbalanced(books))

    assert len(verdict.unbalanced) == 1
    with pytest.raises(AssertionError, match=r"the books of traces: .* do not balance"):
        verdict.assert_promises_kept()
