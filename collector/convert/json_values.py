"""How many values a JSON text holds, told without parsing it.

Parsed, a value of two bytes takes up to 230: 8 MiB of ``{},{},{}`` took 673 MiB and a third of a second
in one turn. So they are counted first, by the signs in front of each: a comma or a bracket. That is
at most too many, since texts may hold such signs too; only when it is too many are the texts left
out, in turns.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

VALUES_MAX: Final = 1_100_000
"""8 MiB of the smallest attributes, ``{"key":"k","value":{"intValue":"1"}}``, count for 880 000."""

BYTES_PER_TURN: Final = 2**18
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_SIGNS: Final = (b",", b"{", b"[")


def has_too_many_values(body: bytes) -> Generator[None, None, bool]:
    """Return whether ``body`` holds more than ``VALUES_MAX``; yield now and then.

    An object or array counts twice. Exact for valid JSON; in any other text the answer does not
    matter, but the time does: it grows with the length and nothing else, whatever is not closed.
    """
    if _signs_in(body) <= VALUES_MAX:
        return False
    values, start, in_text = 0, 0, 0
    while start < len(body):
        part = body[start : start + BYTES_PER_TURN]
        if (len(part) - len(part.rstrip(b"\\"))) % 2:  # what it escapes belongs to it
            part = body[start : start + BYTES_PER_TURN + 1]
        start += len(part)
        pieces = _ESCAPED.sub(b"", part).split(b'"')
        values += _signs_in(b"".join(pieces[in_text::2]))
        in_text = (in_text + len(pieces) - 1) % 2
        if values > VALUES_MAX:
            return True
        yield
    return False


def _signs_in(raw: bytes) -> int:
    return sum(map(raw.count, _SIGNS))
