"""What `otlpg bench` may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from collector.rows import Signal

Part: TypeAlias = Literal["ingest", "outage", "tails"]
"""What can be measured alone."""

PARTS: tuple[Part, ...] = ("ingest", "outage", "tails")


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    With ``endpoint`` a daemon that runs already gets the load, and only what a sender sees is
    measured; without, PostgreSQL and daemons are started here and the limit is measured too.

    Units: ``seconds`` is the time under full load of each cell, ``outage_seconds`` that of pushing
    while PostgreSQL is stopped, ``tail_seconds`` that of one turn beside live tails.
    """

    endpoint: str | None = None
    quick: bool = False
    parts: tuple[Part, ...] = PARTS
    signals: tuple[Signal, ...] = tuple(Signal)
    connections: int = 8
    limit_connections: int = 2
    seconds: float = 4.0
    outage_seconds: float = 8.0
    tail_seconds: float = 2.0
    tail_rounds: int = 10
    seed: int = 1
