"""How clients of Jaeger write times, durations and ids."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import datetime, timedelta
from typing import Final

from collector.errors import BadParameterError

_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))?([Zz]|[+ -]\d\d:\d\d)", re.ASCII
)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_UNITS_BY_SIZE: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
"""A number below the first of each pair is in units of so many nanoseconds; others are in one."""

_DURATION: Final = re.compile(
    r"(?:(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(?:ns|us|µs|μs|ms|s|m|h))+"
)
_PART: Final = re.compile(r"(\d*)\.?(\d*)([a-zµμ]+)")
_DURATION_NS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9,
    "m": 60 * 10**9, "h": 3_600 * 10**9,
}  # fmt: skip
_DURATION_NS_MAX: Final = 2**63 - 1
_DURATION_CHARACTERS_MAX: Final = 64
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{22}(?:==)?|[A-Za-z0-9+/_-]{11}=?", re.ASCII)


def unix_nano_of(name: str, text: str) -> int:
    """Return a time in nanoseconds since 1970.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their size: Grafana sends
    milliseconds where Jaeger documents microseconds. From 1973 to 5138 no number means two times.
    Everything else is RFC 3339, in which a query string may have made a blank of a plus.

    Raises:
        BadParameterError: it is neither.
    """
    if _INTEGER.fullmatch(text):
        number = int(text)
        for limit, unit in _UNITS_BY_SIZE:
            if abs(number) < limit:
                return number * unit
        return number
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise _no_time(name)
    date, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        since = datetime.fromisoformat(f"{date}T{clock}{zone}") - _EPOCH
    except (ValueError, OverflowError):
        raise _no_time(name) from None
    below = int((fraction or "").ljust(9, "0")[:9])
    return since // timedelta(microseconds=1) * 1_000 + below


def duration_ns_of(name: str, text: str) -> int:
    """Return a duration as Go writes it: ``1.2s``, ``1h30m``, ``100us``; exact to the nanosecond.

    Raises:
        BadParameterError: it is none, is negative, or is longer than 292 years.
    """
    if text == "0":
        return 0
    is_one = len(text) <= _DURATION_CHARACTERS_MAX and _DURATION.fullmatch(text)
    total = sum(map(_part_ns, _PART.findall(text))) if is_one else -1
    if 0 <= total <= _DURATION_NS_MAX:
        return total
    raise BadParameterError(name, "must be a duration such as 1.2s, 100ms or 1h30m")


def _part_ns(part: tuple[str, str, str]) -> int:
    whole, fraction, unit = part
    return (
        int(whole + fraction) * _DURATION_NS[unit] // 10 ** len(fraction) if whole + fraction else 0
    )


def milliseconds_of(name: str, text: str) -> int:
    """Return a whole number of milliseconds, in nanoseconds; at most 10 years of them.

    Raises:
        BadParameterError: it is none.
    """
    if _INTEGER.fullmatch(text) and 0 < int(text) <= 3_650 * 86_400_000:
        return int(text) * 10**6
    raise BadParameterError(name, "must be a number of milliseconds, at most ten years")


def count_of(name: str, text: str, *, most: int) -> int:
    """Return a whole number from 1 on.

    Raises:
        BadParameterError: it is none.
    """
    if _INTEGER.fullmatch(text) and 0 < int(text) <= most:
        return int(text)
    raise BadParameterError(name, f"must be a number from 1 to {most}")


def flag_of(name: str, text: str) -> bool:
    """Return a truth value as Go reads one.

    Raises:
        BadParameterError: it is none.
    """
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("", "0", "f", "false"):
        return False
    raise BadParameterError(name, "must be true or false")


def trace_id_of(name: str, text: str) -> bytes:
    """Return the 16 bytes of a trace id in hex of any case and length, or in base64.

    Shorter ids, which tracers with 64 bits have, and Jaeger writes, get zeros on the left. Dashes,
    as in a UUID, count for nothing.

    Raises:
        BadParameterError: it is neither, or all of it is zero.
    """
    raw = _raw_id(text)
    if raw is None or len(raw) > 16 or not any(raw):
        raise BadParameterError(name, "must be a trace id, in hex or base64")
    return raw.rjust(16, b"\0")


def _raw_id(text: str) -> bytes | None:
    digits = text.replace("-", "")
    if _HEX.fullmatch(digits):
        return bytes.fromhex(digits.rjust(32, "0"))
    text = text.replace(" ", "+")  # as a query string has it
    if _BASE64.fullmatch(text):
        padded = text.rstrip("=").replace("-", "+").replace("_", "/")
        return b64decode(padded + "=" * (-len(padded) % 4))
    return None


def _no_time(name: str) -> BadParameterError:
    return BadParameterError(name, "must be a unix time or RFC 3339")
