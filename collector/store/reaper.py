"""Ends our own backends that hang in the middle of a transaction, and nobody else will.

A worker that is frozen (stopped, swapped out, cut off) in mid-COPY leaves a backend that waits for
its client for ever: neither ``statement_timeout`` nor ``idle_in_transaction_session_timeout`` ends
a read of COPY data. What that backend has locked stays locked, so some other worker ends it.

A COMMIT that waits for a synchronous standby which is gone waits for ever too: no timeout of the
server counts there, and that its client has given up it does not see. With its locks it keeps a
connection, and each repetition one more, until the server has none left for anybody. Ended, it is
committed here and nowhere else; the repetition finds it, writes to the ledger, and waits anew. Its
age counts from the COMMIT, and none is ended that its client may still wait for: ``commit`` writes
into the statement how long that is, and any other waits as long as a flush of usual size.

Old is not frozen: a giant request on a slow way may be sent for minutes, and its backend waits for
its client at nearly every look. So a backend is ended only if it has not moved between two looks:
no new statement, and not a byte more of a COPY.

Needs no privilege: a role may watch and end the backends of its own role.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from collector.store.commit import GRACE_S, PATIENCE_PATTERN
from collector.store.failures import translate

if TYPE_CHECKING:
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection, Database
    from collector.telemetry.metrics import Metrics
    from collector.telemetry.probe import Probe

_log = structlog.stdlib.get_logger(__name__)

LOOKS_PER_LIMIT = 3
"""A frozen backend is ended after 4/3 of ``reap_after_s``, by a worker that has looked before."""

MARGIN_S = 2.0
"""A client on a busy machine gives up this much later than it said, at most."""

_REAP = """
WITH waiting AS MATERIALIZED (
    SELECT a.pid,
           CASE a.wait_event
               WHEN 'SyncRep' THEN a.query_start + make_interval(secs => greatest(
                   $2, coalesce(substring(a.query FROM $4)::float8, $5) + $6))
               ELSE a.xact_start + make_interval(secs => $2)
           END AS given_up_at,
           concat_ws(' ', a.pid, a.backend_start, a.xact_start, a.state_change, c.bytes_processed)
               AS mark
    FROM pg_stat_activity AS a LEFT JOIN pg_stat_progress_copy AS c ON c.pid = a.pid
    WHERE a.pid <> pg_backend_pid()
      AND a.datname = current_database()
      AND a.usename = current_user
      AND a.application_name = $1
      AND a.wait_event IN ('ClientRead', 'SyncRep')
      AND a.xact_start IS NOT NULL
)
SELECT mark,
       CASE WHEN mark = ANY ($3::text[])
             AND given_up_at < clock_timestamp()
            THEN pg_terminate_backend(pid) ELSE false END AS ended
FROM waiting
"""


class Looks:
    """What the last look of one reaper saw: how far each waiting backend had come, and its end."""

    def __init__(self) -> None:
        self.marks: list[str] = []
        self.ended: set[str] = set()


async def reap(connection: Connection, settings: DatabaseSettings, looks: Looks) -> int:
    """End every backend of ours that is old and has not moved since the last look; return how many.

    The first of ``looks`` ends none: it has nothing to compare with.
    """
    rows = await connection.fetch(
        _REAP,
        settings.app_name,
        settings.reap_after_s,
        looks.marks,
        PATIENCE_PATTERN,
        settings.statement_s_max + GRACE_S,
        MARGIN_S,
    )
    looks.marks = [row["mark"] for row in rows]
    before, looks.ended = looks.ended, {row["mark"] for row in rows if row["ended"]}
    return len(looks.ended - before)  # one that is slow to go is told again, and counted once


class Reaper:
    """Reaps now and then. One per worker, so that one is awake when another is frozen."""

    def __init__(
        self, database: Database, settings: DatabaseSettings, *, metrics: Metrics, probe: Probe
    ) -> None:
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._probe = probe
        self._looks = Looks()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._settings.reap_after_s / LOOKS_PER_LIMIT)
            try:
                async with self._database.acquire() as connection:
                    ended = await reap(connection, self._settings, self._looks)
            except Exception as error:  # noqa: BLE001 -- PostgreSQL may be away; look again later
                _log.debug("reap_failed", error=str(translate(error)))
            else:
                if ended:
                    self._metrics.reaped.add(ended)
                    _log.warning("backends_reaped", ended=ended)
            await self._probe.reach("reaper.looked")
