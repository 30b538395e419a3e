"""What became of the items of one request: sent against found, and what the sender was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from collector.operate.verify.marked import BAD

if TYPE_CHECKING:
    from collector.operate.verify.look import Seen
    from collector.operate.verify.marked import Marked


class End(StrEnum):
    """Where a marked item ended; each ends at exactly one of them."""

    STORED = "stored"  # acknowledged, and there once as it was sent
    QUARANTINED = "quarantined"  # the bad one of a round, in dead_letters as it should be
    UNHEARD = "unheard"  # there, though nobody said OK
    REFUSED = "refused"  # not there, and nobody said OK
    UNREAD = "unread"  # acknowledged; nobody could look
    LOST = "lost"  # acknowledged, or a part of a stored request, and not there
    DUPLICATED = "duplicated"  # there more than once
    ALTERED = "altered"  # there, but not as it was sent
    REJECTED = "rejected"  # refused for good, though valid


ALARMS = frozenset({End.LOST, End.DUPLICATED, End.ALTERED, End.REJECTED})
"""A promise was broken."""

Told = Literal["acknowledged", "refused", "rejected"]
"""What the sender knows in the end."""


class Finding(NamedTuple):
    """One item that ended; ``found`` is the text of the row where that differs from the sent one."""

    key: str
    end: End
    found: str = ""


def judge(
    sent: Mapping[str, str], found: Iterable[tuple[str, str]] | None, told: Told
) -> list[Finding]:
    """Return the end of each item of one request.

    Texts are those of ``restore.equality``. Rows under other keys are other rounds' or other
    senders', and are not looked at.

    Args:
        sent: text of each item by its key.
        found: key and text of each row, all read in one snapshot; None when nobody could look.
        told: what the sender heard.
    """
    if found is None:
        return [Finding(key, _UNSEEN[told]) for key in sent]
    texts: dict[str, list[str]] = defaultdict(list)
    for key, text in found:
        if key in sent:
            texts[key].append(text)
    missing = End.LOST if told == "refused" and texts else _MISSING[told]
    return [_end(key, sent[key], texts.get(key, ()), told, missing) for key in sent]


def judge_request(
    marked: Marked, seen: Seen | None, told: Told, after_letter: int | None
) -> list[Finding]:
    """Return the end of each item, the bad one included where there is one."""
    findings = judge(marked.items, seen and seen.rows, told)
    if after_letter is None:
        return findings
    if seen is None or not seen.has_letter:
        [missing] = judge({BAD: ""}, seen and [], told)
        return [*findings, missing]
    return [*findings, Finding(BAD, End.QUARANTINED)]


_UNSEEN: Mapping[Told, End] = {
    "acknowledged": End.UNREAD,
    "refused": End.REFUSED,
    "rejected": End.REJECTED,
}
_MISSING: Mapping[Told, End] = {
    "acknowledged": End.LOST,
    "refused": End.REFUSED,
    "rejected": End.REJECTED,
}


def _end(key: str, wanted: str, rows: Iterable[str], told: Told, missing: End) -> Finding:
    texts = list(rows)
    if not texts:
        return Finding(key, missing)
    if len(texts) > 1:
        return Finding(key, End.DUPLICATED)
    if texts[0] != wanted:
        return Finding(key, End.ALTERED, texts[0])
    return Finding(key, End.STORED if told == "acknowledged" else End.UNHEARD)
