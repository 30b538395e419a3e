"""What the read side can do: each question of a table, asked again and again of a week of telemetry.

Decision: every answer is compared with what is right, which plain SQL or the arithmetic that made
the data says, and an answer that is wrong or empty fails the bench: a fast wrong answer is none. Questions
are asked in turns, each time with other parameters, by one who waits for each answer; first alone,
then beside a daemon that ingests at half of what it takes. All share the machine.
"""

from __future__ import annotations

from collector.operate.bench.query.options import QueryBenchOptions
from collector.operate.bench.query.run import run

__all__ = ["QueryBenchOptions", "run"]
