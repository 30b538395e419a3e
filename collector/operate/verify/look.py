"""What PostgreSQL holds of one marked request, found by the indexes and turned back into OTLP.

Spans by trace id, log records by service and time, points by series and time; always within the
times of the request, so that one leaf is read. Each look is one snapshot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.errors import CommandError, StoreError, StoreUnavailableError
from collector.operate.verify.marked import SERVICE_NAME, Marked, keyed
from collector.operate.verify.points import METRIC_NAMES
from collector.restore.equality import ExportRequest, item_texts
from collector.restore.requests import restore
from collector.rows import PG_EPOCH_UNIX_US, Signal
from collector.store.failures import translated
from collector.store.migrate import check_schema
from collector.store.pool import DRIVER_ERRORS, Connection, Database
from collector.store.read import Only, RowChunk, snapshot

if TYPE_CHECKING:
    from collector.operate.verify.pause import Pause
    from collector.telemetry.clock import Clock

LOOK_S_MAX: Final = 10.0
"""For one look, connection included."""
AWAY_S_MAX: Final = 60.0
"""So long a look is tried again while PostgreSQL is away; then it is left to the backlog."""
AGAIN_S: Final = 0.5
LAG_S: Final = 0.05
"""Between two looks at a replica, where a row may still be on its way."""

SERIES: Final = """
SELECT s.series_id
FROM metrics AS m
JOIN metric_series AS s USING (metric_id)
JOIN resources AS r USING (resource_id)
WHERE m.name = ANY($1) AND s.service_name = $2 AND r.service_instance_id = $3
"""
LETTERS: Final = """
SELECT payload FROM dead_letters
WHERE id > $1 AND outcome = 'quarantined' AND position($2 IN payload) > 0
LIMIT 10
"""
LAST_LETTER: Final = "SELECT coalesce(max(id), 0) FROM dead_letters"


class Seen(NamedTuple):
    """Key and text of each row found, and whether the bad item lies in the dead letters."""

    rows: list[tuple[str, str]]
    has_letter: bool


class Looker:
    """Looks into one database; as many looks at a time as ``database`` has connections."""

    def __init__(
        self, database: Database, *, visible_within_s: float, clock: Clock, pause: Pause
    ) -> None:
        self._database = database
        self._visible_within_s = visible_within_s
        self._clock = clock
        self._pause = pause
        self._schema_is_known = False

    async def last_letter(self) -> int | None:
        """Return an id below that of any letter still to be written; None: nobody could look.

        Raises:
            CommandError: as ``see``.
        """
        try:
            async with asyncio.timeout(LOOK_S_MAX), self._database.acquire() as connection:
                with translated(only=DRIVER_ERRORS):
                    found: int = await connection.fetchval(LAST_LETTER)
                    return found
        except (StoreError, TimeoutError) as error:
            _refuse_without_privilege(error)
            return None

    async def see(
        self,
        marked: Marked,
        *,
        acknowledged: bool,
        after_letter: int | None = None,
        away_s_max: float = AWAY_S_MAX,
    ) -> Seen | None:
        """Return what is there of ``marked``; None: PostgreSQL could not be asked for ``away_s_max``.

        What was not ``acknowledged`` is looked for once: it may be there or not, and nobody waits.
        A row that is not there is waited for only where ``visible_within_s`` allows it.

        Raises:
            CommandError: this role may not read; the schema is not there or older than we need.
        """
        began_s = self._clock.monotonic_s()
        while True:
            try:
                async with asyncio.timeout(LOOK_S_MAX):
                    seen = await self._look(marked, after_letter)
            except (StoreError, TimeoutError) as error:
                _refuse_without_privilege(error)
                is_over = self._clock.monotonic_s() - began_s >= away_s_max
                if is_over or not acknowledged:
                    return None
                if await self._pause.ended_within(AGAIN_S):
                    return None
                continue
            waited_s = self._clock.monotonic_s() - began_s
            is_over = waited_s >= self._visible_within_s or not acknowledged
            if is_over or _is_whole(marked, seen, after_letter):
                return seen
            await asyncio.sleep(LAG_S)

    async def _look(self, marked: Marked, after_letter: int | None) -> Seen:
        async with self._database.acquire() as connection:
            with translated(only=DRIVER_ERRORS):
                if not self._schema_is_known:
                    await check_schema(connection)
                    self._schema_is_known = True
                standby: bool = await connection.fetchval("SELECT pg_is_in_recovery()")
            if standby and not self._visible_within_s:
                raise StoreUnavailableError(
                    "the server is a standby, which may lag; name the primary, or say how long a "
                    "row may take with --visible-within"
                )
            async with snapshot(connection) as view:
                only = await _only(connection, marked)
                rows = [
                    pair
                    async for chunk in view.chunks(
                        marked.signal,
                        time_min=_pg_us(marked.time_min),
                        time_max=_pg_us(marked.time_max) + 1,
                        only=only,
                    )
                    for pair in keyed(marked.signal, _restored(marked.signal, chunk))
                ]
                has_letter = after_letter is not None and await _has_letter(
                    connection, marked, after_letter
                )
            return Seen(rows, has_letter)


async def _only(connection: Connection, marked: Marked) -> Only:
    """Return what leads to the rows through an index."""
    match marked.signal:
        case Signal.TRACES:
            return Only("trace_id", [marked.marker.trace_id])
        case Signal.LOGS:
            return Only("service_name", [SERVICE_NAME])
        case Signal.METRICS:
            with translated(only=DRIVER_ERRORS):
                rows = await connection.fetch(
                    SERIES, list(METRIC_NAMES), SERVICE_NAME, marked.marker.instance
                )
            return Only("series_id", [row[0] for row in rows])


def _restored(signal: Signal, chunk: RowChunk) -> ExportRequest:
    """Return the rows as OTLP; what cannot be restored any more is as good as not there.

    Its dimensions are gone, or somebody wrote into it what ``convert`` never does.
    """
    try:
        return restore(signal, chunk.rows, chunk.dimensions)
    except (KeyError, ValueError):
        return restore(signal, [], chunk.dimensions)


async def _has_letter(connection: Connection, marked: Marked, after_letter: int) -> bool:
    """Tell whether the bad item is among the letters that came since."""
    with translated(only=DRIVER_ERRORS):
        rows = await connection.fetch(LETTERS, after_letter, marked.marker.trace_id)
    return any(
        marked.bad in item_texts(ExportTraceServiceRequest.FromString(row[0])) for row in rows
    )


def _is_whole(marked: Marked, seen: Seen, after_letter: int | None) -> bool:
    keys = {key for key, _ in seen.rows}
    return marked.items.keys() <= keys and (seen.has_letter or after_letter is None)


def _refuse_without_privilege(error: Exception) -> None:
    """End the run where looking again would never help."""
    if isinstance(error, StoreError) and error.is_about_rights:
        raise CommandError(
            f"this role may not read back what is sent: {error}; read as a role of otlpg_read"
        ) from error


def _pg_us(unix_nano: int) -> int:
    return unix_nano // 1_000 - PG_EPOCH_UNIX_US
