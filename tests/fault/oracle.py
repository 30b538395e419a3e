"""The judge of every fault test: PostgreSQL's content against the sender's books, and the daemon's.

An acknowledged request: each good item stored, each bad one in the dead letters, exactly once and
equal to what was sent. One that was never acknowledged: all of its items once, or none of them.
Nothing else is in the tables. Of what the daemon received, every item met one end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.fault.records import Record

SHOWN = 3


@dataclass
class Verdict:
    """What is wrong, as examples and counts; all empty when the promises were kept."""

    acknowledged: int = 0
    unacknowledged: int = 0
    lost: list[str] = field(default_factory=list[str])
    repeated: list[str] = field(default_factory=list[str])
    torn: list[str] = field(default_factory=list[str])
    strange: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])
    unbalanced: list[str] = field(default_factory=list[str])

    def assert_promises_kept(self) -> None:
        """Fail and show examples unless every promise was kept."""
        wrong = {
            "lost: acknowledged, but not stored as sent": self.lost,
            "repeated: stored more than once": self.repeated,
            "torn: some items of an unacknowledged request stored, others not": self.torn,
            "strange: stored, but never sent like this": self.strange,
            "refused for good, though valid": self.failures,
        }
        found = [
            f"{len(examples)} items {what}, for example\n" + "\n".join(examples[:SHOWN])
            for what, examples in wrong.items()
            if examples
        ]
        found += [f"the books of {books} do not balance" for books in self.unbalanced]
        assert not found, "\n".join(found)


def judge(records: Iterable[Record], stored: Iterable[str]) -> Verdict:
    """Return what is wrong with ``stored``, the texts of all items as ``Record.texts`` gives them.

    The items of all ``records`` must be pairwise unlike, or a lost one could hide behind its twin.
    """
    verdict = Verdict()
    left = Counter(stored)
    sent: set[str] = set()
    for record in records:
        texts = record.texts()
        assert sent.isdisjoint(texts), "two requests hold an equal item"
        assert len(set(texts)) == len(texts), "a request holds an item twice"
        sent.update(texts)
        _judge_one(verdict, record, {text: left.pop(text, 0) for text in texts})
    verdict.strange = list(left)
    return verdict


def _judge_one(verdict: Verdict, record: Record, counts: dict[str, int]) -> None:
    """Judge one request by how often each of its items is stored."""
    if record.failure is not None:
        verdict.failures.append(record.failure)
    verdict.repeated += [text for text, count in counts.items() if count > 1]
    missing = [text for text, count in counts.items() if count == 0]
    if record.acknowledged:
        verdict.acknowledged += 1
        verdict.lost += missing
        return
    verdict.unacknowledged += 1
    if len(missing) < len(counts):
        verdict.torn += missing


def unbalanced(books: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the books, by signal, in which ``received`` is not the sum of the five ends."""
    return [
        f"{signal}: {dict(ends)}"
        for signal, ends in books.items()
        if ends["received"] != sum(count for end, count in ends.items() if end != "received")
    ]
