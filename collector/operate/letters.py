"""``otlpg dead-letters list|show``: what was set aside, why, and what can be done about it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from collector.errors import (
    CommandError,
    NotFoundError,
    RejectedRequestError,
    StoreError,
    UnlistedStoreError,
)
from collector.operate.letter_request import as_received, letter_converter
from collector.operate.replay_result import REMEDIES, why_not
from collector.query.moments import moment_ns
from collector.query.time_range import stored_time
from collector.rows import Reason, Signal
from collector.store import letter_queries

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest
    from collector.settings import Settings
    from collector.store.letter_queries import Letter, LetterHead, Selection
    from collector.store.pool import Connection

PAGE_LETTERS = 1_000
"""Letters read by one statement."""

_PG_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

EXPLANATIONS: dict[str, str] = {
    Reason.NUL: "a text holds the character NUL, which PostgreSQL does not store",
    Reason.INVALID_UTF8: "a text is not valid UTF-8",
    Reason.INVALID_TRACE_ID: "its trace id does not have 16 bytes, or is all zeros",
    Reason.INVALID_SPAN_ID: "its span id does not have 8 bytes, or is all zeros",
    Reason.UNDECODABLE: "it does not follow protobuf's format, or the format of its signal",
    Reason.TOO_DEEP: "it nests deeper than an OTLP message may",
    Reason.TOO_MANY_PARTS: "it, or what is around it, has more parts than convert.parts_max",
    Reason.TOO_LARGE: "it, or what is around it, is larger than convert.item_bytes_max",
    Reason.ID_COLLISION: "the id of its resource, scope, metric or series belongs to another one",
    Reason.REFUSED_BY_POSTGRES: "PostgreSQL refused its row",
    Reason.WRONG_SIGNAL: "it came to the door of another signal than its own",
}
"""What each reason means, for an operator."""


class Outlook(NamedTuple):
    """Whether a replay would store a letter now, and the next step."""

    replayable: bool
    text: str


@contextmanager
def explained(doing: str) -> Generator[None]:
    """Let a failure that only an operator can mend come out with the way to mend it."""
    try:
        yield
    except StoreError as error:
        if error.is_about_rights:
            raise CommandError(
                f"this role may not {doing}: reading dead letters takes otlpg_read, replaying and "
                "purging them otlpg_ingest or the owner (`otlpg migrate up --roles`)"
            ) from error
        if isinstance(error, UnlistedStoreError):
            raise CommandError(f"PostgreSQL did not {doing}: {error}") from error
        raise


def moment(text: str, *, now_ns: int) -> int:
    """Return what ``--since`` and the like mean, as microseconds since 2000-01-01 UTC.

    Args:
        text: as ``query.moments`` has it; in UTC unless it names its offset.
        now_ns: nanoseconds since 1970.

    Raises:
        UsageError: it is neither, or out of reach.
    """
    return stored_time(moment_ns(text, now_ns=now_ns, zone=UTC))


def iso(received_at: int) -> str:
    """Return microseconds since 2000-01-01 UTC as ISO 8601."""
    try:
        at = _PG_EPOCH + timedelta(microseconds=received_at)
    except OverflowError:  # somebody else wrote it: infinity, or beyond the year 9999
        return f"{received_at} us after 2000-01-01"
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


async def newest(
    connection: Connection, selection: Selection, *, before: int | None, limit: int
) -> AsyncGenerator[LetterHead]:
    """Yield up to ``limit`` letters, newest first, page by page; ``before``: below this id."""
    while limit > 0:
        size = min(limit, PAGE_LETTERS)
        page = await letter_queries.newest_first(connection, selection, before=before, limit=size)
        for head in page:
            yield head
        if len(page) < size:
            return
        limit -= size
        before = page[-1].id


async def get(connection: Connection, letter: int) -> Letter:
    """Return one letter.

    Raises:
        NotFoundError: there is none with this id.
    """
    found = await letter_queries.read(connection, [letter])
    if not found:
        raise NotFoundError(
            f"there is no dead letter {letter}; it may have been replayed or purged"
        )
    return found[0]


def outlook(letter: Letter, settings: Settings) -> Outlook:
    """Tell whether a replay with these settings would store ``letter``; it is tried, in memory."""
    head = letter.head
    if head.outcome == "rejected":
        return _outlook_of_body(letter, settings)
    if why := why_not(head, as_signal=None):
        return Outlook(False, why)
    request = _converted(letter, settings)
    if request is None:
        return Outlook(False, f"it is still no request of {head.signal}")
    reasons = {row.reason for row in request.dead_letters if row.outcome == "quarantined"}
    remedies = "; ".join(REMEDIES[reason] for reason in sorted(reasons & REMEDIES.keys()))
    again = f" ({', '.join(sorted(reasons))})" + (f"; {remedies}" if remedies else "")
    if not request.rows:
        return Outlook(False, f"it would be set aside again{again}")
    if request.quarantined:
        return Outlook(True, f"{len(request.rows)} of {request.items} items would be stored{again}")
    if head.reason == Reason.REFUSED_BY_POSTGRES:
        return Outlook(True, "it converts; whether PostgreSQL takes it now, only a replay can tell")
    return Outlook(True, "it would be stored now")


def _outlook_of_body(letter: Letter, settings: Settings) -> Outlook:
    """Look which signal the whole body may be of."""
    for signal in Signal:
        request = _converted(letter, settings, signal)
        if request is not None and request.rows:
            count = f"{len(request.rows)} of {request.items} items"
            return Outlook(True, f"with --as {signal}: {count} would be stored")
    return Outlook(False, "it is a request of no signal")


def _converted(
    letter: Letter, settings: Settings, as_signal: Signal | None = None
) -> ConvertedRequest | None:
    """Return what the payload becomes; None when it is no such request."""
    try:
        return as_received(letter_converter(settings), letter, as_signal=as_signal)
    except RejectedRequestError:
        return None
