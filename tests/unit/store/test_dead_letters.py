"""Moving a row's item to the dead letters."""

from __future__ import annotations

from collector.rows import DeadLetterRow, Reason
from collector.store.dead_letters import quarantine
from tests.converted import log_row, request
from tests.db.writing import payload_of


def test_quarantined_rows_leave_and_their_bytes_stay() -> None:
    """Rows, item numbers, counts and time bounds agree afterwards; order is kept."""
    one = request("a", rows=[log_row(time=10 * n) for n in range(1, 6)], received_at=99)

    quarantine(one, [4, 0], Reason.ID_COLLISION, payload_of)

    assert [row[0] for row in one.rows] == [20, 30, 40]
    assert one.item_indexes == [1, 2, 3]
    assert (one.time_min, one.time_max) == (20, 40)
    assert (one.items, one.quarantined) == (5, 2)
    assert one.dead_letters == [
        DeadLetterRow("logs", 99, "id_collision", "quarantined", b"logs item %d of a" % item)
        for item in (0, 4)
    ]


def test_item_numbers_follow_the_wire() -> None:
    """Rows that were left out before do not shift the item that a row came from."""
    one = request("a", rows=[log_row(time=n) for n in range(3)], item_indexes=[2, 5, 7])

    quarantine(one, [1], Reason.REFUSED_BY_POSTGRES, payload_of)
    quarantine(one, [1], Reason.REFUSED_BY_POSTGRES, payload_of)

    assert one.item_indexes == [2]
    assert [letter.payload for letter in one.dead_letters] == [
        b"logs item 5 of a",
        b"logs item 7 of a",
    ]


def test_nothing_left() -> None:
    """A request without rows has no time bounds."""
    one = request("a", rows=[log_row(time=10)])

    quarantine(one, [0], Reason.REFUSED_BY_POSTGRES, payload_of)

    assert (one.rows, one.item_indexes, one.time_min, one.time_max) == ([], [], 0, 0)
