"""query.snapshot: which transactions a reader saw."""

from __future__ import annotations

import pytest

from collector.query.snapshot import Snapshot


def test_a_snapshot_is_read_as_postgres_writes_it() -> None:
    """Its text holds everything."""
    found = Snapshot.parse("795:799:795,797")

    assert found == Snapshot(795, 799, frozenset({795, 797}))
    assert str(found) == "795:799:795,797"


def test_what_was_over_is_seen_and_what_ran_is_not() -> None:
    """Below xmin all is seen, from xmax on nothing."""
    found = Snapshot.parse("795:799:795,797")

    assert [xid for xid in range(793, 801) if found.sees(xid)] == [793, 794, 796, 798]


def test_a_quiet_server_has_nothing_running() -> None:
    """Then xmin is xmax."""
    found = Snapshot.parse("10:10:")

    assert found.sees(9)
    assert not found.sees(10)


@pytest.mark.parametrize("text", ["", "1:2", "a:b:c", "1:2:3:4"])
def test_another_text_is_no_snapshot(text: str) -> None:
    """A message from elsewhere may hold anything."""
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Snapshot.parse(text)
