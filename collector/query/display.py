"""The parts of a display item that are alike for every signal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collector.items import Item

_PG_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 -- UTC, and its offset is written by us


def rfc3339(time: int, time_ns: int | None) -> str:
    """Return a time in UTC with all nine digits, so that times compare as texts.

    Units: ``time`` is microseconds since 2000-01-01 UTC, ``time_ns`` the nanoseconds below; None,
    no time from the sender, is 0.
    """
    moment = _PG_EPOCH + timedelta(microseconds=time)
    return f"{moment.isoformat(timespec='microseconds')}{time_ns or 0:03d}Z"


def add_attributes(item: Item, row: Any) -> None:
    """Add what the columns ``attributes`` and ``resource`` hold, unless it is empty or missing."""
    for name, field in (("attributes", "attributes"), ("resource", "resource")):
        text = row[name]
        if text is not None and text != "{}":
            item[field] = orjson.loads(text)
