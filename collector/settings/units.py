"""Sizes and durations as people write them: ``256MiB``, ``1.5s``, ``24h``.

A bare number is always in the unit that the setting's name ends in. Only spellings with one meaning
are taken: ``M`` alone is refused, because PostgreSQL, Kubernetes and people disagree about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_QUANTITY = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[A-Za-z]+)")

_BYTES = {
    "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30,
}  # fmt: skip
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}


@dataclass(frozen=True)
class Unit:
    """What one of a setting's numbers means; read by ``table.describe``."""

    name: str


def bytes_from_text(value: Any) -> Any:
    """Return a size such as ``"256MiB"`` as bytes; leave what is no text to pydantic."""
    return _quantity(value, _BYTES, 1, "bytes, or a size such as 256MiB")


def duration_from_text(unit_s: int, hint: str) -> Callable[[Any], Any]:
    """Return a reader of texts such as ``"90s"`` for a setting that counts ``unit_s`` seconds."""

    def read(value: Any) -> Any:
        return _quantity(value, _SECONDS, unit_s, hint)

    return read


def _quantity(value: Any, factors: dict[str, Any], divisor: int, hint: str) -> Any:
    """Return ``value`` in the setting's unit, as an int when it is a whole number.

    Raises:
        ValueError: a text that is neither a number nor a number with a known unit.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
    else:
        match = _QUANTITY.fullmatch(text)
        if match is None or match["unit"] not in factors:
            raise ValueError(f"must be {hint}")
        number = Decimal(match["number"]) * factors[match["unit"]] / divisor
    return int(number) if number == number.to_integral_value() else float(number)


Bytes = Annotated[int, BeforeValidator(bytes_from_text), Unit("bytes")]
Seconds = Annotated[
    float,
    BeforeValidator(duration_from_text(1, "seconds, or a duration such as 500ms or 2min")),
    Unit("seconds"),
]
Hours = Annotated[
    float,
    BeforeValidator(duration_from_text(3600, "hours, or a duration such as 24h")),
    Unit("hours"),
]
WholeHours = Annotated[
    int, BeforeValidator(duration_from_text(3600, "hours, or a duration such as 2d")), Unit("hours")
]
LeafHours = Annotated[
    Literal[1, 6, 24],
    BeforeValidator(duration_from_text(3600, "1h, 6h or 24h")),
    Unit("hours"),
]
Days = Annotated[
    int,
    BeforeValidator(duration_from_text(86400, "days, or a duration such as 30d")),
    Unit("days"),
]
