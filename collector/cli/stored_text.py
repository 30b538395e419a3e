"""Stored values as a person reads them, fit for a terminal.

Everything that a sender wrote goes through ``escaped``. What breaks the contract is shown as far as
it can be read; nothing of it raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from collector.cli.painting import DIM, MORE, Part
from collector.cli.printing import escaped, escaped_json

TEXT_CHARACTERS_MAX: Final = 32_768
"""Of one text where no width bounds it; an item that is shown whole is in --json."""


def attribute_parts(attributes: Mapping[str, Any]) -> Iterator[Part]:
    """Yield each attribute as `` key=value``; a key that begins with ``$`` stands there doubled."""
    for key, value in attributes.items():
        shown_key = key[1:] if key.startswith("$$") else key
        yield Part(f" {word(shown_key)}={value_text(value)}", DIM)


def value_text(value: Any) -> str:
    """Return a stored value as a person reads it; the forms are those of ``convert.values``."""
    if isinstance(value, str):
        return word(value)
    if isinstance(value, dict) and len(cast("dict[str, Any]", value)) == 1:
        [(key, content)] = cast("dict[str, Any]", value).items()
        if key == "$double" and isinstance(content, str):
            return word(content)
        if key == "$bytes" and isinstance(content, str):
            return f"base64:{clipped(content)}"
    return escaped_json(value)


def word(text: str) -> str:
    """Return a text that ends where it seems to end: in quotes, unless it is one plain word."""
    shown = clipped(text)
    if text and not any(sign in ' "=' for sign in text):
        return shown
    return '"' + shown.replace('"', '\\"') + '"'


def clipped(text: str) -> str:
    """Return a text escaped, and its beginning where it is very long."""
    return (
        escaped(text)
        if len(text) <= TEXT_CHARACTERS_MAX
        else f"{escaped(text[:TEXT_CHARACTERS_MAX])}{MORE}"
    )


def duration_text(duration_ns: Any) -> str:
    """Return a duration in the unit that a person would choose."""
    if not isinstance(duration_ns, int) or isinstance(duration_ns, bool):
        return "?"
    if abs(duration_ns) < 1_000:
        return f"{duration_ns}ns"
    for unit, unit_ns in (("us", 10**3), ("ms", 10**6)):
        if abs(duration_ns) < 1_000 * unit_ns:
            number = duration_ns / unit_ns
            return f"{number:.{0 if abs(number) >= 100 else 1}f}{unit}"
    return f"{duration_ns // 10**7 / 100:,.2f}s" if abs(duration_ns) < 2**63 else "?"
