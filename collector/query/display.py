"""The parts of a display item that are alike for every signal.

A query asks for one character more than an item may show, so that a cut is noticed; no text of a
sender's that is longer ever leaves PostgreSQL. What is left of attributes: see ``cutting``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import copysign
from typing import TYPE_CHECKING, Any

import orjson

from collector.items import TEXT_CHARACTERS_MAX

if TYPE_CHECKING:
    from collector.items import Item, JsonValue

_PG_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 -- UTC, and its offset is written by us


def rfc3339(time: int, time_ns: int | None) -> str:
    """Return a time in UTC with all nine digits, so that times compare as texts.

    Units: ``time`` is microseconds since 2000-01-01 UTC, ``time_ns`` the nanoseconds below; None,
    no time from the sender, is 0.
    """
    moment = _PG_EPOCH + timedelta(microseconds=time)
    return f"{moment.isoformat(timespec='microseconds')}{time_ns or 0:03d}Z"


def double(number: float) -> JsonValue:
    """Return a double in the stored form that the same one has among attributes.

    Spec: ``convert/values.py``; ``tests/unit/query/test_display.py`` compares.
    """
    size = abs(number)
    if 1e-15 <= size < 1e15 or (number == 0 and copysign(1, number) > 0):
        return number
    return {"$double": double_text(number)}


def double_text(number: float) -> str:
    """Return the fewest digits that mean a double; for what JSON lacks NaN, Infinity, -Infinity."""
    return repr(number).replace("inf", "Infinity").replace("nan", "NaN")


def texts(*columns: str) -> tuple[str, ...]:
    """Return SQL for columns of text, each no longer than ``add_text`` needs it."""
    return tuple(f"left(f.{name}, {TEXT_CHARACTERS_MAX + 1}) AS {name}" for name in columns)


def add_text(item: Item, field: str, text: str | None) -> None:
    """Add a text that is there, cut if it is too long."""
    if text is None:
        return
    if len(text) > TEXT_CHARACTERS_MAX:
        text = text[:TEXT_CHARACTERS_MAX]
        item["cut"] = True
    item[field] = text


def add_attributes(item: Item, row: Any) -> None:
    """Add what ``cutting.attributes`` left of ``attributes`` and ``resource``, unless it is empty."""
    for field in ("attributes", "resource"):
        text = row[field]
        if row[f"{field}_cut"]:
            item["cut"] = True
        if text is not None and text != "{}":
            item[field] = orjson.loads(text)
