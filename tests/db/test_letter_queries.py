"""Letters found, paged, counted and deleted; and letters of every kind of bytes written by a flush."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collector.convert.letters import letters_of
from collector.errors import RetryableStoreError
from collector.operate import letters
from collector.operate import purge as purging
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


async def test_a_purge_takes_what_was_listed_and_nothing_that_came_later(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pages; other outcomes, younger letters and those that were put afterwards stay."""
    monkeypatch.setattr(purging, "PAGE_LETTERS", 3)
    old = [await put(connection, b"", received_at=NOW - 100) for _ in range(7)]
    await put(connection, b"", received_at=NOW - 100, outcome="repaired")
    await put(connection, b"", received_at=NOW)
    chosen = Selection(outcomes=("quarantined",), until=NOW)

    listed = await purging.listed(connection, chosen)
    await put(connection, b"", received_at=NOW - 100)

    assert (list(listed.ids), listed.precious, listed.more) == (old, 7, False)
    assert await purging.purge(connection, chosen, listed.ids) == (7, 0)
    assert await count(connection, "dead_letters") == 3


async def test_a_purge_leaves_what_nobody_could_count(
    connection: Connection, other_connection: Connection
) -> None:
    """A letter whose transaction was under way has a lower id than one that was counted."""
    async with other_connection.transaction():
        under_way = await put(other_connection, b"")
        counted = await put(connection, b"")
        listed = await purging.listed(connection, Selection())
    assert under_way < counted

    result = await purging.purge(connection, Selection(), listed.ids)

    assert (list(listed.ids), result) == ([counted], (1, 0))
    assert await connection.fetchval("SELECT id FROM dead_letters") == under_way


async def test_a_purge_takes_no_letter_that_bears_another_reason_now(
    connection: Connection,
) -> None:
    """A replay found another one meanwhile; what was confirmed was the old."""
    letter = await put(connection, b"", reason=Reason.TOO_LARGE)
    chosen = Selection(reason=Reason.TOO_LARGE)
    listed = await purging.listed(connection, chosen)
    await letter_queries.note_attempts(connection, {letter: Reason.TOO_DEEP}, timeout_s=5)

    assert await purging.purge(connection, chosen, listed.ids) == (0, 1)


async def test_a_purge_of_very_many_takes_the_oldest_and_says_so(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is bounded, so that memory is."""
    monkeypatch.setattr(purging, "LETTERS_MAX", 2)
    ids = [await put(connection, b"") for _ in range(3)]

    first = await purging.listed(connection, Selection())
    await purging.purge(connection, Selection(), first.ids)
    second = await purging.listed(connection, Selection())

    assert (list(first.ids), first.more) == (ids[:2], True)
    assert (list(second.ids), second.more) == (ids[2:], False)


async def test_a_purge_passes_over_what_a_replay_holds(
    connection: Connection, other_connection: Connection
) -> None:
    """It neither waits nor deletes it, and tells that it is left; what is gone is not."""
    ids = [await put(connection, b"") for _ in range(4)]
    listed = await purging.listed(connection, Selection())
    await connection.execute("DELETE FROM dead_letters WHERE id = $1", ids[3])
    async with other_connection.transaction():
        await other_connection.execute("SELECT FROM dead_letters WHERE id = $1 FOR UPDATE", ids[1])
        result = await purging.purge(connection, Selection(), listed.ids)

    assert result == (2, 1)
    assert await connection.fetchval("SELECT id FROM dead_letters") == ids[1]


@pytest.mark.postgres_versions
async def test_only_the_transaction_itself_tells_that_it_took_a_letter(
    connection: Connection, other_connection: Connection
) -> None:
    """Committed and the letter not there; anything else is no."""
    taken, left = [await put(connection, b"") for _ in range(2)]

    async def take(letter: int, end: str) -> str:
        await connection.execute("BEGIN")
        transaction = await dead_letters.take(connection, [letter], timeout_s=5)
        await connection.execute(end)
        return transaction

    async def is_taken(transaction: str, letter: int) -> bool:
        return await letter_queries.taken_by(
            other_connection, transaction, [letter], lock_s=0.1, timeout_s=5
        )

    aborted = await take(taken, "ROLLBACK")
    assert not await is_taken(aborted, taken)
    committed = await take(taken, "COMMIT")
    assert await is_taken(committed, taken)
    assert not await is_taken(committed, left)  # after a failover, the number of another one
    assert not await is_taken(aborted, taken)  # somebody else took it
    assert not await is_taken(str(int(committed) + 1_000), taken)  # a server that never saw it

    await connection.execute("BEGIN")
    running = await dead_letters.take(connection, [left], timeout_s=5)
    with pytest.raises(RetryableStoreError):
        await is_taken(running, left)
    await other_connection.execute("ROLLBACK")
    await connection.execute("ROLLBACK")


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
