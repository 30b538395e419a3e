"""How dead letters are shown: lines of a table, JSON-able maps, and one letter as a text.

Everything that a sender chose, and every text column of the table, goes through ``escaped`` on its
way to a terminal, and through ASCII in JSON.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from collector.cli.printing import escaped

if TYPE_CHECKING:
    from collector.operate.letters import Outlook
    from collector.operate.readable import Tree
    from collector.operate.replay_result import Result
    from collector.store.letter_queries import Group, Letter, LetterHead

TEXT_CHARACTERS_MAX = 200
"""Of one value on a terminal; JSON has it whole."""

COLUMNS = f"{'id':>10}  {'received (UTC)':<19}  {'signal':<7}  {'outcome':<11}  {'reason':<19}"
HEADING = f"{COLUMNS}  {'tries':>5}  {'bytes':>10}"
GROUPS_HEADING = (
    f"{'signal':<7}  {'outcome':<11}  {'reason':<19}  {'letters':>9}  {'bytes':>13}"
    f"  {'first (UTC)':<19}  last (UTC)"
)


def head_line(head: LetterHead) -> str:
    """Return a letter as a line of the table."""
    return (
        f"{head.id:>10}  {_seconds(head.received_at)}  {escaped(head.signal):<7}"
        f"  {escaped(head.outcome):<11}  {escaped(head.reason):<19}"
        f"  {head.attempts:>5}  {head.payload_bytes:>10,}"
    )


def head_map(head: LetterHead) -> dict[str, Any]:
    """Return a letter without its payload."""
    from collector.operate.letters import iso

    return {**head._asdict(), "received_at": iso(head.received_at)}


def group_line(group: Group) -> str:
    """Return letters that are alike as a line of the table."""
    return (
        f"{escaped(group.signal):<7}  {escaped(group.outcome):<11}  {escaped(group.reason):<19}"
        f"  {group.letters:>9,}  {group.payload_bytes:>13,}"
        f"  {_seconds(group.oldest)}  {_seconds(group.newest)}"
    )


def group_map(group: Group) -> dict[str, Any]:
    """Return letters that are alike as a map."""
    from collector.operate.letters import iso

    return {**group._asdict(), "oldest": iso(group.oldest), "newest": iso(group.newest)}


def letter_lines(
    letter: Letter, explanation: str, outlook: Outlook, tree: Tree | None
) -> Iterator[str]:
    """Yield a letter as a person reads it; ``tree`` is None for a signal that nobody knows."""
    from collector.operate.letters import iso

    head = letter.head
    yield f"letter    {head.id}: {escaped(head.signal)}, {escaped(head.outcome)}"
    yield f"received  {iso(head.received_at)}"
    yield f"reason    {escaped(head.reason)}" + (f": {explanation}" if explanation else "")
    yield f"tries     {head.attempts}"
    yield f"replay    {'yes' if outlook.replayable else 'no'}: {outlook.text}"
    yield f"payload   {head.payload_bytes:,} bytes; --raw or --output FILE gives them as they are"
    if tree is None:
        return
    yield ""
    yield from tree_lines(tree.fields)
    if not tree.whole:
        yield ""
        yield "not all of it could be shown: it is broken, not UTF-8, or too large"


def letter_map(
    letter: Letter, explanation: str, outlook: Outlook, tree: Tree | None
) -> dict[str, Any]:
    """Return a whole letter; ``payload`` is exact, ``decoded`` is what a reader made of it."""
    return {
        **head_map(letter.head),
        "explanation": explanation,
        "replayable": outlook.replayable,
        "outlook": outlook.text,
        "payload": base64.b64encode(letter.payload).decode(),
        "decoded": None if tree is None else _finite(tree.fields),
        "decoded_whole": tree is not None and tree.whole,
    }


def result_line(result: Result) -> str:
    """Return what became of a letter as one line."""
    counts = f"{result.items:,} stored" + (f", {result.left:,} left" if result.left else "")
    parts = [counts if result.items else "", result.why]
    return f"{result.letter:>10}  {escaped(result.signal):<7}  {result.end:<9}  " + "; ".join(
        filter(None, parts)
    )


def tree_lines(fields: dict[str, Any], indent: int = 0) -> Iterator[str]:
    """Yield a tree as indented lines; a list is written as its field repeated."""
    for name, value in fields.items():
        values = cast("list[Any]", value) if isinstance(value, list) else [value]
        if isinstance(value, list) and not any(isinstance(one, dict) for one in values):
            yield f"{'  ' * indent}{name}: {_short(', '.join(map(_scalar, values)))}"
            continue
        for one in values:
            if isinstance(one, dict):
                yield f"{'  ' * indent}{name}:"
                yield from tree_lines(cast("dict[str, Any]", one), indent + 1)
            else:
                yield f"{'  ' * indent}{name}: {_short(_scalar(one))}"


def _scalar(value: Any) -> str:
    return f'"{escaped(value)}"' if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    if len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return f"{text[:TEXT_CHARACTERS_MAX]}... ({len(text):,} characters)"


def _seconds(received_at: int) -> str:
    from collector.operate.letters import iso

    return f"{iso(received_at)[:19].replace('T', ' '):<19}"


def _finite(value: Any) -> Any:
    """Return the value with numbers that JSON does not have as texts."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(one) for one in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
