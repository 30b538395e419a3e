"""A broken otlpg: a request that the ledger knows already leaves no trace there.

``ON CONFLICT DO NOTHING`` looks right and is quicker. But a transaction that writes nothing does
not wait for the synchronous standby, so a repeated request is acknowledged on the strength of a
COMMIT that only the primary has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.store import ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store.pool import Connection

_CLAIM = """
INSERT INTO ingest_ledger (day, digest, received_at, items)
SELECT day, digest, now(), items
FROM unnest($1::date[], $2::bytea[], $3::integer[]) AS k (day, digest, items)
ON CONFLICT DO NOTHING RETURNING digest
"""


async def claim(
    connection: Connection, keys: Sequence[ledger.LedgerKey], *, timeout_s: float
) -> ledger.Claimed:
    """Claim what nobody has claimed; return the rest."""
    ordered = sorted(keys)
    rows = await connection.fetch(
        _CLAIM,
        [key.day for key in ordered],
        [key.digest for key in ordered],
        [key.items for key in ordered],
        timeout=timeout_s,
    )
    before = {key.digest for key in ordered} - {row["digest"] for row in rows}
    return ledger.Claimed(await ledger.transaction_id(connection, timeout_s=timeout_s), before)


ledger.claim = claim
