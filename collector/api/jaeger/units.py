"""How clients of Jaeger write times, durations and ids."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Final

from collector.api.moments import unix_nano_or_none
from collector.errors import BadParameterError
from collector.items import NUMBER_BY_KIND

_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
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
_KINDS: Final = {"unspecified": 0, **NUMBER_BY_KIND}
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{22}(?:==)?|[A-Za-z0-9+/_-]{11}=?", re.ASCII)


def unix_nano_of(name: str, text: str) -> int:
    """Return a time in nanoseconds since 1970, as ``api.moments`` reads it.

    Raises:
        BadParameterError: it is none.
    """
    found = unix_nano_or_none(text)
    if found is None:
        raise BadParameterError(name, "must be a unix time or RFC 3339")
    return found


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


def kind_of(name: str, text: str) -> int:
    """Return OTLP's number of a span's kind, whose name is in any case; 0 is ``unspecified``.

    Raises:
        BadParameterError: there is no such kind.
    """
    kind = _KINDS.get(text.lower())
    if kind is None:
        raise BadParameterError(name, f"must be one of {', '.join(_KINDS)}")
    return kind


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
