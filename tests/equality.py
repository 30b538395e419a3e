"""Two OTLP requests say the same, or the test fails and shows what differs."""

from __future__ import annotations

import difflib
from collections import Counter

from collector.restore.equality import item_texts
from tests.factories import ExportRequest

_DIFFS_SHOWN = 3


def assert_same_items(actual: ExportRequest, expected: ExportRequest) -> None:
    """Fail, and show what differs, unless both requests say the same."""
    found, wanted = Counter(item_texts(actual)), Counter(item_texts(expected))
    if found != wanted:
        raise AssertionError(_difference(found - wanted, wanted - found))


def _difference(surplus: Counter[str], missing: Counter[str]) -> str:
    """Return what a reader needs: how many differ, and the nearest pairs side by side."""
    lines = [f"{surplus.total()} items came that should not, {missing.total()} did not come"]
    unmatched = list(surplus.elements())
    for wanted in list(missing.elements())[:_DIFFS_SHOWN]:
        near = max(unmatched, key=lambda found: _likeness(found, wanted), default="")
        if near:
            unmatched.remove(near)
        lines += difflib.unified_diff(
            wanted.splitlines(), near.splitlines(), "expected", "actual", n=4, lineterm=""
        )
    for extra in unmatched[:_DIFFS_SHOWN]:
        lines += ["not expected at all:", extra]
    return "\n".join(lines)


def _likeness(one: str, other: str) -> int:
    """Return how many lines two items share."""
    return (Counter(one.splitlines()) & Counter(other.splitlines())).total()
