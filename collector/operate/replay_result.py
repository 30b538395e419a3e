"""What can become of a replayed letter, and how it is told."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from collector.rows import Reason, Signal

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.store.letter_queries import LetterHead

REMEDIES: dict[str, str] = {
    Reason.TOO_LARGE: "raise convert.item_bytes_max",
    Reason.TOO_MANY_PARTS: "raise convert.parts_max",
}
"""Settings that let items of a reason pass, here and in the daemon."""


class End(StrEnum):
    """What became of a letter."""

    STORED = "stored"  # its items are in their table; what is not is in letters of its own
    DUPLICATE = "duplicate"  # the same bytes came to the right door and are stored already
    KEPT = "kept"  # it still cannot be stored; one attempt more
    SKIPPED = "skipped"  # not one to be replayed
    BUSY = "busy"  # another replay, or a purge, works on it; it may end either way
    GONE = "gone"  # replayed or purged meanwhile


class Result(NamedTuple):
    """What became of one letter, and why."""

    letter: int
    signal: str
    end: End
    items: int = 0  # rows stored
    left: int = 0  # items that are in dead letters still
    why: str = ""


class Replayed(NamedTuple):
    """A letter and what its payload became."""

    head: LetterHead
    request: ConvertedRequest


def why_not(head: LetterHead, *, as_signal: Signal | None) -> str:
    """Return why a letter is not one to be replayed; empty when it is."""
    if head.signal not in set(Signal):
        return "its signal is none that this version knows"
    if head.outcome == "repaired":
        return "its items are stored, repaired; a replay would store them twice; purge it"
    if head.outcome == "rejected" and as_signal is None:
        return "it is a body of another signal; say of which with --as"
    if head.outcome != "rejected" and as_signal is not None:
        return "--as is for letters of outcome rejected"
    return ""


def gone_result(head: LetterHead) -> Result:
    """Return the result of a letter that is not there any more."""
    return Result(head.id, head.signal, End.GONE, why="replayed or purged by somebody else")


def busy_result(head: LetterHead) -> Result:
    """Return the result of a letter that is there and not free."""
    return Result(head.id, head.signal, End.BUSY, why="somebody else works on it; replay again")


def kept_result(head: LetterHead, left: int, why: str) -> Result:
    """Return the result of a letter that stays, with ``left`` items."""
    return Result(head.id, head.signal, End.KEPT, left=left, why=why)


def still_kept(replayed: Replayed) -> tuple[Result, str]:
    """Return the result of a letter without a row, and the reason that it now bears."""
    head, request = replayed
    if request.wrong_signal:
        return kept_result(head, request.items, f"it is no body of {request.signal}"), head.reason
    if not request.quarantined:
        return kept_result(head, 0, f"as {request.signal} it holds no item"), head.reason
    reason = next(row.reason for row in request.dead_letters if row.outcome == "quarantined")
    result = kept_result(head, request.quarantined, reason)
    return result, head.reason if head.outcome == "rejected" else reason


def stored_result(replayed: Replayed, first: bool) -> Result:
    """Return the result of a letter whose transaction is committed.

    Args:
        replayed: the letter and its request.
        first: False when the ledger knew the request.
    """
    head, request = replayed
    if not first:
        return Result(head.id, head.signal, End.DUPLICATE, why="the same bytes are stored already")
    reasons = {row.reason for row in request.dead_letters if row.outcome == "quarantined"}
    why = ", ".join(sorted(reasons))
    if not request.rows:  # all of it refers to ids of others: it is a letter again, a new one
        return kept_result(head, request.quarantined, why)
    return Result(
        head.id, head.signal, End.STORED, len(request.rows), left=request.quarantined, why=why
    )
