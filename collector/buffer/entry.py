"""One request on its way through the buffer, and how it may end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest


class Outcome(StrEnum):
    """How a transaction ended for one request; both mean that its items are committed."""

    STORED = "stored"
    DUPLICATE = "duplicate"


class End(StrEnum):
    """The five ends of an item, as ``otlpg_items_total`` names them."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entry:
    """One request in the queue or in flight, with every sender that waits for it.

    ``items`` and ``size_bytes`` are what the entry was charged when it was offered: the request
    itself may change while it is in flight (an item that PostgreSQL refuses moves to its letters).
    """

    request: ConvertedRequest
    future: asyncio.Future[Outcome]
    items: int
    size_bytes: int
    taken: bool = False
    settled: bool = False
    unsure: bool = False  # a COMMIT that may have stored it went out, and no answer came
    giant: bool = False  # taken alone, because it is larger than a group commit
    senders: int = 1
    paused: bool = False  # between two transactions: the last one failed, the next one is later
    departed: int = 0  # senders that left as the last one, after it was taken
