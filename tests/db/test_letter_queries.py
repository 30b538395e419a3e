"""Letters found, paged, counted and deleted; and letters of every kind of bytes written by a flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.convert.letters import letters_of
from collector.operate import letters
from collector.rows import DeadLetterRow, Reason, Signal
from collector.store import dead_letters, letter_queries
from collector.store.letter_queries import Selection
from tests.converted import request
from tests.db.lettering import put
from tests.db.writing import NOW, count
from tests.factories import request_of
from tests.unit.convert.converting import convert

if TYPE_CHECKING:
    from collector.store.pool import Connection

ODD = [b"", b"\0", b"\xff\xfe", b"\\x00'\";--", bytes(range(256)) * 300]


@pytest.mark.parametrize("reason", Reason)
async def test_a_letter_of_any_bytes_is_written(connection: Connection, reason: Reason) -> None:
    """Whatever the reason and the bytes, the insert succeeds and they come back exactly."""
    rows = [
        DeadLetterRow(signal, NOW, reason, outcome, payload)
        for signal in Signal
        for outcome in ("quarantined", "repaired", "rejected")
        for payload in ODD
    ]

    written = await dead_letters.write(connection, [request(dead_letters=rows)], timeout_s=10)
    found = await connection.fetch(
        "SELECT signal, received_at, reason, outcome, payload, attempts FROM dead_letters ORDER BY id"
    )

    assert written == len(rows)
    assert [DeadLetterRow(*row) for row in found] == rows


async def test_pages_meet_without_gap_or_overlap(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest first over several pages, from below an id, up to the limit."""
    monkeypatch.setattr(letters, "PAGE_LETTERS", 3)
    ids = [await put(connection, b"") for _ in range(10)]

    async def listed(before: int | None, limit: int) -> list[int]:
        found = letters.newest(connection, Selection(), before=before, limit=limit)
        return [head.id async for head in found]

    assert await listed(None, 100) == ids[::-1]
    assert await listed(None, 7) == ids[:2:-1]
    assert await listed(ids[4], 3) == [ids[3], ids[2], ids[1]]
    assert await listed(ids[0], 3) == []


async def test_a_purge_takes_what_was_chosen_and_nothing_that_came_later(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches; other outcomes, younger letters and those above the last id stay."""
    monkeypatch.setattr(letters, "PAGE_LETTERS", 3)
    old = [await put(connection, b"", received_at=NOW - 100) for _ in range(7)]
    await put(connection, b"", received_at=NOW - 100, outcome="repaired")
    await put(connection, b"", received_at=NOW)
    last = await letter_queries.last_id(connection)
    await put(connection, b"", received_at=NOW - 100)
    chosen = Selection(outcomes=("quarantined",), until=NOW)

    batches = [ids async for ids in letters.purge(connection, chosen, last=last)]

    assert batches == [old[:3], old[3:6], old[6:]]
    assert await count(connection, "dead_letters") == 3


async def test_a_purge_passes_over_what_a_replay_holds(
    connection: Connection, other_connection: Connection
) -> None:
    """It neither waits nor deletes it."""
    ids = [await put(connection, b"") for _ in range(3)]
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters WHERE id = $1 FOR UPDATE", ids[1])
        batches = [b async for b in letters.purge(connection, Selection(), last=ids[-1])]

    assert batches == [[ids[0], ids[2]]]


def test_letters_of_a_replayed_request_know_its_attempts() -> None:
    """Those of items that PostgreSQL refuses, made after the conversion, too."""
    one = convert(Signal.LOGS, request_of(Signal.LOGS, items=3))
    one.attempts = 4

    steps = letters_of(one, {1: Reason.REFUSED_BY_POSTGRES})
    made: list[DeadLetterRow] = []
    while not made:
        try:
            next(steps)
        except StopIteration as end:
            made = end.value

    assert [row.attempts for row in made] == [4]
