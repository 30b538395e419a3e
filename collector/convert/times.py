"""Which rows may stand under their own time, and the forms of times in rows."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from collector.rows import PG_EPOCH_UNIX_US

DAY_NS = 86_400 * 10**9
_UNIX_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Window(NamedTuple):
    """The times that leaves are kept for; a row outside goes under the receive time.

    Units: ``low`` and ``high`` are nanoseconds since 1970, both inside; ``received_at`` is
    microseconds since 2000.
    """

    low: int
    high: int
    received_at: int


def window_at(now_ns: int, retention_s: float) -> Window:
    """Return the window ``[now - retention, now + 1 day]``; 0, "not given", is always outside."""
    low = now_ns - int(retention_s * 10**9)
    return Window(max(low, 1), now_ns + DAY_NS, pg_us(now_ns))


def pg_us(unix_ns: int) -> int:
    """Return microseconds since 2000-01-01, rounded down."""
    return unix_ns // 1_000 - PG_EPOCH_UNIX_US


def optional_time(unix_ns: int) -> tuple[int | None, int | None]:
    """Return the microseconds and the nanoseconds below of a time that is no partition key.

    Both None when it is 0, "not given". Every other 64-bit number fits a timestamptz.
    """
    if not unix_ns:
        return None, None
    return unix_ns // 1_000 - PG_EPOCH_UNIX_US, unix_ns % 1_000


def day_of(unix_ns: int) -> date:
    """Return the UTC date; 64 bits end in the year 2554, so there is always one."""
    return date.fromordinal(_UNIX_EPOCH_ORDINAL + unix_ns // DAY_NS)
