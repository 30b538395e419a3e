"""operate.verify without a server: the judge's table, and what a round is made of."""

from __future__ import annotations

import pytest

from collector.operate.verify.judge import End, Told, judge
from collector.operate.verify.marked import Marker, mark
from collector.rows import Signal

SENT = {"a": "1", "b": "2"}
BOTH = [("a", "1"), ("b", "2")]


def marker(number: int = 1) -> Marker:
    """Return the marker of a round; rounds follow each other by a second."""
    began = 1_800_000_000_000_000_000
    return Marker("here", "run", number, began, began + number * 1_000_000_000)


@pytest.mark.parametrize(
    ("told", "found", "ends"),
    [
        ("acknowledged", BOTH, [End.STORED, End.STORED]),
        ("acknowledged", [], [End.LOST, End.LOST]),
        ("acknowledged", [("a", "1"), *BOTH], [End.DUPLICATED, End.STORED]),
        ("acknowledged", [("a", "1"), ("b", "other")], [End.STORED, End.ALTERED]),
        ("acknowledged", [*BOTH, ("of another round", "1")], [End.STORED, End.STORED]),
        ("acknowledged", None, [End.UNREAD, End.UNREAD]),
        ("refused", [], [End.REFUSED, End.REFUSED]),
        ("refused", BOTH, [End.UNHEARD, End.UNHEARD]),
        ("refused", [("a", "1")], [End.UNHEARD, End.LOST]),  # one request is one transaction
        ("refused", [*BOTH, ("b", "2")], [End.UNHEARD, End.DUPLICATED]),
        ("refused", None, [End.REFUSED, End.REFUSED]),
        ("rejected", [], [End.REJECTED, End.REJECTED]),
        ("rejected", None, [End.REJECTED, End.REJECTED]),
    ],
)
def test_each_item_meets_one_end(
    told: Told, found: list[tuple[str, str]] | None, ends: list[End]
) -> None:
    """What was heard and what is there decide; rows of others do not count."""
    assert [finding.end for finding in judge(SENT, found, told)] == ends


@pytest.mark.parametrize("signal", Signal)
def test_a_round_can_be_made_again_and_is_unlike_the_next(signal: Signal) -> None:
    """The same marker, the same bytes; another round shares no item and no key with it."""
    one, again, other = mark(signal, marker()), mark(signal, marker()), mark(signal, marker(2))

    assert one.request == again.request
    assert one.items == again.items
    assert one.items.keys().isdisjoint(other.items)
    assert set(one.items.values()).isdisjoint(other.items.values())


def test_the_bad_item_is_none_of_those_to_be_found() -> None:
    """It goes with the spans, and nothing of it is expected in a table."""
    plain = mark(Signal.TRACES, marker())
    spoilt = mark(Signal.TRACES, marker(), with_bad_item=True)

    assert spoilt.items == plain.items
    assert spoilt.bad is not None
    assert spoilt.bad not in spoilt.items.values()
    assert mark(Signal.LOGS, marker(), with_bad_item=True).bad is None
