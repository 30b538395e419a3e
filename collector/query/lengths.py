"""Lengths of time as people type them: ``500ms``, ``30s``, ``5m`` or ``5min``, ``2h``, ``1d``, ``2w``.

What else is called a duration has its own grammar and reader: in a filter it may be a fraction and
needs no unit (``grammar``), Jaeger's clients write Go's (``api/jaeger/units``), and the numbers of
settings have a unit by their names, so that ``m`` alone says nothing (``settings/units``).
"""

from __future__ import annotations

import re
from typing import Final

DAY_NS: Final = 86_400 * 10**9
LENGTH_NS_MAX: Final = 999_999 * DAY_NS
"""2 737 years: counted back from now, PostgreSQL and ISO 8601 hold it."""

_LENGTH: Final = re.compile(r"([0-9]{1,9})(ms|s|m|min|h|d|w)", re.ASCII)
_UNITS_NS: Final = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
}


def is_length(text: str) -> bool:
    """Return whether the text is a number and a unit, of whatever length."""
    return _LENGTH.fullmatch(text) is not None


def length_ns(text: str, *, ns_min: int = 1, ns_max: int = LENGTH_NS_MAX) -> int:
    """Return how long ``30s`` is, in nanoseconds: a whole number and one unit.

    Raises:
        ValueError: it is no such length, or not from ``ns_min`` to ``ns_max``; the words fit behind
            the name of an option or a parameter.
    """
    found = _LENGTH.fullmatch(text)
    length = -1 if found is None else int(found[1]) * _UNITS_NS[found[2]]
    if not ns_min <= length <= ns_max:
        raise ValueError("must be a length of time such as 30s, 5m, 2h or 1d")
    return length
