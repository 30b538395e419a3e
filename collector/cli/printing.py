"""Data to standard output, everything else to standard error."""

from __future__ import annotations

import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that Python calls printable, and of which nothing can be seen: joiners, fillers
and variation selectors. A text can be hidden in them.

Spec: Unicode, DerivedCoreProperties.txt, Default_Ignorable_Code_Point; those that are not of the
categories C and Z.
"""

_NOT_ASCII: Final = re.compile("[^\x00-\x7e]")


def json_line(value: Any) -> None:
    """Print one value as one line of JSON."""
    import orjson

    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def ascii_json_line(value: Any) -> None:
    """Print one value as one line of JSON in ASCII, however a sender meant to harm a terminal."""
    import json

    # DEL is ASCII and no terminal's business; C1 and bidi controls are not ASCII.
    sys.stdout.write(json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n")


def ascii_json(text: str) -> str:
    """Return the same JSON in ASCII: what is not, stands in strings, where JSON can escape it."""
    import json

    if text.isascii() and "\x7f" not in text:
        return text
    return _NOT_ASCII.sub(
        lambda found: "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1], text
    )


def escaped(text: str) -> str:
    """Return ``text`` as a terminal may show it: on one line, and nothing in it is a command.

    Whatever is not printable (control characters, ANSI escapes, bidi controls, zero widths, lone
    surrogates) or cannot be seen is written as Python writes it in a literal, and so is the
    backslash.
    """
    if text.isprintable() and "\\" not in text and (text.isascii() or not INVISIBLE.search(text)):
        return text
    return "".join(
        sign
        if sign.isprintable() and sign != "\\" and not INVISIBLE.match(sign)
        else sign.encode("unicode_escape").decode()
        for sign in text
    )


def escaped_json(value: Any) -> str:
    """Return a value as JSON that a terminal may show: the same value, by JSON's own escapes."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable() and (text.isascii() or not INVISIBLE.search(text)):
        return text
    return "".join(
        sign if sign.isprintable() and not INVISIBLE.match(sign) else json.dumps(sign)[1:-1]
        for sign in text.replace("\x7f", "\\u007f")
    )


def escaped_lines(text: str) -> str:
    """Return ``text`` escaped line by line: its line feeds are ours, nothing else in it need be."""
    return "\n".join(map(escaped, text.split("\n")))


def utc(unix_nano: int) -> str:
    """Return a moment as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(unix_nano / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def note(text: str) -> None:
    """Tell a person something that is no data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def own_command() -> str:
    """Return how this very command is typed in another terminal at the same place."""
    if shutil.which("otlpg"):
        return "otlpg"
    typed = Path(sys.argv[0])
    if typed.name != "otlpg":
        return f"{sys.executable} -m collector"
    typed = typed.absolute()
    return str(typed.relative_to(Path.cwd()) if typed.is_relative_to(Path.cwd()) else typed)
