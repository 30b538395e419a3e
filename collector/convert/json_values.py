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

TEXTS_PER_TURN: Final = 20_000
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SIGNS: Final = (b",", b"{", b"[")


def has_too_many_values(body: bytes) -> Generator[None, None, bool]:
    """Return whether ``body`` holds more than ``VALUES_MAX``; yield now and then.

    An object or array counts twice. Exact for valid JSON; in any other text the answer does not matter.
    """
    values = _signs_in(body)
    if values <= VALUES_MAX:
        return False
    values, end = 0, 0
    for number, text in enumerate(_TEXT.finditer(body), 1):
        values += _signs_in(body[end : text.start()])
        end = text.end()
        if values > VALUES_MAX:
            return True
        if number % TEXTS_PER_TURN == 0:
            yield
    return values + _signs_in(body[end:]) > VALUES_MAX


def _signs_in(raw: bytes) -> int:
    return sum(map(raw.count, _SIGNS))
