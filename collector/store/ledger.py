"""The ledger: which requests are stored already.

Look-ups take no lock. A claim is an upsert, so that a duplicate writes WAL too and waits for the
synchronous standby like the request it repeats; it comes late in the transaction, because its row
lock makes every peer with the same bytes wait until our COMMIT.

A request's day follows from its bytes, so retries meet in one leaf. A day without a leaf of its own
goes to the sentinel day; a look-up reads both, for a leaf may have come since, and the day under
which the request would have been kept a window ago, for it may have left the retention since.

Around midnight, or with clocks that differ, two workers may not agree on whether a day has a leaf.
So a day that would be the sentinel for a worker one day away is a border: it is claimed under the
sentinel as well, where the claims of both meet. Rejected: the sentinel alone for a border, which
only moves the border by a day.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.store.pool import Connection

SENTINEL_DAY = date(1970, 1, 1)

_CLAIM = """
WITH claimed AS (
    INSERT INTO ingest_ledger AS l (day, digest, received_at, items)
    SELECT * FROM unnest($1::date[], $2::bytea[], $3::timestamptz[], $4::integer[])
    ON CONFLICT (day, digest) DO UPDATE SET seen = l.seen + 1
    RETURNING l.digest, l.seen
)
SELECT digest FROM claimed WHERE seen > 1
"""


class LedgerKey(NamedTuple):
    """One request as the ledger knows it; sorts in the order in which claims lock."""

    day: date  # the request's own, or the sentinel
    digest: bytes
    received_at: int
    items: int
    formerly: date = SENTINEL_DAY  # where it was kept if it came first a window ago
    border: bool = False  # claimed under the sentinel too


def lookup_sql(keys: Iterable[LedgerKey]) -> str:
    """Return a query for the digests among ``keys`` that are stored.

    It is text without parameters, so that it travels in one message with BEGIN; what goes into it
    is made of our own dates and hex digits only. One branch per day lets the planner prune.
    """
    by_day: defaultdict[date, set[bytes]] = defaultdict(set)
    for key in keys:
        by_day[key.day].add(key.digest)
        by_day[key.formerly].add(key.digest)
        by_day[SENTINEL_DAY].add(key.digest)
    return " UNION ALL ".join(
        f"SELECT digest FROM ingest_ledger WHERE day = DATE '{day.isoformat()}'"  # noqa: S608 -- see above
        f" AND digest = ANY(ARRAY(SELECT substr(decode('{b''.join(sorted(digests)).hex()}', 'hex'),"
        f" 1 + 16 * i, 16) FROM generate_series(0, {len(digests) - 1}) AS i))"
        for day, digests in sorted(by_day.items())
    )


async def claim(
    connection: Connection, keys: Sequence[LedgerKey], *, timeout_s: float
) -> set[bytes]:
    """Claim every key, each for the first time or once more; return the digests seen before.

    A border is claimed twice, and seen before if either row was there. Keys are locked in sorted
    order, whatever order they are given in: two transactions with the same digests wait for each
    other, but never in a circle.
    """
    borders = (key._replace(day=SENTINEL_DAY) for key in keys if key.border)
    ordered = sorted((*keys, *borders))
    rows = await connection.fetch(
        _CLAIM,
        [key.day for key in ordered],
        [key.digest for key in ordered],
        [key.received_at for key in ordered],
        [key.items for key in ordered],
        timeout=timeout_s,
    )
    return {row["digest"] for row in rows}
