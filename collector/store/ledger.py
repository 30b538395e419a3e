"""The ledger: which requests are stored already.

Look-ups take no lock. A claim is an upsert, so that a duplicate writes WAL too and waits for the
synchronous standby like the request it repeats; it comes late in the transaction, because its row
lock makes every peer with the same bytes wait until our COMMIT.

A request's day follows from its bytes, so retries meet in one leaf. A day outside the retention goes
to the sentinel day; a look-up reads both, always, since the day may have left or entered the
retention since: time passed, or the setting is another one, now or in the Pod beside.

Around midnight, or with clocks that differ, two workers may not agree on whether a day has a leaf.
So a day that would be the sentinel for a worker one day away is a border: it is claimed under the
sentinel as well, where the claims of both meet. Rejected: the sentinel alone for a border, which
only moves the border by a day.

A claim bears the time of the server's clock, which all workers share. A worker's own may be days
behind, and others would retire at once what it claims. Rejected: the later of the two. A worker that
is a year ahead would keep its claims for a year.
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
    SELECT day, digest, now(), items
    FROM unnest($1::date[], $2::bytea[], $3::integer[]) AS k (day, digest, items)
    ON CONFLICT (day, digest) DO UPDATE SET seen = l.seen + 1
    RETURNING l.digest, l.seen
)
SELECT pg_current_xact_id()::text::bigint, array_agg(digest) FILTER (WHERE seen > 1) FROM claimed
"""


class Claimed(NamedTuple):
    """What a claim found."""

    transaction_id: int  # of the transaction that claims; 64 bits, never used again
    before: set[bytes]  # digests that were seen before


class LedgerKey(NamedTuple):
    """One request as the ledger knows it; sorts in the order in which claims lock."""

    day: date  # under which it is claimed: its own, or the sentinel
    digest: bytes
    items: int
    own_day: date  # follows from its bytes alone
    border: bool = False  # claimed under the sentinel too


def lookup_sql(keys: Iterable[LedgerKey]) -> str:
    """Return a query for the digests among ``keys`` that are stored under their own day or the sentinel.

    It is text without parameters, so that it travels in one message with BEGIN; what goes into it
    is made of our own dates and hex digits only. One branch per day lets the planner prune; days
    out of reach share one, for they may be any and many, and PostgreSQL refuses 20 000 branches.
    """
    by_day: defaultdict[date, set[bytes]] = defaultdict(set)
    strays: list[LedgerKey] = []
    for key in keys:
        by_day[SENTINEL_DAY].add(key.digest)
        if key.day == key.own_day:
            by_day[key.own_day].add(key.digest)
        else:
            strays.append(key)
    branches = [_of_day(day, sorted(digests)) for day, digests in sorted(by_day.items())]
    return " UNION ALL ".join([*branches, *([_of_strays(strays)] if strays else [])])


def _of_day(day: date, digests: Sequence[bytes]) -> str:
    """Return the branch that looks at one day."""
    return (
        f"SELECT digest FROM ingest_ledger WHERE day = DATE '{day.isoformat()}'"  # noqa: S608 -- see above
        f" AND digest = ANY({_array(digests)})"
    )


def _of_strays(keys: Sequence[LedgerKey]) -> str:
    """Return the branch that looks at the own day of each of ``keys``; OFFSET keeps it a loop."""
    days = ",".join(f"'{key.own_day.isoformat()}'" for key in keys)
    return (
        f"SELECT l.digest FROM unnest(ARRAY[{days}]::date[], {_array([key.digest for key in keys])})"  # noqa: S608 -- see above
        " AS k (day, digest) CROSS JOIN LATERAL (SELECT l.digest FROM ingest_ledger AS l"
        " WHERE l.day = k.day AND l.digest = k.digest OFFSET 0) AS l"
    )


def _array(digests: Sequence[bytes]) -> str:
    """Return an SQL array of digests, in their order."""
    return (
        f"ARRAY(SELECT substr(decode('{b''.join(digests).hex()}', 'hex'), 1 + 16 * i, 16)"  # noqa: S608 -- see above
        f" FROM generate_series(0, {len(digests) - 1}) AS i)"
    )


async def claim(connection: Connection, keys: Sequence[LedgerKey], *, timeout_s: float) -> Claimed:
    """Claim every key, each for the first time or once more; tell which digests were seen before.

    A border is claimed twice, and seen before if either row was there. Keys are locked in sorted
    order, whatever order they are given in: two transactions with the same digests wait for each
    other, but never in a circle.
    """
    borders = (key._replace(day=SENTINEL_DAY) for key in keys if key.border)
    ordered = sorted((*keys, *borders))
    row = await connection.fetchrow(
        _CLAIM,
        [key.day for key in ordered],
        [key.digest for key in ordered],
        [key.items for key in ordered],
        timeout=timeout_s,
    )
    assert row is not None  # an aggregate
    transaction_id, before = row
    return Claimed(transaction_id, set(before or ()))


async def transaction_id(connection: Connection, *, timeout_s: float) -> int:
    """Return the id of the transaction, for one that claims nothing."""
    found: int = await connection.fetchval(
        "SELECT pg_current_xact_id()::text::bigint", timeout=timeout_s
    )
    return found
