"""Asks PostgreSQL now and then whether it would take our writes: what readiness stands on.

The flushers notice it too, but only when somebody sends.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from collector.store.failures import translate
from collector.store.pool import Connection, Database
from collector.store.standing import Standing, hint
from collector.telemetry.probe import Probe

EVERY_S: Final = 2.0

_NEEDED: Final = {
    **dict.fromkeys(("trace_spans", "metric_data_points", "logs", "dead_letters"), ("INSERT",)),
    **dict.fromkeys(
        ("resources", "scopes", "metrics", "metric_series", "traces", "ingest_ledger"),
        ("SELECT", "INSERT", "UPDATE"),
    ),
}
"""What every transaction may use, by table; a grant on some columns counts."""

_ASK = """
WITH needed AS (SELECT * FROM unnest($1::text[], $2::text[]) AS n (name, privilege))
SELECT pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_user::text AS role,
       current_setting('search_path') AS path,
       ARRAY(SELECT DISTINCT name FROM needed WHERE to_regclass(name) IS NULL ORDER BY name)
           AS absent,
       ARRAY(SELECT privilege || ' on ' || name FROM needed
             WHERE NOT has_any_column_privilege(to_regclass(name), privilege)
             ORDER BY name, privilege) AS forbidden
"""

_log = structlog.stdlib.get_logger("otlpg.store")


class Pulse:
    """Keeps ``otlpg_store_up`` true of an idle daemon, and tells of each change once."""

    def __init__(
        self, database: Database, *, standing: Standing, probe: Probe, every_s: float = EVERY_S
    ) -> None:
        self._database = database
        self._standing = standing
        self._probe = probe
        self._every_s = every_s
        self._event = ""  # what was told last; empty while all is well

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._ask()
            await self._probe.reach("pulse.asked")
            await asyncio.sleep(self._every_s)

    async def _ask(self) -> None:
        event = reason = code = ""
        try:
            async with self._database.acquire() as connection:
                timeout_s = self._database.settings.connect_s_max
                reason, code = await obstacle(connection, timeout_s=timeout_s)
            if reason:
                event = "store takes no rows"
        except Exception as error:  # noqa: BLE001 -- whatever it is, the store did not answer
            event, failure = "store is away", translate(error)
            reason, code = str(failure), failure.sqlstate
        self._standing.asked(could_write=not event)
        if event != self._event:
            self._event = event
            if event:
                _log.warning(event, error=reason, hint=hint(code) or None)
            else:
                _log.info("store is back")


async def obstacle(connection: Connection, *, timeout_s: float) -> tuple[str, str]:
    """Return what would keep us from writing, and its SQLSTATE; two empty texts when nothing would.

    It looks at what the role may do and where the server stands, and writes nothing.
    """
    pairs = [(name, privilege) for name, needed in _NEEDED.items() for privilege in needed]
    names, privileges = zip(*pairs, strict=True)
    found = await connection.fetchrow(_ASK, names, privileges, timeout=timeout_s)
    assert found is not None, "an aggregate query has one row"
    if found["standby"]:
        return "the server is a standby", "25006"
    if found["absent"]:
        tables = ", ".join(found["absent"])
        return f"there is no table {tables}; search_path is {found['path']}", "42P01"
    if found["forbidden"]:
        return f"role {found['role']} has no {', '.join(found['forbidden'])}", "42501"
    if found["read_only"]:
        return "the server is read-only", "25006"
    return "", ""
