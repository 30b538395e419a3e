"""Dead letters put into a database, replayed and looked at, for the tests of what is done to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.operate.replay import Replay
from collector.rows import Reason, Signal
from collector.settings import ConvertSettings, Settings
from collector.store.letter_queries import Selection
from collector.telemetry.clock import SystemClock
from collector.telemetry.probe import Probe
from tests.db.writing import NOW

if TYPE_CHECKING:
    from collector.operate.replay_result import Result
    from collector.settings import DatabaseSettings
    from collector.store.pool import Connection

QUARANTINED = Selection(outcomes=("quarantined",))


async def put(
    connection: Connection,
    payload: bytes,
    signal: str = Signal.LOGS,
    *,
    reason: str = Reason.UNDECODABLE,
    outcome: str = "quarantined",
    received_at: int = NOW,
    attempts: int = 0,
) -> int:
    """Insert a letter and return its id."""
    letter: int = await connection.fetchval(
        "INSERT INTO dead_letters (signal, received_at, reason, outcome, payload, attempts)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        signal,
        received_at,
        reason,
        outcome,
        payload,
        attempts,
    )
    return letter


async def replay(
    settings: DatabaseSettings,
    selection: Selection = QUARANTINED,
    *,
    as_signal: Signal | None = None,
    probe: Probe | None = None,
    **convert: Any,
) -> list[Result]:
    """Replay as the command does, with these settings of ``convert``."""
    work = Replay(
        Settings(database=settings, convert=ConvertSettings(**convert)),
        clock=SystemClock(),
        probe=probe or Probe(),
        as_signal=as_signal,
    )
    try:
        return [result async for result in work.run(selection)]
    finally:
        await work.stop()


async def letters(connection: Connection) -> list[tuple[Any, ...]]:
    """Return signal, reason, outcome, attempts and payload of every letter, by id."""
    rows = await connection.fetch(
        "SELECT signal, reason, outcome, attempts, payload FROM dead_letters ORDER BY id"
    )
    return [tuple(row) for row in rows]
