"""What a converted request holds in memory, counted object by object."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any, cast

from collector.rows import ConvertedRequest

GC_HEADER_BYTES = 16


def held_bytes(converted: ConvertedRequest) -> int:
    """Return the bytes of the request, its rows, dimensions and letters; what they share counts once.

    Objects that every Python program holds (None, small integers, short constants) count as well,
    once, so the number is a little too high.
    """
    seen: set[int] = set()
    total = 0
    ahead: list[Any] = [[getattr(converted, name) for name in ConvertedRequest.__slots__]]
    while ahead:
        value = ahead.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += getsizeof(value)
        if isinstance(value, dict):
            entries = cast("dict[Any, Any]", value)
            ahead += entries.keys()
            ahead += entries.values()
        elif isinstance(value, tuple | list):
            total += GC_HEADER_BYTES if isinstance(value, tuple) else 0
            ahead += cast("Iterable[Any]", value)
    return total
