"""What `otlpg bench --query` may be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collector.operate.bench.query.data import Shape


@dataclass(frozen=True, slots=True)
class QueryBenchOptions:
    """How much data, and how often it is asked.

    Attributes:
        shape: of the data.
        rounds: times that each question is asked while nothing else happens.
        warm_rounds: times that it is asked before, uncounted.
        http_rounds: times that each question that Jaeger's API knows is asked over HTTP.
        load_seconds: time under load, in stretches of at most ``stretch_seconds``; 0: none.
        stretch_seconds: the load of so long is held in memory.
        calibrate_seconds: time at full load, to know what half is.
        jaeger: the program of the official Jaeger v2; None: it is left out.
        seed: another seed, other requests and other parameters.
    """

    shape: Shape
    rounds: int = 200
    warm_rounds: int = 24
    http_rounds: int = 100
    load_seconds: float = 90.0
    stretch_seconds: float = 15.0
    calibrate_seconds: float = 4.0
    jaeger: Path | None = None
    seed: int = 1
