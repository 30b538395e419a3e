"""Times as clients of either API write them, in query strings."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,18}))?([Zz]|[+ -]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_UNITS_BY_SIZE: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""A number below the first of each pair is in units of so many nanoseconds; others are in one."""


def unix_nano_or_none(text: str) -> int | None:
    """Return a time in nanoseconds since 1970; None for a text that is none.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their size: Grafana sends
    milliseconds where Jaeger documents microseconds. From 1973 to 5138 no number means two times.
    Everything else is RFC 3339, in which a query string may have made a blank of a plus, and which
    may lack its seconds.
    """
    if _INTEGER.fullmatch(text):
        number = int(text)
        for limit, unit in _UNITS_BY_SIZE:
            if abs(number) < limit:
                return number * unit
        return number
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    date, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        since = datetime.fromisoformat(f"{date}T{clock}{zone}") - _EPOCH
    except (ValueError, OverflowError):
        return None
    below = int((fraction or "").ljust(9, "0")[:9])
    return since // timedelta(microseconds=1) * 1_000 + below
